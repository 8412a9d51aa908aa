"""Policies as applied, and how far their schedules have been followed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orchestrator.errors import NotFound
from orchestrator.ledger import schema
from orchestrator.ledger.store import Transaction
from orchestrator.model.status import SessionStatus

_OPEN = tuple(status for status in SessionStatus if not status.is_final)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A policy's row. Ticks up to `seen_at` are settled; it is looked at again at `next_at`, None: never."""

    name: str
    document: dict[str, Any]
    version: int
    enabled: bool
    applied_at: datetime
    seen_at: datetime
    next_at: datetime | None
    note: str | None


def put(tx: Transaction, name: str, document: dict[str, Any], next_at: datetime | None) -> None:
    """Add or replace a policy. A changed document is a new version; its schedule counts from now."""
    row = {
        "name": name, "document": document, "version": 1, "enabled": True, "applied_at": tx.now, "seen_at": tx.now,
        "next_at": next_at,
    }  # fmt: skip
    if tx.insert_missing(schema.schedules, row):
        return
    known = tx.execute(_query(name).with_for_update()).one()
    if known.document != document:
        values = {**row, "version": known.version + 1, "enabled": known.enabled, "note": None}
        values["next_at"] = next_at if known.enabled else None
        tx.execute(sa.update(schema.schedules).where(schema.schedules.c.name == name).values(**values))


def enable(tx: Transaction, name: str, next_at: datetime | None) -> None:
    """Let a policy run by its schedule again, from now on. Raises `NotFound`."""
    _set(tx, name, enabled=True, seen_at=tx.now, next_at=next_at, note=None)


def disable(tx: Transaction, name: str) -> None:
    """Stop a policy from running by its schedule. Raises `NotFound`."""
    _set(tx, name, enabled=False, next_at=None)


def delete(tx: Transaction, name: str) -> None:
    """Forget a policy; its sessions stay. Raises `NotFound`."""
    if not tx.execute(sa.delete(schema.schedules).where(schema.schedules.c.name == name)).rowcount:
        raise _unknown(name)


def follow(tx: Transaction, entry: Entry, *, seen: datetime, next_at: datetime | None, note: str | None) -> bool:
    """Write down how far a schedule has been followed. Returns whether nobody else has changed the policy meanwhile."""
    table = schema.schedules
    same = sa.and_(table.c.name == entry.name, table.c.version == entry.version, table.c.seen_at == entry.seen_at)
    values = {"seen_at": seen, "next_at": next_at, "note": note}
    return bool(tx.execute(sa.update(table).where(same, table.c.enabled).values(**values)).rowcount)


def get(tx: Transaction, name: str) -> Entry:
    """Return a policy. Raises `NotFound`."""
    row = tx.row(_query(name))
    if row is None:
        raise _unknown(name)
    return _entry(row)


def everyone(tx: Transaction) -> list[Entry]:
    """List all policies by name."""
    return [_entry(row) for row in tx.rows(sa.select(schema.schedules).order_by(schema.schedules.c.name))]


def due(tx: Transaction, limit: int = 100) -> list[Entry]:
    """List the policies that are to be looked at now, the longest due first."""
    table = schema.schedules
    query = sa.select(table).where(table.c.enabled, table.c.next_at <= tx.now).order_by(table.c.next_at).limit(limit)
    return [_entry(row) for row in tx.rows(query)]


def running(tx: Transaction, name: str) -> str | None:
    """Return the session of a policy that has not ended, or None."""
    table = schema.sessions
    query = sa.select(table.c.id).where(table.c.policy == name, table.c.status.in_(_OPEN)).order_by(table.c.created_at)
    rows = tx.rows(query.limit(1))
    return str(rows[0].id) if rows else None


def _query(name: str) -> sa.Select[Any]:
    return sa.select(schema.schedules).where(schema.schedules.c.name == name)


def _set(tx: Transaction, name: str, **values: Any) -> None:
    if not tx.execute(sa.update(schema.schedules).where(schema.schedules.c.name == name).values(**values)).rowcount:
        raise _unknown(name)


def _unknown(name: str) -> NotFound:
    return NotFound("no such policy", field="policy", value=name, remedy="See daywork policy list for the known ones")


def _entry(row: sa.Row[Any]) -> Entry:
    return Entry(
        name=row.name,
        document=row.document,
        version=row.version,
        enabled=row.enabled,
        applied_at=row.applied_at,
        seen_at=row.seen_at,
        next_at=row.next_at,
        note=row.note,
    )
