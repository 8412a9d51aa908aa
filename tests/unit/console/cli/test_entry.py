"""How commands end: exit codes, error blocks, help that comes at once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.desk import Desk, instances
from support.ledgers import Databases

from console.cli.commands import COMMANDS, load
from orchestrator.errors import AccessDenied, Throttled


@pytest.mark.parametrize("name", COMMANDS)
def test_every_row_of_the_table_leads_to_a_command(name: str) -> None:
    """No row names a module or attribute that is not there."""
    assert load(name).name == name


def test_help_imports_nothing_heavy() -> None:
    """Neither a database, nor AWS, nor Celery, nor rich (pydantic is typer's own)."""
    code = (
        "import sys; from console.cli.entry import run; run(['--help']); run(['session', 'start', '--help']);"
        "print([name for name in ('sqlalchemy', 'boto3', 'celery', 'kombu', 'rich', 'yaml') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"
    assert "session" in done.stdout


def test_no_command_at_all_shows_the_help(desk: Desk) -> None:
    """As a usage error, on stderr."""
    said = desk.say()

    assert (said.code, said.out) == (2, "")
    assert "restore-point" in said.err


def test_a_mistyped_command_is_told_the_right_one(desk: Desk) -> None:
    """As a usage error."""
    said = desk.say("sesion", "list")

    assert said.code == 2
    assert "session" in said.err


def test_wrong_settings_are_all_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 2, every variable by its name."""
    monkeypatch.delenv("DAYWORK_CONTROL_BUCKET")
    monkeypatch.setenv("DAYWORK_BOOT_SECONDS", "-1")

    said = desk.say("session", "list", "-o", "json")

    assert said.code == 2
    assert "DAYWORK_CONTROL_BUCKET" in said.err
    assert "DAYWORK_BOOT_SECONDS" in said.err
    assert len(said.document()["error"]["problems"]) == 2


def test_a_question_makes_no_empty_ledger(desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Exit code 9, and no file where there was none."""
    monkeypatch.setenv("DAYWORK_DATABASE_URL", f"sqlite:///{tmp_path}/none/ledger.sqlite3")

    said = desk.say("session", "list")

    assert said.code == 9
    assert "there is no ledger here" in said.err
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_without_its_schema_is_unreachable(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, all_databases: Databases
) -> None:
    """Exit code 9 and what to start, not a traceback."""
    with all_databases.empty("sqlite") as url:
        Path(url.removeprefix("sqlite:///")).touch()
        monkeypatch.setenv("DAYWORK_DATABASE_URL", url)

        said = desk.say("session", "list")

    assert said.code == 9
    assert "daywork ledger upgrade" in said.err
    assert "Traceback" not in said.err


WAYS_OUT: list[tuple[Exception, int, str]] = [
    (AccessDenied("the role cannot be assumed", code="AccessDenied", remedy="Repair its trust"), 8, "Repair its trust"),
    (Throttled("too many requests"), 1, "too many requests"),
    (RuntimeError("postgresql://user:canary-password@host"), 1, "RuntimeError"),
]


@pytest.mark.parametrize(("error", "code", "words"), WAYS_OUT, ids=[type(row[0]).__name__ for row in WAYS_OUT])
def test_whatever_goes_wrong_becomes_one_block(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, words: str
) -> None:
    """Without a traceback, and without what a foreign message may hold."""
    _break(monkeypatch, error)

    said = desk.say("session", "list")

    assert said.code == code
    assert words in said.err
    assert "Traceback" not in said.err
    assert "canary-password" not in said.err


def test_debugging_shows_where(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """DAYWORK_DEBUG adds the traceback."""
    _break(monkeypatch, RuntimeError("here"))
    monkeypatch.setenv("DAYWORK_DEBUG", "1")

    assert "Traceback" in desk.say("session", "list").err


def _break(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def raising() -> None:
        raise error

    monkeypatch.setattr("console.cli.session.opened", raising)


def test_a_broker_that_is_away_is_told_and_nothing_is_lost(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, failing_broker: Callable[[], None]
) -> None:
    """Exit code 9; the session's id is printed all the same, because it was accepted."""
    failing_broker()

    said = desk.say("session", "start", "--operation", "ec2-backup", "--resource", "production-a/eu-west-1/i-0a")

    assert said.code == 9
    assert desk.say("session", "show", said.out.strip()).code == 0


@pytest.mark.parametrize(("status", "code"), [("success", 0), ("warning", 3), ("failed", 4), ("stopped", 5)])
def test_watching_ends_with_the_session_s_exit_code(desk: Desk, status: str, code: int) -> None:
    """So that a script can wait for it."""
    session = desk.session(*instances(1))
    desk.begin(session)
    desk.end(session, status)

    assert desk.say("session", "watch", session).code == code


def test_a_wait_that_is_over_leaves_the_session_alone(desk: Desk) -> None:
    """Exit code 6; as JSON the record says that it goes on."""
    session = desk.session(*instances(1))

    said = desk.say("session", "stop", session, "--wait", "--timeout", "0.01", "-o", "json")

    assert said.code == 6
    assert said.document()["sessionId"] == session
    assert "goes on" in said.err


def test_ctrl_c_detaches(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 130; nothing is stopped."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    session = desk.session(*instances(1))
    monkeypatch.setattr("console.live.watch.Reader.read", interrupted)

    said = desk.say("session", "watch", session)

    assert said.code == 130
    assert f"daywork session watch {session}" in said.err
    record = desk.say("session", "show", session, "-o", "json").document()
    assert record["status"] == "pending"


def test_a_closed_pipe_is_no_error(desk: Desk) -> None:
    """`daywork session list | head -1` ends well."""
    for _ in range(3):
        desk.session(*instances(1))
    reading, writing = os.pipe()
    os.close(reading)

    done = subprocess.run(
        [sys.executable, "-c", "from console.cli import main; import sys; sys.argv[1:] = ['session', 'list']; main()"],
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)

    assert (done.returncode, done.stderr) == (0, b"")


def test_completion_offers_sessions_and_operations(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """And offers nothing, without a word, when the ledger is away."""
    from console.cli.common import completed_operations, completed_sessions

    session = desk.session(*instances(1))

    assert completed_sessions("s-") == [(session, "ec2-backup pending")]
    assert completed_sessions("x") == []
    assert [name for name, _ in completed_operations("ec2-b")] == ["ec2-backup"]
    monkeypatch.setenv("DAYWORK_DATABASE_URL", "sqlite:////nowhere/ledger.sqlite3")
    assert completed_sessions("s-") == []
