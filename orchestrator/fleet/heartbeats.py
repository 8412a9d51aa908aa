"""Until when a working agent may stay silent.

A resource that waits for its result is to be looked at when its agent has been silent for too long. Heartbeats do not
touch its work, so that moment comes again and again while all is well; then it is put off, for all resources that it
has come for at once, and no step runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from agent.protocol import parse_time
from orchestrator.ledger import schema, work
from orchestrator.ledger.store import Transaction
from orchestrator.model.work import WorkKey
from orchestrator.services import Deadlines

#: What a resource that was given its order waits for.
RESULT = "result"


def job_end(state: Mapping[str, Any], deadlines: Deadlines) -> datetime | None:
    """Return when an ordered job is given up: the order's deadline and a while for the agent's own last words.

    `state` is what the resource's steps remember; None when no order has been written.
    """
    deadline = state.get("deadline")
    return None if deadline is None else parse_time(deadline) + deadlines.stop


def silent_after(state: Mapping[str, Any], heard_at: datetime, deadlines: Deadlines) -> datetime:
    """Return when somebody has to look: no heartbeat came since `heard_at`, or the job is over."""
    silent, end = heard_at + deadlines.heartbeat, job_end(state, deadlines)
    return silent if end is None else min(silent, end)


def signal_expired(tx: Transaction, deadlines: Deadlines, limit: int = 500) -> list[WorkKey]:
    """Signal parked work whose time is over, but for jobs whose agents were heard of. Returns what is to be driven."""
    put_off = _heard_of(tx, deadlines, limit)
    work.put_off(tx, put_off)
    return work.signal_expired(tx, limit - len(put_off))


def _heard_of(tx: Transaction, deadlines: Deadlines, limit: int) -> dict[WorkKey, datetime]:
    """Return until when those of the work that is due may go on waiting whose agents were heard of meanwhile."""
    table, resources, workers = schema.work, schema.resources, schema.workers
    query = (
        sa.select(table.c.session_id, table.c.ordinal, resources.c.state, workers.c.heard_at)
        .select_from(
            table.join(
                resources, sa.and_(resources.c.session_id == table.c.session_id, resources.c.ordinal == table.c.ordinal)
            ).join(workers, workers.c.instance_id == resources.c.instance_id)
        )
        .where(
            schema.PARKED,
            table.c.wait_until <= tx.now,
            table.c.wait_for == RESULT,
            workers.c.heard_at > tx.now - deadlines.heartbeat,
        )
        .order_by(table.c.wait_until)
        .limit(limit)
    )
    found: dict[WorkKey, datetime] = {}
    for row in tx.rows(query):
        until = silent_after(row.state or {}, row.heard_at, deadlines)
        # Whoever was asked to stop is waited for as long as that takes, however much it says.
        if until > tx.now and "stopAskedAt" not in (row.state or {}):
            found[WorkKey(row.session_id, row.ordinal)] = until
    return found
