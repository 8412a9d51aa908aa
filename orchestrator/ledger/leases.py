"""Named leases: a promise with a deadline that its holder renews, with a fencing number that only grows."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from orchestrator.ledger import schema
from orchestrator.ledger.store import Transaction


def acquire(tx: Transaction, name: str, owner: str, span: timedelta) -> int | None:
    """Take or renew a lease for `span`. Returns its fencing number, or None while somebody else holds it.

    A renewal keeps the number; whoever takes over a lease that ran out gets a higher one.
    """
    table = schema.leases
    row = tx.row(sa.select(table).where(table.c.name == name))
    until = tx.now + span
    if row is None:
        tx.execute(sa.insert(table).values(name=name, owner=owner, fence=1, until=until))
        return 1
    if row.owner == owner and row.until > tx.now:
        tx.execute(sa.update(table).where(table.c.name == name).values(until=until))
        return int(row.fence)
    if row.until > tx.now:
        return None
    fence = int(row.fence) + 1
    tx.execute(sa.update(table).where(table.c.name == name).values(owner=owner, fence=fence, until=until))
    return fence


def release(tx: Transaction, name: str, owner: str) -> bool:
    """Give a lease back. The row stays, so that the fencing number never starts again. Returns whether it was held."""
    table = schema.leases
    done = tx.execute(
        sa.update(table)
        .where(table.c.name == name, table.c.owner == owner, table.c.until > tx.now)
        .values(until=tx.now)
    )
    return bool(done.rowcount)


def holder(tx: Transaction, name: str) -> str | None:
    """Return who holds a lease now, or None."""
    table = schema.leases
    row = tx.row(sa.select(table.c.owner).where(table.c.name == name, table.c.until > tx.now))
    return None if row is None else str(row.owner)
