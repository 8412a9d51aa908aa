"""Policies through Celery itself: beats, their ticks, a session as any other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from support.desk import REGION, REGISTRY, A
from support.servers import wait_for

from orchestrator.ledger import registry, schedules, schema, sessions
from orchestrator.model.account import Registry
from orchestrator.model.status import SessionStatus
from orchestrator.scheduler import asking
from orchestrator.scheduler.policy import read_policy

#: Long before any run of these tests: a tick of every year since is missed.
LONG_AGO = datetime(2024, 6, 1, tzinfo=UTC)


@pytest.fixture
def start_beat(plain: Any) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Return a function that starts a beat; all end with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        with (plain.directory / "beat.log").open("ab") as log:
            command = [sys.executable, "-m", "console", "run", "beat"]
            started.append(subprocess.Popen(command, env=plain.environment, stdout=log, stderr=log))
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.wait(timeout=30)


def apply_missed(plain: Any, name: str) -> None:
    """Apply a policy of every New Year that nobody has looked at for years: one run makes up for it."""
    document = {
        "name": name,
        "operation": "ec2-backup",
        "resources": [{"account": A, "region": REGION, "id": "i-0a1b2c3d4e5f60718"}],
        "schedule": {"cron": "0 0 1 1 *"},
    }
    asking.apply(plain.services.ledger, [read_policy(document)])
    table = schema.schedules
    with plain.services.ledger.write() as tx:
        tx.execute(sa.update(table).where(table.c.name == name).values(seen_at=LONG_AGO, next_at=LONG_AGO))


def ran(plain: Any, name: str) -> list[SessionStatus]:
    """Return the statuses of a policy's sessions."""
    with plain.services.ledger.read() as tx:
        return [one.status for one in sessions.recent(tx) if one.policy == name]


def test_two_beats_make_one_session_and_one_of_them_is_enough(
    plain: Any, start_beat: Callable[[], subprocess.Popen[bytes]]
) -> None:
    """The second policy comes when one of the beats is dead."""
    with plain.services.ledger.write() as tx:
        registry.apply(tx, Registry.model_validate(REGISTRY))
    apply_missed(plain, "first")
    plain.start_worker()
    victim, survivor = start_beat(), start_beat()

    wait_for(lambda: ran(plain, "first") == [SessionStatus.SUCCESS], seconds=60)
    victim.kill()
    apply_missed(plain, "second")
    wait_for(lambda: ran(plain, "second") == [SessionStatus.SUCCESS], seconds=60)

    assert survivor.poll() is None
    assert ran(plain, "first") == [SessionStatus.SUCCESS]
    with plain.services.ledger.read() as tx:
        entry = schedules.get(tx, "first")
    assert entry.next_at is not None
    assert entry.next_at > entry.applied_at
