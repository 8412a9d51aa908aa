"""A session's log: timed lines for people. Never a secret, never a whole exception."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orchestrator.ledger import schema
from orchestrator.ledger.store import Transaction

_LONGEST = 2000
_LINE = sa.insert(schema.log_lines).inline()


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line; `ordinal` is the resource it is about, `level` is info, warning or error."""

    id: int
    session: str
    ordinal: int | None
    at: datetime
    level: str
    text: str


def write(tx: Transaction, session: str, text: str, *, ordinal: int | None = None, level: str = "info") -> None:
    """Add a line."""
    tx.execute(_LINE, row(tx, session, text, ordinal=ordinal, level=level))


def row(tx: Transaction, session: str, text: str, *, ordinal: int | None, level: str) -> dict[str, Any]:
    """Return the row of a line, to be written with something else."""
    return {"session_id": session, "ordinal": ordinal, "at": tx.now, "level": level, "text": text[:_LONGEST]}


def read(tx: Transaction, session: str, *, after: int = 0, limit: int = 1000) -> list[Line]:
    """Return lines in order, those after a line's id only."""
    table = schema.log_lines
    return [
        Line(id=row.id, session=row.session_id, ordinal=row.ordinal, at=row.at, level=row.level, text=row.text)
        for row in tx.rows(
            sa.select(table).where(table.c.session_id == session, table.c.id > after).order_by(table.c.id).limit(limit)
        )
    ]
