"""Named leases: a promise with a deadline that its holder renews, with a fencing number that only grows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import sqlalchemy as sa

from orchestrator.ledger import schema
from orchestrator.ledger.store import Transaction

_LEASE = sa.select(schema.leases).where(schema.leases.c.name == sa.bindparam("of_name")).with_for_update()
_SET = sa.update(schema.leases).where(schema.leases.c.name == sa.bindparam("of_name"))


def acquire(
    tx: Transaction, name: str, owner: str, span: timedelta, *, is_dead: Callable[[str], bool] = lambda _owner: False
) -> int | None:
    """Take or renew a lease for `span`. Returns its fencing number, or None while somebody else holds it.

    A renewal keeps the number; whoever takes over a lease that ran out, or whose owner `is_dead`, gets a higher one.
    """
    table = schema.leases
    until = tx.now + span
    if tx.insert_missing(table, {"name": name, "owner": owner, "fence": 1, "until": until}):
        return 1
    row = tx.execute(_LEASE, {"of_name": name}).one()
    is_mine, is_over = row.owner == owner, row.until <= tx.now
    if not (is_mine or is_over or is_dead(row.owner)):
        return None
    fence = int(row.fence) if is_mine and not is_over else int(row.fence) + 1
    tx.execute(_SET, {"of_name": name, "owner": owner, "fence": fence, "until": until})
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


def last_owner(tx: Transaction, name: str) -> str | None:
    """Return who held a lease last, whether it still does or not; None when nobody ever has."""
    table = schema.leases
    row = tx.row(sa.select(table.c.owner).where(table.c.name == name))
    return None if row is None else str(row.owner)
