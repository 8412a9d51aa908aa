"""Pool children and their Celery worker."""

from __future__ import annotations

import os
import signal
from typing import Any

import psutil
import sqlalchemy as sa
from support.plain import submit
from support.servers import wait_for

from console.stack.processes import Process
from orchestrator.ledger import schema, sessions, work
from orchestrator.model.status import ResourceStatus, Step
from orchestrator.model.work import SESSION, WorkKey


def test_a_child_that_is_deep_in_a_call_dies_with_its_celery_worker(plain: Any) -> None:
    """Only the parent is killed; a child that cannot run any code of its own does not outlive it."""
    plain.start_worker()
    parent = psutil.Process(plain.worker.pid)
    wait_for(lambda: len(parent.children()) == 2, seconds=60)
    wait_for(lambda: plain.app.control.inspect(timeout=1).ping(), seconds=60)
    children = [Process.find(child.pid) for child in parent.children()]
    assert None not in children
    for child in children:
        child.signal(signal.SIGSTOP)

    os.kill(parent.pid, signal.SIGKILL)

    wait_for(lambda: not any(child.is_alive for child in children), seconds=30)


def test_a_child_goes_on_with_what_a_dead_one_had_claimed(plain: Any) -> None:
    """Also when the message is lost with the broker's data: no claim has to run out, and no reconciler is needed."""
    session = submit(plain.services, 4, park=True)
    plain.start_worker()
    plain.services.dispatch.drive([WorkKey(session, SESSION)])
    table = schema.work
    of_first = sa.and_(table.c.session_id == session, table.c.ordinal == 0)

    def first() -> Any:
        with plain.services.ledger.read() as tx:
            return tx.row(sa.select(table).where(of_first))

    wait_for(lambda: (row := first()) is not None and row.parked, seconds=60)
    with plain.services.ledger.write() as tx:
        claimed = {"parked": False, "wait_until": None, "claimed_until": tx.now + work.CLAIM}
        tx.execute(sa.update(table).where(of_first).values(**claimed))

    os.kill(int(first().holder.rpartition("/")[2]), signal.SIGKILL)

    wait_for(lambda: first().step == Step.DONE, seconds=30)
    with plain.services.ledger.read() as tx:
        assert sessions.resource(tx, WorkKey(session, 0)).status is ResourceStatus.SUCCESS
