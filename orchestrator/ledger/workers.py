"""Workers: instances of ours, whom they belong to and when they were last heard of."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
_WORKERS_LOCKED = (
    sa.select(schema.workers)
    .where(schema.workers.c.instance_id.in_(sa.bindparam("instances", expanding=True)))
    .order_by(schema.workers.c.instance_id)
    .with_for_update()
)
_PAGE = 500
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


def units(tx: Transaction, instance_ids: Iterable[str]) -> dict[str, WorkKey | None]:
    """Return the resources that known instances work for: who writes about workers locks these first (`work.lock`)."""
    table, found = schema.workers, {}
    for page in _pages(instance_ids):
        query = sa.select(table.c.instance_id, table.c.session_id, table.c.ordinal)
        for row in tx.rows(query.where(table.c.instance_id.in_(page))):
            found[row.instance_id] = None if row.ordinal is None else WorkKey(row.session_id, row.ordinal)
    return found


def _pages(names: Iterable[str]) -> Iterator[list[str]]:
    everything = sorted(set(names))
    for start in range(0, len(everything), _PAGE):
        yield everything[start : start + _PAGE]


def alive(tx: Transaction, session: str | None = None) -> list[Worker]:
    """List workers that are not known to be terminated, of one session or of all."""
    table = schema.workers
    query = sa.select(table).where(schema.ALIVE).order_by(table.c.launched_at, table.c.instance_id)
    if session is not None:
        query = query.where(table.c.session_id == session)
    return [_worker(row) for row in tx.rows(query)]


def count_alive(tx: Transaction, account: str, region: str) -> int:
    """Return how many workers of an account and Region are not known to be terminated."""
    table = schema.workers
    query = sa.select(sa.func.count()).where(schema.ALIVE, table.c.account == account, table.c.region == region)
    return int(tx.execute(query).scalar_one())


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


def news(tx: Transaction, states: Mapping[str, str]) -> dict[str, str]:
    """Return those of the states shown by EC2 that the ledger does not know yet, whatever the number in few looks."""
    table, found = schema.workers, {}
    for page in _pages(states):
        query = sa.select(table.c.instance_id, table.c.state).where(table.c.instance_id.in_(page), schema.ALIVE)
        found.update({row.instance_id: states[row.instance_id] for row in tx.rows(query)
                      if row.state != states[row.instance_id]})  # fmt: skip
    return found


@dataclass(frozen=True, kw_only=True)
class News:
    """A report that is news, with the worker as it is after it; `is_first` says that it was the worker's first."""

    report: Report
    worker: Worker
    is_first: bool


def hear(tx: Transaction, reports: Sequence[Report]) -> list[News]:
    """Write reports down, however many, in few statements. Returns those that are news, in their order.

    Old ones, and those of a worker that we do not know or that works for another session, are not.
    """
    known: dict[str, Worker] = {}
    for page in _pages(report.instance_id for report in reports):
        known |= {row.instance_id: _worker(row) for row in tx.rows(_WORKERS_LOCKED, {"instances": page})}
    told: list[News] = []
    for report in reports:
        worker = known.get(report.instance_id)
        if worker is None or worker.session != report.session or report.sequence <= worker.sequence:
            continue
        known[report.instance_id] = after = _after(worker, report, tx.now)
        told.append(News(report=report, worker=after, is_first=worker.ready_at is None))
    for with_result in (False, True):
        ids = {one.report.instance_id for one in told if (one.report.kind == "result") is with_result}
        if ids:
            tx.execute(_SET, [_heard(known[name], with_result=with_result) for name in sorted(ids)])
    return told


def _after(worker: Worker, report: Report, now: datetime) -> Worker:
    is_result = report.kind == "result" and _is_first(worker, report)
    return replace(
        worker,
        sequence=report.sequence,
        heard_at=now,
        user_id=report.user_id,
        ready_at=worker.ready_at or now,
        report=report.to_dict() if is_result else worker.report,
    )


def _heard(worker: Worker, *, with_result: bool) -> dict[str, Any]:
    names = ("sequence", "heard_at", "user_id", "ready_at", *(["report"] if with_result else []))
    return {"of_instance": worker.instance_id, **{name: getattr(worker, name) for name in names}}


def _is_first(known: Worker, report: Report) -> bool:
    """Whether it is the first result under its fence: one under a false fence must not keep the true one out."""
    return known.report is None or known.report.get("fence", 0) != report.fence


def learn_result(tx: Transaction, report: Report) -> None:
    """Write down a result that was found beside the order and not in the queue."""
    known = get(tx, report.instance_id)
    if known is not None and _is_first(known, report):
        tx.execute(_SET, {"of_instance": report.instance_id, "report": report.to_dict(), "heard_at": tx.now})


def places(tx: Transaction, most: int = 1000) -> list[tuple[str, str, str | None, Sequence[str]]]:
    """Group live workers by account, Region and the role that deployed them, with ids of `most` of them each.

    Where there are more, others are named each time: whoever looks again and again sees all of them.
    """
    table = schema.workers
    place = (table.c.account, table.c.region, table.c.role)
    found: list[tuple[str, str, str | None, Sequence[str]]] = []
    for row in tx.rows(sa.select(*place).where(schema.ALIVE).distinct().order_by(*place)):
        query = sa.select(table.c.instance_id).where(
            schema.ALIVE, table.c.account == row.account, table.c.region == row.region, table.c.role == row.role
        )
        # AWS's ids are random, so beginning at a random one is a fair draw.
        begin = f"i-{secrets.token_hex(8)}"
        in_order = query.order_by(table.c.instance_id)
        ids = [one.instance_id for one in tx.rows(in_order.where(table.c.instance_id >= begin).limit(most))]
        if len(ids) < most:
            rest = in_order.where(table.c.instance_id < begin).limit(most - len(ids))
            ids = [one.instance_id for one in tx.rows(rest)] + ids
        found.append((row.account, row.region, row.role, ids))
    return found


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
