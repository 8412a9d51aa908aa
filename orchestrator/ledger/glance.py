"""A session at a glance, for whoever watches it: few cheap queries, whatever the session's size.

The whole record of a session (`orchestrator.records`) reads every plan and every step. A live view asks four times a
second, so it gets counts, sums and a bounded number of rows, and the statuses of all resources as bare columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from orchestrator.errors import NotFound
from orchestrator.ledger import schema
from orchestrator.ledger.store import Transaction
from orchestrator.ledger.workers import TERMINATED
from orchestrator.model.status import ResourceStatus, SessionStatus

#: Who is shown first when not everybody can be: what went wrong, what moves, what waits, what is done.
_URGENCY = (
    (ResourceStatus.FAILED,),
    (ResourceStatus.RUNNING,),
    (ResourceStatus.TEARING_DOWN,),
    (ResourceStatus.READY, ResourceStatus.BOOTING, ResourceStatus.LAUNCHING),
    (ResourceStatus.WAITING_FOR_CAPACITY, ResourceStatus.WAITING_FOR_SOURCE, ResourceStatus.ASSUMING_ROLE),
    (ResourceStatus.WARNING, ResourceStatus.STOPPED),
    (ResourceStatus.PENDING,),
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One resource; `step_since` is when its present step began."""

    ordinal: int
    account: str
    region: str
    resource_id: str
    status: ResourceStatus
    reason: str | None
    remedy: str | None
    attempt: int
    done: int
    total: int
    unit: str
    instance_id: str | None
    started_at: datetime | None
    ended_at: datetime | None
    step_since: datetime | None


@dataclass(frozen=True, kw_only=True)
class Glance:
    """A session and what of it fits a screen.

    `done` and `total` are sums in `unit`. Of a resource that has ended only what it did counts: what a failed one left
    undone is not waited for. `unheard` counts resources whose work is known by its plan alone, because no worker has
    told of it yet. `workers` counts those alive.
    """

    at: datetime
    id: str
    operation: str
    mode: str
    status: SessionStatus
    reason: str | None
    created_at: datetime
    started_at: datetime | None
    stop_at: datetime | None
    ended_at: datetime | None
    counts: Mapping[ResourceStatus, int]
    done: int
    total: int
    unit: str
    unheard: int
    workers: int
    rows: tuple[Row, ...]

    @property
    def resources(self) -> int:
        """How many resources the session has."""
        return sum(self.counts.values())


def glance(tx: Transaction, session: str, *, rows: int) -> Glance:
    """Return a session with `rows` resources at most: all in their order if they fit, else the most urgent first.

    Raises `NotFound`.
    """
    table = schema.sessions
    found = tx.row(
        sa.select(
            table.c.operation,
            table.c.mode,
            table.c.status,
            table.c.reason,
            table.c.created_at,
            table.c.started_at,
            table.c.stop_at,
            table.c.ended_at,
        ).where(table.c.id == session)
    )
    if found is None:
        raise NotFound("no such session", field="session", value=session, remedy="See daywork session list")
    things = schema.resources
    groups = tx.rows(
        sa.select(
            things.c.status,
            sa.func.count().label("number"),
            sa.func.sum(things.c.done).label("done"),
            sa.func.sum(things.c.total).label("total"),
            sa.func.min(things.c.unit).label("unit"),
            sa.func.sum(sa.case((things.c.done == 0, 1), else_=0)).label("unheard"),
        )
        .where(things.c.session_id == session)
        .group_by(things.c.status)
    )
    counts = {ResourceStatus(one.status): int(one.number) for one in groups}
    return Glance(
        at=tx.now,
        id=session,
        operation=found.operation,
        mode=found.mode,
        status=SessionStatus(found.status),
        reason=found.reason,
        created_at=found.created_at,
        started_at=found.started_at,
        stop_at=found.stop_at,
        ended_at=found.ended_at,
        counts=counts,
        done=sum(int(one.done) for one in groups),
        total=sum(int(one.done if ResourceStatus(one.status).is_final else one.total) for one in groups),
        unit=min((one.unit for one in groups), default="bytes"),
        unheard=sum(int(one.unheard) for one in groups if not ResourceStatus(one.status).is_final),
        workers=_alive(tx, session),
        rows=_rows(tx, session, limit=rows, everybody=sum(counts.values()) <= rows),
    )


def statuses(tx: Transaction, session: str) -> dict[int, tuple[ResourceStatus, int]]:
    """Return status and attempt of every resource by its ordinal."""
    table = schema.resources
    rows = tx.rows(sa.select(table.c.ordinal, table.c.status, table.c.attempt).where(table.c.session_id == session))
    return {row.ordinal: (ResourceStatus(row.status), row.attempt) for row in rows}


def named(tx: Transaction, session: str, ordinals: list[int]) -> list[Row]:
    """Return chosen resources of a session by ordinal."""
    found: list[Row] = []
    for start in range(0, len(ordinals), 500):
        found += _read(tx, session, schema.resources.c.ordinal.in_(ordinals[start : start + 500]))
    return found


def _alive(tx: Transaction, session: str) -> int:
    table = schema.workers
    query = sa.select(sa.func.count()).where(table.c.session_id == session, table.c.state != TERMINATED)
    return int(tx.execute(query).scalar_one())


def _rows(tx: Transaction, session: str, *, limit: int, everybody: bool) -> tuple[Row, ...]:
    if everybody:
        return tuple(_read(tx, session, sa.true()))
    things = schema.resources
    found: list[Row] = []
    # One indexed look for each kind, until the screen is full: sorting all resources by urgency would read them all.
    for kinds in _URGENCY:
        if len(found) < limit:
            found += _read(tx, session, things.c.status.in_(kinds), limit=limit - len(found))
    return tuple(found)


def _read(tx: Transaction, session: str, which: sa.ColumnElement[bool], *, limit: int | None = None) -> list[Row]:
    things, begun = schema.resources, schema.steps
    since = (
        sa.select(sa.func.max(begun.c.started_at))
        .where(
            begun.c.session_id == things.c.session_id,
            begun.c.ordinal == things.c.ordinal,
            begun.c.attempt == things.c.attempt,
        )
        .scalar_subquery()
    )
    query = (
        sa.select(
            things.c.ordinal,
            things.c.account,
            things.c.region,
            things.c.resource_id,
            things.c.status,
            things.c.reason,
            things.c.remedy,
            things.c.attempt,
            things.c.done,
            things.c.total,
            things.c.unit,
            things.c.instance_id,
            things.c.started_at,
            things.c.ended_at,
            since.label("step_since"),
        )
        .where(things.c.session_id == session, which)
        .order_by(things.c.ordinal)
        .limit(limit)
    )
    return [
        Row(**{**row._mapping, "status": ResourceStatus(row.status)})  # noqa: SLF001 - SQLAlchemy's public name
        for row in tx.rows(query)
    ]
