"""The switch that lets no new session start, for upgrades and emergencies; running sessions end as usual."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from agent.protocol import format_time, parse_time
from orchestrator.ledger import schema, work
from orchestrator.ledger.store import Transaction
from orchestrator.model.status import SessionStatus, Step
from orchestrator.model.work import WorkKey

#: What a session's start is parked on while the switch is set.
RESUME = "resume"

_NAME = "pause"


@dataclass(frozen=True, kw_only=True)
class Pause:
    """Since when the switch is set, who set it, and why (for people, may be empty)."""

    since: datetime
    by: str
    reason: str = ""

    def __str__(self) -> str:
        """One line for people."""
        return f"paused since {format_time(self.since)} by {self.by}" + (f": {self.reason}" if self.reason else "")


def pause(tx: Transaction, *, by: str, reason: str = "") -> Pause:
    """Set the switch. Returns how it stands: one that is set already keeps its moment, its author and its reason."""
    value = {"since": format_time(tx.now), "by": by[:128], "reason": reason[:500]}
    tx.insert_missing(schema.settings, {"name": _NAME, "value": value})
    return paused(tx) or Pause(since=tx.now, by=by, reason=reason)


def resume(tx: Transaction) -> list[WorkKey]:
    """Take the switch back. Returns the starts that waited for it: the caller must drive them."""
    tx.execute(sa.delete(schema.settings).where(schema.settings.c.name == _NAME))
    # Also a start that has seen the switch and is just about to park.
    table = schema.work
    starts = sa.select(table.c.session_id, table.c.ordinal).where(table.c.step == Step.START)
    return work.signal(tx, [WorkKey(row.session_id, row.ordinal) for row in tx.rows(starts)])


def paused(tx: Transaction) -> Pause | None:
    """Return the switch if it is set."""
    row = tx.row(sa.select(schema.settings.c.value).where(schema.settings.c.name == _NAME))
    if row is None:
        return None
    return Pause(since=parse_time(row.value["since"]), by=row.value["by"], reason=row.value["reason"])


def open_sessions(tx: Transaction) -> tuple[int, int]:
    """Count the sessions that have not started, and those that have and are not ended."""
    table = schema.sessions
    open_ones = [one for one in SessionStatus if not one.is_final]
    query = sa.select(table.c.status, sa.func.count().label("number")).where(table.c.status.in_(open_ones))
    found = {SessionStatus(row.status): int(row.number) for row in tx.rows(query.group_by(table.c.status))}
    waiting = found.pop(SessionStatus.PENDING, 0)
    return waiting, sum(found.values())
