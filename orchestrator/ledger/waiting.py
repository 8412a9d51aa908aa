"""What parked work waits for in the cloud: as much of it as one look may be about, whatever waits in all.

Of each session that waits some resources are drawn, next to each other from a place that is drawn by lot: who is left
out now is looked at in one of the next rounds, and a small session does not wait for a large one.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from datetime import datetime

import sqlalchemy as sa

from orchestrator.ledger import schema, things
from orchestrator.ledger.store import Transaction
from orchestrator.model.plan import Access
from orchestrator.model.work import WorkKey

#: What one resource waits for: the id of each snapshot or volume, and when it was made.
Waiting = dict[WorkKey, dict[str, datetime]]

_PAGE = 500


def for_things(tx: Transaction, kind: str, *, most: int) -> dict[Access, Waiting]:
    """Return the things of a kind that parked work waits for, of `most` resources of a session, by who may see them."""
    found: dict[Access, Waiting] = defaultdict(dict)
    for session, ordinals in _drawn(tx, kind, most):
        for start in range(0, len(ordinals), _PAGE):
            _add_things(tx, found, kind, session, ordinals[start : start + _PAGE])
    return found


def _drawn(tx: Transaction, wait_for: str, most: int) -> list[tuple[str, list[int]]]:
    table = schema.work
    waits = sa.and_(schema.PARKED, table.c.wait_for == wait_for)
    counts = sa.select(table.c.session_id, sa.func.count().label("number")).where(waits).group_by(table.c.session_id)
    drawn: list[tuple[str, list[int]]] = []
    for row in tx.rows(counts):
        in_order = sa.select(table.c.ordinal).where(waits, table.c.session_id == row.session_id)
        in_order = in_order.order_by(table.c.ordinal)
        begin = secrets.randbelow(row.number) if row.number > most else 0
        ordinals = [one.ordinal for one in tx.rows(in_order.offset(begin).limit(most))]
        if len(ordinals) < most and begin:
            ordinals += [one.ordinal for one in tx.rows(in_order.limit(most - len(ordinals)))]
        drawn.append((row.session_id, ordinals))
    return drawn


def _add_things(tx: Transaction, found: dict[Access, Waiting], kind: str, session: str, ordinals: list[int]) -> None:
    table = schema.cloud_things
    rows = tx.rows(
        sa.select(
            table.c.cloud_id, table.c.account, table.c.region, table.c.role, table.c.ordinal, table.c.created_at
        ).where(
            table.c.session_id == session,
            table.c.ordinal.in_(ordinals),
            table.c.kind == kind,
            table.c.state == things.CREATED,
        )
    )
    for row in rows:
        access = Access(account=row.account, region=row.region, role=row.role)
        found[access].setdefault(WorkKey(session, row.ordinal), {})[row.cloud_id] = row.created_at
