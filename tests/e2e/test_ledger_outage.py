"""The ledger on PostgreSQL, away in the middle of sessions: everything waits for it, goes on, and ends right."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from support import canaries
from support.stack import REGION, Stack, running_stack, until
from support.stacks_on_postgres import frozen, open_directory, server

from orchestrator.errors import LedgerUnavailable

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def stack() -> Iterator[Stack]:
    """One production account with three instances."""
    with (
        open_directory() as directory,
        running_stack(directory / "state", accounts=1, instances=3, up=("--ledger", "postgres")) as running,
    ):
        yield running


def begin(stack: Stack, mode: str) -> str:
    """Start a backup of all instances, and wait until agents are at work."""
    resources = [
        {"account": account, "region": REGION, "id": one} for account, ids in stack.instances().items() for one in ids
    ]
    request = {"operation": "ec2-backup", "mode": mode, "resources": resources, "options": {"full": True}}
    session = stack.start(request)
    stack.wait_for_status(session, {"running"})
    return session


def answers(stack: Stack) -> bool:
    """Whether the ledger answers, on the connections that this test has had open as well."""
    try:
        stack.statuses("s-none")
    except LedgerUnavailable:
        return False
    return True


def check(stack: Stack, session: str) -> None:
    """Wait for a session's end within a minute: success, each resource once, and nothing left in any account."""
    until(lambda: answers(stack))
    record = stack.wait(session, seconds=60)

    assert record["status"] == "success", record
    assert record["counts"]["success"] == 3
    assert [one["attempts"] for one in record["resources"]] == [1, 1, 1]
    assert len({one["result"]["restorePoint"] for one in record["resources"]}) == 3
    assert record["receipt"]["remaining"] == []
    kept = {one["id"] for one in record["receipt"]["kept"]}
    assert stack.left(kept=frozenset(kept)) == []


def test_a_ledger_on_postgresql_may_be_away_for_a_while(stack: Stack) -> None:
    """Frozen, killed with -9, and ended with its stack: nothing that was accepted is lost, and no secret is told."""
    frozen_in_the_middle(stack)
    session = killed_in_the_middle(stack)
    assert canaries.settings_of(stack).ledger_url.startswith("postgresql")
    assert canaries.leaks(stack, flower=False) == []
    stays_when_the_stack_is_started_again(stack, session)


def frozen_in_the_middle(stack: Stack) -> None:
    """Commands say within seconds that the ledger does not answer; steps wait for it, and agents go on working."""
    with stack.fault(operation="ebs:GetSnapshotBlock", kind="latency", seconds=0.2):
        session = begin(stack, "backup")
        with frozen(stack):
            told = stack.run("session", "show", session)

    assert told.returncode == 9, told.stderr
    assert "the ledger does not answer: its server did not answer in time" in told.stderr
    assert "Traceback" not in told.stderr
    check(stack, session)


def killed_in_the_middle(stack: Stack) -> str:
    """The stack starts it again; it recovers what it had promised, and the session goes on."""
    with stack.fault(operation="ebs:GetSnapshotBlock", kind="latency", seconds=0.2):
        session = begin(stack, "production")
        before = server(stack)
        os.kill(before, signal.SIGKILL)
        until(lambda: any(one["name"] == "postgres" and one["pid"] != before for one in stack.record["processes"]))

    check(stack, session)
    return session


def stays_when_the_stack_is_started_again(stack: Stack, session: str) -> None:
    """Without being told again: on the same data, with the same password."""
    stack.daywork("down")

    stack.daywork("up", "--detach")

    assert stack.show(session)["status"] == "success"
    assert stack.record["addresses"]["ledger"].startswith("postgresql://127.0.0.1:")
    assert not (stack.directory / "ledger.sqlite3").exists()
