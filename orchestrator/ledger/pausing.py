"""The switch that lets no new session start, for upgrades and emergencies; running sessions end as usual."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

from orchestrator.ledger import schema, work
from orchestrator.ledger.store import Transaction
from orchestrator.model.status import Step
from orchestrator.model.work import WorkKey

#: What a session's start is parked on while the switch is set.
RESUME = "resume"

_NAME = "pausedAt"


def pause(tx: Transaction) -> None:
    """Set the switch; set already, it keeps its moment."""
    tx.insert_missing(schema.settings, {"name": _NAME, "value": tx.now.timestamp()})


def resume(tx: Transaction) -> list[WorkKey]:
    """Take the switch back. Returns the starts that waited for it: the caller must drive them."""
    tx.execute(sa.delete(schema.settings).where(schema.settings.c.name == _NAME))
    # Also a start that has seen the switch and is just about to park.
    table = schema.work
    starts = sa.select(table.c.session_id, table.c.ordinal).where(table.c.step == Step.START)
    return work.signal(tx, [WorkKey(row.session_id, row.ordinal) for row in tx.rows(starts)])


def paused_at(tx: Transaction) -> datetime | None:
    """Return since when the switch is set, or None."""
    row = tx.row(sa.select(schema.settings.c.value).where(schema.settings.c.name == _NAME))
    return None if row is None else datetime.fromtimestamp(float(row.value), UTC)
