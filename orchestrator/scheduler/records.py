"""Policies as people and programs see them: JSON values, times in RFC 3339."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import Any

from agent.protocol import format_time
from orchestrator.errors import Refused
from orchestrator.ledger import pausing, schedules, sessions
from orchestrator.ledger.schedules import Entry
from orchestrator.ledger.store import Transaction
from orchestrator.scheduler.policy import Policy, read_policy
from orchestrator.scheduler.ticks import put_off, ticks

SCHEMA_VERSION = 1


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)


def policy_summary(tx: Transaction, entry: Entry) -> dict[str, Any]:
    """Return a policy for lists.

    `nextRun` is its next tick; `owed` are ticks that wait for the `running` session, `note` is what there was to tell
    of the last ones, `notYetCarriedOut` names parts that this version only keeps.
    """
    policy = _read(entry)
    schedule = None if policy is None else policy.schedule
    running = schedules.running(tx, entry.name)
    coming = [] if policy is None else runs(entry, policy, tx.now, 1)
    return {
        "name": entry.name,
        "operation": entry.document.get("operation"),
        "enabled": entry.enabled,
        "priority": entry.document.get("priority", 0),
        "version": entry.version,
        "appliedAt": _time(entry.applied_at),
        "appliedBy": entry.applied_by,
        "schedule": None if schedule is None else schedule.model_dump(mode="json", by_alias=True, exclude_none=True),
        "nextRun": _time(coming[0]) if coming else None,
        "owed": [_time(one) for one in entry.owed],
        "running": running,
        "lastSession": _session(tx, entry.name),
        "note": entry.note,
        "notYetCarriedOut": [] if policy is None else policy.stored_only(),
    }


def policy_record(tx: Transaction, name: str, *, count: int = 5) -> dict[str, Any]:
    """Return the whole record, with the document as applied, its versions and `count` coming runs.

    Raises `NotFound`.
    """
    entry = schedules.get(tx, name)
    policy = _read(entry)
    pause = pausing.paused(tx)
    return {
        "schemaVersion": SCHEMA_VERSION,
        **policy_summary(tx, entry),
        "paused": None if pause is None else str(pause),
        "next": [] if policy is None else [_time(one) for one in runs(entry, policy, tx.now, count)],
        "versions": [
            {"version": one.version, "appliedAt": _time(one.applied_at), "appliedBy": one.applied_by}
            for one in schedules.versions(tx, name)
        ],
        "document": entry.document,
    }


def runs(entry: Entry, policy: Policy, now: datetime, count: int) -> list[datetime]:
    """Return when a policy runs next by its schedule; nothing when it is off or runs by hand alone."""
    if not entry.enabled or policy.schedule is None:
        return []
    moments = islice(ticks(policy.schedule, max(now, entry.seen_at)), count)
    return sorted(put_off(policy.schedule, entry.name, moment) for moment in moments)


def _read(entry: Entry) -> Policy | None:
    """Return the policy, or None when this version cannot read it; its note says so."""
    try:
        return read_policy(entry.document)
    except Refused:
        return None


def _session(tx: Transaction, name: str) -> dict[str, Any] | None:
    last = schedules.last_session(tx, name)
    if last is None:
        return None
    found = sessions.get(tx, last)
    return {"id": found.id, "status": str(found.status), "createdAt": _time(found.created_at)}
