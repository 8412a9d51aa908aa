"""Until when everything has been heard that was said: who was deaf cannot conclude that nobody spoke.

The listener writes down when it has found the report queue empty. A worker counts as silent only if somebody has
listened since its time was up: after an outage of the listener or of the ledger its reports wait in the queue.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from orchestrator.ledger import schema
from orchestrator.ledger.store import Ledger, Transaction

#: How often it is written down at most, and how long whoever finds nobody listening waits before it looks again.
EVERY = timedelta(seconds=5)
LOOK_AGAIN = timedelta(seconds=15)

_NAME = "heard"


def note(ledger: Ledger) -> None:
    """Write down that all reports sent by now have been taken. Raises `LedgerUnavailable`."""
    with ledger.read() as tx:
        until = heard(tx)
        if until is not None and tx.now - until < EVERY:
            return
    with ledger.write() as tx:
        tx.put(schema.settings, {"name": _NAME, "value": {"until": tx.now.timestamp()}}, update=("value",))


def heard(tx: Transaction) -> datetime | None:
    """Return until when everything has been heard; None when no listener has ever said so."""
    row = tx.row(sa.select(schema.settings.c.value).where(schema.settings.c.name == _NAME))
    return None if row is None else datetime.fromtimestamp(row.value["until"], UTC)


def has_heard(ledger: Ledger, moment: datetime) -> bool:
    """Whether what was said before `moment` would be known by now. Raises `LedgerUnavailable`."""
    with ledger.read() as tx:
        until = heard(tx)
    return until is None or until >= moment
