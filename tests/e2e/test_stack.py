"""The stack itself: it starts, stays up, ends, and starts again with what it knew."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from support import canaries
from support.servers import free_port, wait_for
from support.stack import Stack

from console.stack.processes import Process
from console.stack.programs import http_answers

pytestmark = pytest.mark.timeout(600)

NAMES = {
    "supervisor", "valkey", "cloud", "celery-worker", "celery-periodic", "listener", "intake", "beat", "flower",
}  # fmt: skip


@contextmanager
def started(directory: Path) -> Iterator[Stack]:
    """Start a stack that is not seeded, and end it for sure."""
    stack = Stack(directory)
    try:
        stack.daywork("up", "--detach", "--flower-port", "0")
        yield stack
    finally:
        stack.run("down")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One running stack for the tests that leave it running."""
    with started(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture
def stack(shared: Stack) -> Stack:
    """The shared stack; whatever the test before has killed is up again and answers."""
    wait_for(
        lambda: names(shared) == NAMES and http_answers(shared.record["addresses"]["flower"], "/healthcheck"),
        seconds=180,
    )
    return shared


def pid_of(stack: Stack, name: str) -> int:
    """Return a process's id."""
    return next(int(one["pid"]) for one in stack.record["processes"] if one["name"] == name)


def is_new(stack: Stack, name: str, before: int) -> bool:
    """Whether a process runs again under another id. One look: it may come and go between two of them."""
    return any(int(one["pid"]) != before for one in stack.record["processes"] if one["name"] == name)


def names(stack: Stack) -> set[str]:
    """Return the names of the processes that run."""
    return {one["name"] for one in stack.record["processes"]}


def broker(stack: Stack) -> redis.Redis:
    """Return a client of the stack's broker."""
    return redis.Redis.from_url(canaries.settings_of(stack).broker_url)


def alive(pids: list[int]) -> list[int]:
    """Return those that still run."""
    return [pid for pid in pids if (one := Process.find(pid)) is not None and one.is_alive]


def test_everything_runs_and_answers(stack: Stack) -> None:
    """The record names each process; cloud, Flower and broker listen on this machine alone."""
    record = stack.record

    assert names(stack) == NAMES
    assert canaries.fetch(record["addresses"]["cloud"] + "/_sim/health")
    assert canaries.fetch(record["addresses"]["flower"] + "/healthcheck") == b"OK"
    assert all("//127.0.0.1:" in address for address in record["addresses"].values())
    with broker(stack) as client:
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_the_broker_asks_for_its_password(stack: Stack) -> None:
    """Another user of the machine must not be able to give us work."""
    address = stack.record["addresses"]["broker"]

    with redis.Redis.from_url(address) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()


def test_only_the_owner_can_read_the_state(stack: Stack) -> None:
    """The directory is closed, and so is what holds a secret."""
    assert stack.directory.stat().st_mode & 0o077 == 0
    for name in ("daywork.toml", "credentials", "stack.json", "env.json", "valkey/valkey.conf"):
        assert (stack.directory / name).stat().st_mode & 0o077 == 0


def test_a_second_up_is_refused_and_names_the_first(stack: Stack) -> None:
    """Nothing of the running one is touched."""
    before = stack.record

    done = stack.run("up", "--detach")

    assert done.returncode == 8
    assert f"process {pid_of(stack, 'supervisor')}" in done.stderr
    assert "daywork down" in done.stderr
    assert stack.record == before


@pytest.mark.parametrize("name", ["beat", "listener", "intake", "flower", "celery-worker", "celery-periodic"])
def test_a_process_that_dies_is_started_again(stack: Stack, name: str) -> None:
    """Killed with -9; the log of the supervisor says so."""
    before = pid_of(stack, name)

    os.kill(before, signal.SIGKILL)

    wait_for(lambda: is_new(stack, name, before), seconds=180)
    log = (stack.directory / "logs" / "supervisor.log").read_text()
    assert f"how='signal SIGKILL' log={stack.directory / 'logs' / name}.log pid={before}" in log


def test_the_broker_comes_back_with_what_it_held(stack: Stack) -> None:
    """Its append-only file is written every second; here it was asked to be."""
    before = pid_of(stack, "valkey")
    with broker(stack) as client:
        client.set("held", "still there")
        client.execute_command("BGREWRITEAOF")
        wait_for(lambda: client.info("persistence")["aof_rewrite_in_progress"] == 0, seconds=180)

    os.kill(before, signal.SIGKILL)

    wait_for(lambda: is_new(stack, "valkey", before), seconds=180)
    with broker(stack) as client:
        wait_for(lambda: answers(client), seconds=180)
        assert client.get("held") == b"still there"


def answers(client: redis.Redis) -> bool:
    """Whether the broker answers."""
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def test_env_lets_boto3_look_into_an_account(stack: Stack) -> None:
    """The lines are for a shell's eval; nothing of the caller's own cloud shines through."""
    lines = stack.daywork("env", "--account", "222222222222")

    code = "import boto3; print(boto3.client('sts').get_caller_identity()['Account'])"
    told = subprocess.run(
        ["/bin/sh", "-c", f'{lines}\n"$0" -c "$1"', sys.executable, code],
        env={**stack.environment, "AWS_SESSION_TOKEN": "of-another-life"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == "222222222222"


def test_no_secret_can_be_seen(stack: Stack) -> None:
    """Not in arguments, environments, broker, ledger, logs or Flower's pages."""
    assert canaries.leaks(stack) == []


def test_a_stack_ends_without_a_trace_and_starts_again_with_what_it_knew(tmp_path: Path) -> None:
    """Ledger and broker keep their state; the emulated cloud begins anew, and `up` says so."""
    with started(tmp_path / "state") as stack:
        stack.daywork("cloud", "seed", "--accounts", "1", "--instances", "0")
        with broker(stack) as client:
            client.set("held", "still there")
        pids, address = canaries.processes(stack), stack.record["addresses"]["cloud"]

        ended = stack.run("down")
        again = stack.run("down")

        assert ended.returncode == again.returncode == 0
        assert "has ended" in ended.stderr
        assert "No stack ran" in again.stderr
        assert alive(pids) == []
        assert not (stack.directory / "stack.json").exists()
        with pytest.raises(OSError, match="refused"):
            canaries.fetch(address)

        told = stack.run("up", "--detach", "--flower-port", "0")

        assert told.returncode == 0
        assert "cloud starts empty" in told.stderr
        assert stack.record["addresses"]["cloud"] == address
        assert "222222222222" in stack.daywork("account", "list", "--output", "json")
        with broker(stack) as client:
            assert client.get("held") == b"still there"


def test_a_killed_supervisor_takes_everything_along_and_the_next_up_succeeds(tmp_path: Path) -> None:
    """Nobody is left behind, and nothing has to be tidied up by hand."""
    with started(tmp_path / "state") as stack:
        pids = canaries.processes(stack)

        os.kill(pid_of(stack, "supervisor"), signal.SIGKILL)
        wait_for(lambda: alive(pids) == [], seconds=180)

        stack.daywork("up", "--detach", "--flower-port", "0")
        assert names(stack) == NAMES


def test_a_cloud_that_dies_is_started_again_and_everybody_gets_its_new_key(tmp_path: Path) -> None:
    """It begins empty: the control plane's old key means nothing to it."""
    with started(tmp_path / "state") as stack:
        before = {name: pid_of(stack, name) for name in NAMES}
        key = (stack.directory / "credentials").read_text()

        os.kill(before["cloud"], signal.SIGKILL)

        changed = ("cloud", "celery-worker", "celery-periodic", "listener")

        def are_new() -> bool:
            # One look: processes come and go between two of them.
            pids = {one["name"]: one["pid"] for one in stack.record["processes"]}
            return pids.keys() == before.keys() and all(pids[name] != before[name] for name in changed)

        wait_for(are_new, seconds=180)
        assert (stack.directory / "credentials").read_text() != key
        assert pid_of(stack, "valkey") == before["valkey"]
        stack.daywork("cloud", "seed", "--accounts", "1", "--instances", "0")


def test_in_the_foreground_a_signal_ends_everything(tmp_path: Path) -> None:
    """Addresses on stdout when it is ready; Ctrl-C is a normal end."""
    stack = Stack(tmp_path / "state")
    command = [sys.executable, "-m", "console", "up", "--flower-port", "0"]
    with subprocess.Popen(
        command, env=stack.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        told = iter(process.stdout.readline, "")
        assert any("Ctrl-C" in line for line in told)
        pids = canaries.processes(stack)

        process.send_signal(signal.SIGINT)

        assert process.wait(60) == 0
    assert alive(pids) == []


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("DAYWORK_BOOT_SECONDS", "-1", "DAYWORK_BOOT_SECONDS"),
        ("DAYWORK_BROKER_URL", "redis://elsewhere", "DAYWORK_BROKER_URL"),
        ("DAYWORK_INSTALL_ID", "No Capitals", "DAYWORK_INSTALL_ID"),
    ],
)
def test_wrong_settings_are_told_before_anything_starts(tmp_path: Path, variable: str, value: str, named: str) -> None:
    """By name, with nothing started and nothing left."""
    stack = Stack(tmp_path / "state", {variable: value})

    done = stack.run("up", "--detach")

    assert done.returncode == 8
    assert named in done.stderr
    assert not (stack.directory / "stack.json").exists()


def test_a_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    """Named, with the way out."""
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"], stderr=subprocess.DEVNULL, cwd=tmp_path
    ) as other:
        wait_for(lambda: _listens(port), seconds=180)
        done = Stack(tmp_path / "state").run("up", "--detach", "--cloud-port", str(port))
        other.kill()

    assert done.returncode == 8
    assert f"port {port} is taken" in done.stderr


def _listens(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5):
            return True
    except OSError:
        return False


def test_a_process_that_cannot_start_ends_the_start(tmp_path: Path) -> None:
    """With the last lines of its log; whatever ran already is ended."""
    stack = Stack(tmp_path / "state")
    stack.directory.mkdir()
    (stack.directory / "ledger.sqlite3").write_bytes(b"this is no database" * 100)

    done = stack.run("up", "--detach", "--flower-port", "0")

    assert done.returncode == 8
    assert "file is not a database" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (stack.directory / "stack.json").exists()
