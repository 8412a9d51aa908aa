"""A session as people and programs see it (CONTRACT section 6): JSON values, times in RFC 3339."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from agent.protocol import format_time
from orchestrator.ledger import pausing, points, schema, sessions, things, workers
from orchestrator.ledger.store import Transaction
from orchestrator.model.status import ResourceStatus, SessionStatus

SCHEMA_VERSION = 1
_COUNTED = (
    ResourceStatus.SUCCESS,
    ResourceStatus.WARNING,
    ResourceStatus.FAILED,
    ResourceStatus.STOPPED,
    ResourceStatus.SKIPPED,
)


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)


def session_summary(tx: Transaction, session: sessions.Session) -> dict[str, Any]:
    """Return a session without its resources, for lists."""
    by_status = sessions.statuses(tx, session.id)
    table = schema.resources
    sums: Any = tx.execute(
        sa.select(
            sa.func.coalesce(sa.func.sum(table.c.done), 0),
            sa.func.coalesce(sa.func.sum(table.c.total), 0),
            sa.func.coalesce(sa.func.max(table.c.attempt), 1),
        ).where(table.c.session_id == session.id)
    ).one()
    done, total, attempt = int(sums[0]), int(sums[1]), int(sums[2])
    begun = session.started_at
    until = session.ended_at or tx.now
    seconds = (until - begun).total_seconds() if begun else 0.0
    return {
        "schemaVersion": SCHEMA_VERSION,
        "id": session.id,
        "source": session.source,
        "requestId": session.request_id,
        "operation": session.operation,
        "mode": str(session.mode),
        "status": str(session.status),
        "reason": _why_it_waits(tx, session) or session.reason,
        "policy": session.policy,
        "retryOf": session.retry_of,
        "createdAt": _time(session.created_at),
        "startedAt": _time(session.started_at),
        "endedAt": _time(session.ended_at),
        "attempt": attempt,
        "progress": {
            "done": done,
            "total": total,
            "unit": "bytes",
            "ratePerSecond": round(done / seconds, 1) if seconds > 0 else 0.0,
        },
        "counts": {str(status): by_status.get(status, 0) for status in _COUNTED},
        "resourceCount": sum(by_status.values()),
    }


def _why_it_waits(tx: Transaction, session: sessions.Session) -> str | None:
    """Return why a session has not started, if somebody has paused all of them."""
    pause = pausing.paused(tx) if session.status is SessionStatus.PENDING else None
    return None if pause is None else str(pause)


def session_record(tx: Transaction, session_id: str) -> dict[str, Any]:
    """Return the whole record. Raises `NotFound`."""
    session = sessions.get(tx, session_id)
    by_instance = {worker.instance_id: worker for worker in workers.of_session(tx, session_id)}
    steps: dict[int, list[dict[str, Any]]] = {}
    table = schema.steps
    for row in tx.rows(
        sa.select(table).where(table.c.session_id == session_id).order_by(table.c.ordinal, table.c.started_at)
    ):
        steps.setdefault(row.ordinal, []).append(
            {
                "name": row.step,
                "attempt": row.attempt,
                "startedAt": _time(row.started_at),
                "endedAt": _time(row.ended_at),
                "outcome": row.outcome,
            }
        )
    return session_summary(tx, session) | {
        "resources": [
            {
                "account": one.account,
                "region": one.region,
                "id": one.resource_id,
                "status": str(one.status),
                "reason": one.reason,
                "remedy": one.remedy,
                "attempts": one.attempt,
                "earlier": one.state.get("earlier", []),
                "progress": _progress(tx, one),
                "startedAt": _time(one.started_at),
                "endedAt": _time(one.ended_at),
                "worker": _worker(by_instance.get(one.instance_id or "")),
                "steps": steps.get(one.ordinal, []),
                "result": one.result,
            }
            for one in sessions.resources(tx, session_id)
        ],
        "receipt": receipt(tx, session_id),
    }


def _progress(tx: Transaction, one: sessions.Resource) -> dict[str, Any]:
    """Return how far a resource's job is; while it runs also how fast it has been, and how long the rest takes so."""
    shown: dict[str, Any] = {"done": one.done, "total": one.total, "unit": one.unit}
    ordered = one.state.get("orderedAt")
    if one.status is not ResourceStatus.RUNNING or ordered is None:
        return shown
    seconds = tx.now.timestamp() - ordered
    rate = one.done / seconds if seconds > 0 else 0.0
    left = round((one.total - one.done) / rate) if rate > 0 and one.total >= one.done else None
    return shown | {"ratePerSecond": round(rate, 1), "secondsLeft": left}


def _worker(worker: workers.Worker | None) -> dict[str, Any] | None:
    if worker is None:
        return None
    return {
        "instanceId": worker.instance_id,
        "instanceType": worker.instance_type,
        "availabilityZone": worker.availability_zone,
        "launchedAt": _time(worker.launched_at),
        "terminatedAt": _time(worker.terminated_at),
    }


def receipt(tx: Transaction, session_id: str) -> dict[str, Any]:
    """Return what a session made, removed, kept and left: `remaining` is empty at the end of every session."""
    found = [one for one in things.of_session(tx, session_id) if one.kind != "launch"]
    gone = [one for one in found if one.state == things.REMOVED]
    present = [one for one in found if one.state != things.REMOVED]
    return {
        "created": [_entry(one, one.created_at) for one in found if one.created_at is not None],
        "removed": [_entry(one, one.removed_at) for one in gone if one.created_at is not None],
        "kept": [_entry(one, one.created_at) for one in present if one.keep],
        "remaining": [_entry(one, one.created_at or one.intended_at) for one in present if not one.keep],
    }


def _entry(thing: things.Thing, at: datetime | None) -> dict[str, Any]:
    return {
        "kind": thing.kind,
        "id": thing.cloud_id or thing.name,
        "account": thing.account,
        "region": thing.region,
        "at": _time(at),
    }


def point_record(point: points.RestorePoint) -> dict[str, Any]:
    """Return what a restore point's record says, without the user data of its instance: its owner may think it secret.

    How many bytes of it there are is said instead.
    """
    configuration = dict(point.record.get("configuration") or {})
    if (given := configuration.pop("userData", None)) is not None:
        configuration["userDataBytes"] = len(base64.b64decode(given))
    return {**point.record, "configuration": configuration}
