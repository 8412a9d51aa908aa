"""The command as a process: with a real broker, on a real terminal, interrupted."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from support.desk import Desk, instances
from support.ledgers import Databases
from support.servers import free_port, valkey

from config.celeryconfig import CONTROL_QUEUE

DAYWORK = [sys.executable, "-c", "from console.cli import main; main()"]
START = ["session", "start", "--operation", "ec2-backup", "--resource", "production-a/eu-west-1/i-0a"]


@pytest.fixture
def desk(all_databases: Databases, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A ledger with a registry, and settings for child processes."""
    with all_databases.migrated("sqlite") as url:
        settings = {
            "DATABASE_URL": url,
            "BROKER_URL": "redis://127.0.0.1:1/0",
            "CONTROL_BUCKET": "b",
            "REPORT_QUEUE": "q",
        }
        for name, value in settings.items():
            monkeypatch.setenv(f"DAYWORK_{name}", value)
        monkeypatch.setenv("COLUMNS", "")
        made = Desk(url=url)
        made.register()
        yield made
        made.ledger.close()


def daywork(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run([*DAYWORK, *arguments], capture_output=True, text=True, check=False, timeout=60)


def test_a_submitted_session_is_published_to_the_broker(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`session.start` lies in its queue, with the session's id and nothing else."""
    with valkey(tmp_path) as (url, _):
        monkeypatch.setenv("DAYWORK_BROKER_URL", url)

        done = daywork(*START)

        with redis.Redis.from_url(url) as client:
            messages = [json.loads(one) for one in client.lrange(CONTROL_QUEUE, 0, -1)]
    assert (done.returncode, done.stderr) == (0, "")
    assert [(one["headers"]["task"], one["headers"]["argsrepr"]) for one in messages] == [
        ("session.start", f"session={done.stdout.strip()}")
    ]


def test_a_broker_that_is_away_delays_and_loses_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 9 soon, the id all the same, words that calm."""
    monkeypatch.setenv("DAYWORK_BROKER_URL", f"redis://:canary-password@127.0.0.1:{free_port()}/0")

    done = daywork(*START)

    assert done.returncode == 9
    assert f"Session {done.stdout.strip()} is in the ledger and goes on by itself" in done.stderr
    assert "canary-password" not in done.stderr
    assert daywork("session", "show", done.stdout.strip()).returncode == 0


class Terminal:
    """A command on a terminal of 100 columns and 30 lines."""

    def __init__(self, pid: int, end: int) -> None:
        """Take the process and our end of its terminal."""
        self.pid = pid
        self._end = end
        self._code: int | None = None
        self.seen = ""

    def until(self, words: str) -> None:
        """Read until these words were shown. Raises `TimeoutError`."""
        while words not in self.seen:
            if not select.select([self._end], [], [], 60)[0]:
                raise TimeoutError(f"{words!r} never came; seen: {self.seen!r}")
            self.seen += os.read(self._end, 65536).decode()

    def end(self) -> int:
        """Read the rest; returns the exit code."""
        while found := self._rest():
            self.seen += found.decode()
        self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._code

    def close(self) -> None:
        """End the process if it has not ended, and give the terminal back."""
        if self._code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._end)

    def _rest(self) -> bytes:
        try:
            return os.read(self._end, 65536)
        except OSError:  # Linux says so when the other end is closed
            return b""


@contextmanager
def terminal(*arguments: str) -> Iterator[Terminal]:
    """Run a command on a terminal."""
    pid, end = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm-256color"
        # A run in the background hands its children an ignored SIGINT; a terminal does not.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.execv(DAYWORK[0], [*DAYWORK, *arguments])  # noqa: S606 - the child of a fork
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    made = Terminal(pid, end)
    try:
        yield made
    finally:
        made.close()


def test_a_terminal_is_redrawn_and_ends_with_the_summary(desk: Desk) -> None:
    """Bars while it runs; afterwards the cursor is back and the picture has made place for the summary."""
    session = desk.session(*instances(2))
    desk.begin(session)
    desk.move(session, "running", 0, 1, total=10 * 2**30, done=2**30)

    with terminal("session", "watch", session) as shown:
        shown.until("1.0/10.0 GiB")
        desk.move(session, "running", 0, done=5 * 2**30)
        shown.until("5.0/10.0 GiB")
        desk.move(session, "failed", 1, reason="no right", remedy="Give it")
        shown.until("Give it")
        desk.move(session, "success", 0)
        desk.made(session, "role", "daywork-x", removed=True)
        desk.end(session, "warning")
        code = shown.end()

    assert code == 3
    assert "━" in shown.seen
    hidden, _, after = shown.seen.rpartition("\x1b[?25h")
    assert "\x1b[?25l" in hidden
    assert "nothing left behind" in after
    assert "Ctrl-C leaves" not in after


def test_no_colour_where_nobody_wants_any(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR takes the colours and leaves the redrawing."""
    monkeypatch.setenv("NO_COLOR", "1")
    session = desk.session(*instances(1))
    desk.begin(session)
    desk.move(session, "failed", 0, reason="no right")

    with terminal("session", "watch", session) as shown:
        shown.until("no right")
        desk.end(session, "failed")
        code = shown.end()

    assert code == 4
    assert not any(f"{start}{colour}m" in shown.seen for start in ("[", ";") for colour in (31, 32, 33, 36, 90))


@pytest.mark.parametrize("verb", ["watch", "stop --wait"])
def test_ctrl_c_leaves_and_stops_nothing(desk: Desk, verb: str) -> None:
    """Exit code 130, the command to come back with, the session as it was."""
    session = desk.session(*instances(1))
    desk.begin(session)
    name, *flags = verb.split()

    with terminal("session", name, session, *flags) as shown:
        shown.until("Ctrl-C leaves")
        os.kill(shown.pid, signal.SIGINT)
        code = shown.end()

    assert code == 130
    assert f"The session goes on: daywork session watch {session}" in shown.seen
    assert json.loads(daywork("session", "show", session, "-o", "json").stdout)["endedAt"] is None


def test_a_ledger_that_goes_away_and_comes_back_is_survived(desk: Desk) -> None:
    """A line says so, nothing is missed, and the exit code is the session's."""
    session = desk.session(*instances(1))
    desk.begin(session)
    with subprocess.Popen(
        [*DAYWORK, "session", "watch", session, "--output", "json"], stdout=subprocess.PIPE, text=True
    ) as process:
        alarm = threading.Timer(60, process.kill)
        alarm.start()
        try:
            until = _lines_of(process)
            assert until("session")["session"]["status"] == "running"
            _rename(desk, "resources", "elsewhere")
            assert until("ledger-lost")["sessionId"] == session
            _rename(desk, "elsewhere", "resources")
            assert until("ledger-back")["sessionId"] == session
            desk.move(session, "success", 0)
            desk.end(session, "success")
            assert until("end")["session"]["status"] == "success"
        finally:
            alarm.cancel()
            alarm.join()

    assert process.returncode == 0


def _rename(desk: Desk, before: str, after: str) -> None:
    with desk.ledger.engine.begin() as connection:
        connection.exec_driver_sql(f"ALTER TABLE {before} RENAME TO {after}")


def _lines_of(process: subprocess.Popen[str]) -> Callable[[str], dict[str, Any]]:
    """Return a function that reads lines until one of a type comes."""
    stream = process.stdout
    assert stream is not None

    def until(kind: str) -> dict[str, Any]:
        return next(found for line in stream if (found := json.loads(line))["type"] == kind)

    return until
