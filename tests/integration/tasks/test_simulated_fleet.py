"""A session of hundreds with simulated workers: reports through the listener, nothing in the broker while all wait."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
import sqlalchemy as sa
from support.plain import submit
from support.servers import valkey, wait_for
from support.simulated import BORN, GO, ORDERS, REPORTS

from config.celeryconfig import QUEUES
from orchestrator.fleet.watch import watch
from orchestrator.ledger import schema, sessions
from orchestrator.ledger.migrate import upgrade
from orchestrator.model.status import RESOURCE_STEPS, ResourceStatus, SessionStatus
from orchestrator.model.work import SESSION, WorkKey
from orchestrator.reconcile import reconcile

ROOT = Path(__file__).parents[3]
COUNT = 300


@contextmanager
def running(directory: Path, environment: dict[str, str], name: str, *command: str) -> Iterator[None]:
    """Run a process of the fleet; killed with its children at the end."""
    with (directory / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield
    finally:
        os.killpg(process.pid, 9)
        process.wait()


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A Celery worker, a listener and agents; yields services and the broker."""
    with ExitStack() as stack:
        url, _ = stack.enter_context(valkey(tmp_path))
        variables = {
            "DAYWORK_BROKER_URL": url,
            "DAYWORK_STATE_DIR": str(tmp_path),
            "DAYWORK_CONTROL_BUCKET": "none",
            "DAYWORK_REPORT_QUEUE": "none",
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        sys.modules.pop("support.simulated_app", None)
        from support.simulated_app import app

        stack.callback(app.close)
        stack.callback(app.services.ledger.close)
        upgrade(app.services.ledger.engine)
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
        worker = (
            "celery", "-A", "support.simulated_app:app", "worker", "-c", "2", "-E", "-l", "WARNING",
            "--without-gossip", "--without-mingle", "-Q", ",".join(QUEUES),
        )  # fmt: skip
        stack.enter_context(running(tmp_path, environment, "worker", *worker))
        stack.enter_context(running(tmp_path, environment, "listener", "support.simulated_listener"))
        stack.enter_context(running(tmp_path, environment, "agents", "support.simulated_agents", "2"))
        broker = redis.Redis.from_url(url)
        stack.callback(broker.close)
        wire = redis.Redis.from_url(f"{url.rsplit('/', 1)[0]}/1")
        stack.callback(wire.close)
        yield app.services, broker, wire


def messages(broker: redis.Redis) -> int:
    """Return how many messages wait or are in somebody's hands."""
    return sum(broker.llen(queue) for queue in QUEUES) + broker.hlen("unacked")  # type: ignore[misc]


def test_hundreds_run_to_the_end_and_hold_nothing_while_they_wait(fleet: Any) -> None:
    """While all jobs run and send heartbeats: no message, the same few keys, no step that runs again."""
    services, broker, wire = fleet
    session = submit(services, COUNT)
    services.dispatch.drive([WorkKey(session, SESSION)])

    def waiting() -> int:
        with services.ledger.read() as tx:
            return sessions.statuses(tx, session).get(ResourceStatus.RUNNING, 0)

    wait_for(lambda: waiting() == COUNT and not messages(broker), seconds=120)
    # What a chord has counted so far, and nothing for each resource: queues' bindings, the chord, Celery's own.
    assert len(broker.keys("*")) < 20
    beats = sa.select(sa.func.min(schema.workers.c.sequence))
    with services.ledger.read() as tx:
        fences = tx.execute(sa.select(sa.func.sum(schema.work.c.fence))).scalar_one()

    def has_beaten() -> bool:
        with services.ledger.read() as tx:
            return bool(tx.execute(beats).scalar_one() >= 3)

    wait_for(has_beaten, seconds=60)
    watch(services)
    assert reconcile(services) == 0
    assert messages(broker) == 0
    with services.ledger.read() as tx:
        assert tx.execute(sa.select(sa.func.sum(schema.work.c.fence))).scalar_one() == fences

    wire.set(GO, 1)

    def status() -> SessionStatus:
        with services.ledger.read() as tx:
            return sessions.get(tx, session).status

    wait_for(lambda: status().is_final, seconds=120)
    assert status() is SessionStatus.SUCCESS
    assert not messages(broker)
    assert not wire.exists(BORN, ORDERS, REPORTS)
    with services.ledger.read() as tx:
        done = tx.rows(
            sa.select(schema.steps.c.step, sa.func.count().label("number"))
            .where(schema.steps.c.session_id == session, schema.steps.c.outcome == "success")
            .group_by(schema.steps.c.step)
        )
        assert {row.step: row.number for row in done} == {str(step): COUNT for step in RESOURCE_STEPS}
