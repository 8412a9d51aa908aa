"""What is only ever counted up, for metrics: a number for each name and label, kept across restarts."""

from __future__ import annotations

from functools import cache

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from orchestrator.ledger import schema
from orchestrator.ledger.store import Transaction


def count(tx: Transaction, name: str, label: str, by: int = 1) -> None:
    """Count something up; many may count at the same time."""
    tx.execute(_count(tx.connection.dialect.name), {"name": name, "label": label, "value": by})


def read(tx: Transaction, name: str) -> dict[str, int]:
    """Return the counts of a name by their labels."""
    table = schema.counters
    rows = tx.rows(sa.select(table.c.label, table.c.value).where(table.c.name == name).order_by(table.c.label))
    return {row.label: int(row.value) for row in rows}


@cache
def _count(dialect: str) -> sa.Executable:
    table = schema.counters
    insert = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    return insert.on_conflict_do_update(
        index_elements=list(table.primary_key.columns), set_={"value": table.c.value + insert.excluded.value}
    )
