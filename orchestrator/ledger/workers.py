"""Workers: instances of ours, whom they belong to and when they were last heard of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from agent.protocol import Report
from orchestrator.ledger import schema
from orchestrator.ledger.store import Transaction
from orchestrator.model.work import WorkKey

TERMINATED = "terminated"


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A worker. `state` is EC2's word; `report` is the result it gave, once it has."""

    instance_id: str
    account: str
    region: str
    session: str
    ordinal: int | None
    attempt: int
    role: str | None
    state: str
    instance_type: str
    availability_zone: str
    user_id: str | None
    sequence: int
    report: dict[str, Any] | None
    launched_at: datetime
    ready_at: datetime | None
    heard_at: datetime | None
    terminated_at: datetime | None


_WORKER = sa.select(schema.workers).where(schema.workers.c.instance_id == sa.bindparam("of_instance"))
_WORKER_LOCKED = _WORKER.with_for_update()
_SET = sa.update(schema.workers).where(schema.workers.c.instance_id == sa.bindparam("of_instance"))


def enter(
    tx: Transaction,
    *,
    instance_id: str,
    account: str,
    region: str,
    session: str,
    ordinal: int | None,
    attempt: int,
    role: str | None,
    state: str,
    instance_type: str,
    availability_zone: str,
) -> None:
    """Write a launched worker down; one that is known already stays as it is."""
    tx.insert_missing(
        schema.workers,
        {
            "instance_id": instance_id,
            "account": account,
            "region": region,
            "session_id": session,
            "ordinal": ordinal,
            "attempt": attempt,
            "role": role,
            "state": state,
            "instance_type": instance_type,
            "availability_zone": availability_zone,
            "launched_at": tx.now,
        },
    )


def get(tx: Transaction, instance_id: str) -> Worker | None:
    """Return a worker, or None."""
    row = tx.row(_WORKER, {"of_instance": instance_id})
    return None if row is None else _worker(row)


def units(tx: Transaction, instance_ids: Sequence[str]) -> list[WorkKey]:
    """Return the resources that instances work for: who writes about workers locks these first (`work.lock`)."""
    table = schema.workers
    query = sa.select(table.c.session_id, table.c.ordinal).where(
        table.c.instance_id.in_(instance_ids), table.c.ordinal.is_not(None)
    )
    return [WorkKey(row.session_id, row.ordinal) for row in tx.rows(query)]


def alive(tx: Transaction, session: str | None = None) -> list[Worker]:
    """List workers that are not known to be terminated, of one session or of all."""
    table = schema.workers
    query = sa.select(table).where(table.c.state != TERMINATED).order_by(table.c.launched_at, table.c.instance_id)
    if session is not None:
        query = query.where(table.c.session_id == session)
    return [_worker(row) for row in tx.rows(query)]


def of_session(tx: Transaction, session: str) -> list[Worker]:
    """List all workers a session has had."""
    table = schema.workers
    query = sa.select(table).where(table.c.session_id == session).order_by(table.c.launched_at, table.c.instance_id)
    return [_worker(row) for row in tx.rows(query)]


def of_unit(tx: Transaction, key: WorkKey) -> list[Worker]:
    """List the workers that one resource has had, one for each attempt that came so far."""
    table = schema.workers
    query = sa.select(table).where(table.c.session_id == key.session, table.c.ordinal == key.ordinal)
    return [_worker(row) for row in tx.rows(query.order_by(table.c.attempt))]


def seen(tx: Transaction, instance_id: str, state: str) -> bool:
    """Write down the state EC2 shows. Returns whether it changed; a terminated worker stays terminated."""
    table = schema.workers
    values: dict[str, Any] = {"state": state}
    if state == TERMINATED:
        values["terminated_at"] = tx.now
    done = tx.execute(
        sa.update(table)
        .where(table.c.instance_id == instance_id, table.c.state != state, table.c.state != TERMINATED)
        .values(**values)
    )
    return bool(done.rowcount)


def heard(tx: Transaction, report: Report) -> Worker | None:
    """Write a report down. Returns the worker when the report is news, None when it is old or of nobody we know."""
    row = tx.row(_WORKER_LOCKED, {"of_instance": report.instance_id})
    known = None if row is None else _worker(row)
    if known is None or known.session != report.session or report.sequence <= known.sequence:
        return None
    values: dict[str, Any] = {"sequence": report.sequence, "heard_at": tx.now, "user_id": report.user_id}
    if known.ready_at is None:
        values["ready_at"] = tx.now
    if report.kind == "result" and _is_first(known, report):
        values["report"] = report.to_dict()
    tx.execute(_SET, {"of_instance": report.instance_id, **values})
    return replace(known, **values)


def _is_first(known: Worker, report: Report) -> bool:
    """Whether it is the first result under its fence: one under a false fence must not keep the true one out."""
    return known.report is None or known.report.get("fence", 0) != report.fence


def learn_result(tx: Transaction, report: Report) -> None:
    """Write down a result that was found beside the order and not in the queue."""
    known = get(tx, report.instance_id)
    if known is not None and _is_first(known, report):
        tx.execute(_SET, {"of_instance": report.instance_id, "report": report.to_dict(), "heard_at": tx.now})


def places(tx: Transaction) -> list[tuple[str, str, str | None, Sequence[str]]]:
    """Group live workers by account, Region and the role that deployed them, with their instance ids."""
    found: dict[tuple[str, str, str | None], list[str]] = {}
    for worker in alive(tx):
        found.setdefault((worker.account, worker.region, worker.role), []).append(worker.instance_id)
    return [(*place, ids) for place, ids in found.items()]


def _worker(row: sa.Row[Any]) -> Worker:
    return Worker(
        instance_id=row.instance_id,
        account=row.account,
        region=row.region,
        session=row.session_id,
        ordinal=row.ordinal,
        attempt=row.attempt,
        role=row.role,
        state=row.state,
        instance_type=row.instance_type,
        availability_zone=row.availability_zone,
        user_id=row.user_id,
        sequence=row.sequence,
        report=row.report,
        launched_at=row.launched_at,
        ready_at=row.ready_at,
        heard_at=row.heard_at,
        terminated_at=row.terminated_at,
    )
