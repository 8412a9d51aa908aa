"""Policies as applied, every version of them, and how far their schedules have been followed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from agent.protocol import format_time, parse_time
from orchestrator.errors import NotFound
from orchestrator.ledger import schema
from orchestrator.ledger.store import Transaction
from orchestrator.model.status import SessionStatus

_OPEN = tuple(status for status in SessionStatus if not status.is_final)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A policy's row.

    Ticks up to `seen_at` are settled, or among those `owed`: they are to become sessions, the oldest first. The row is
    looked at again at `next_at`, None: never. `note` is what there was to tell at the last look.
    """

    name: str
    document: dict[str, Any]
    version: int
    enabled: bool
    applied_at: datetime
    applied_by: str | None
    seen_at: datetime
    owed: tuple[datetime, ...]
    next_at: datetime | None
    note: str | None


@dataclass(frozen=True, kw_only=True)
class Version:
    """A policy as it was applied once."""

    version: int
    document: dict[str, Any]
    applied_at: datetime
    applied_by: str | None


def put(tx: Transaction, name: str, document: dict[str, Any], *, next_at: datetime | None, by: str | None) -> str:
    """Add or replace a policy. Returns `added`, `changed` or `unchanged`.

    A changed document is a new version. With a changed schedule it counts from now; what was owed by the old one is
    forgotten.
    """
    made = {"version": _next_version(tx, name), "document": document, "applied_at": tx.now, "applied_by": by}
    fresh: dict[str, Any] = {"seen_at": tx.now, "next_at": next_at, "owed": [], "note": None}
    if tx.insert_missing(schema.schedules, {"name": name, "enabled": True, **made, **fresh}):
        tx.execute(sa.insert(schema.policy_versions).values(name=name, **made))
        return "added"
    known = hold(tx, name)
    if known.document == document:
        return "unchanged"
    made["version"] = _next_version(tx, name)
    tx.execute(sa.insert(schema.policy_versions).values(name=name, **made))
    if known.document.get("schedule") == document.get("schedule"):
        fresh = {}
    elif not known.enabled:
        fresh["next_at"] = None
    _set(tx, name, **made, **fresh)
    return "changed"


def enable(tx: Transaction, name: str, next_at: datetime | None) -> bool:
    """Let a policy run by its schedule again, from now on. Returns whether it was off. Raises `NotFound`."""
    if hold(tx, name).enabled:
        return False
    _set(tx, name, enabled=True, seen_at=tx.now, next_at=next_at, owed=[], note=None)
    return True


def disable(tx: Transaction, name: str) -> bool:
    """Stop a policy from running by its schedule. Returns whether it was on. Raises `NotFound`."""
    if not hold(tx, name).enabled:
        return False
    _set(tx, name, enabled=False, next_at=None, owed=[])
    return True


def delete(tx: Transaction, name: str) -> None:
    """Forget a policy; its sessions and versions stay. Raises `NotFound`."""
    if not tx.execute(sa.delete(schema.schedules).where(schema.schedules.c.name == name)).rowcount:
        raise _unknown(name)


def follow(
    tx: Transaction,
    name: str,
    *,
    seen: datetime,
    owed: Sequence[datetime],
    next_at: datetime | None,
    note: str | None,
) -> None:
    """Write down how far a schedule has been followed; the caller has locked it."""
    shown = None if note is None else note[:2000]
    _set(tx, name, seen_at=seen, owed=[format_time(one) for one in owed], next_at=next_at, note=shown)


def get(tx: Transaction, name: str) -> Entry:
    """Return a policy. Raises `NotFound`."""
    found = find(tx, name)
    if found is None:
        raise _unknown(name)
    return found


def find(tx: Transaction, name: str) -> Entry | None:
    """Return a policy, or None."""
    row = tx.row(_query(name))
    return None if row is None else _entry(row)


def locked(tx: Transaction, name: str) -> Entry | None:
    """Return a policy that nobody else writes before this transaction ends, or None."""
    row = tx.row(_query(name).with_for_update())
    return None if row is None else _entry(row)


def hold(tx: Transaction, name: str) -> Entry:
    """Return a policy that nobody else writes before this transaction ends. Raises `NotFound`."""
    found = locked(tx, name)
    if found is None:
        raise _unknown(name)
    return found


def versions(tx: Transaction, name: str) -> list[Version]:
    """List what was ever applied under a name, the newest first."""
    table = schema.policy_versions
    return [
        Version(version=row.version, document=row.document, applied_at=row.applied_at, applied_by=row.applied_by)
        for row in tx.rows(sa.select(table).where(table.c.name == name).order_by(table.c.version.desc()))
    ]


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


def last_session(tx: Transaction, name: str) -> str | None:
    """Return the newest session of a policy, or None."""
    table = schema.sessions
    query = sa.select(table.c.id).where(table.c.policy == name).order_by(table.c.created_at.desc(), table.c.id.desc())
    rows = tx.rows(query.limit(1))
    return str(rows[0].id) if rows else None


def _next_version(tx: Transaction, name: str) -> int:
    """Count on also after a policy was deleted: a version is one document for ever."""
    table = schema.policy_versions
    return int(tx.execute(sa.select(sa.func.max(table.c.version)).where(table.c.name == name)).scalar() or 0) + 1


def _query(name: str) -> sa.Select[Any]:
    return sa.select(schema.schedules).where(schema.schedules.c.name == name)


def _set(tx: Transaction, name: str, **values: Any) -> None:
    tx.execute(sa.update(schema.schedules).where(schema.schedules.c.name == name).values(**values))


def _unknown(name: str) -> NotFound:
    return NotFound("no such policy", field="policy", value=name, remedy="See daywork policy list for the known ones")


def _entry(row: sa.Row[Any]) -> Entry:
    return Entry(
        name=row.name,
        document=row.document,
        version=row.version,
        enabled=row.enabled,
        applied_at=row.applied_at,
        applied_by=row.applied_by,
        seen_at=row.seen_at,
        owed=tuple(parse_time(one) for one in row.owed),
        next_at=row.next_at,
        note=row.note,
    )
