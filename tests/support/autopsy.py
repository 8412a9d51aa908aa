"""What there is to see of a stack that has not done what it should: enough to understand it without the machine."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from orchestrator.ledger import schema
from orchestrator.ledger.store import Transaction
from support.stack import Stack

#: Lines of each log, rows of each table.
_TAIL, _MOST = 40, 60


def autopsy(stack: Stack) -> str:
    """Describe sessions, open work and what is present, agents and faults, and how the logs end."""
    parts = [*_of_ledger(stack), *_of_cloud(stack), *_of_processes(stack), *_of_logs(stack.directory / "logs")]
    return "\n".join(parts)


def _of_ledger(stack: Stack) -> Iterator[str]:
    tables = {
        "sessions": (schema.sessions, ("id", "operation", "mode", "status", "reason", "created_at", "ended_at"), None),
        "resources that have not succeeded": (
            schema.resources,
            ("session_id", "ordinal", "resource_id", "status", "attempt", "reason", "instance_id"),
            schema.resources.c.status != "success",
        ),
        "open work": (
            schema.work,
            (
                "session_id", "ordinal", "step", "attempt", "claimed_until", "holder", "tries", "parked", "wait_for",
                "wait_until", "moved_at", "drives",
            ),
            schema.work.c.step != "done",
        ),
        "launch requests": (
            schema.launch_requests,
            ("session_id", "ordinal", "attempt", "state", "batch_id", "instance_id", "reason"),
            schema.launch_requests.c.state.in_(("queued", "batched", "failed")),
        ),
        "open batches": (
            schema.launch_batches,
            ("id", "session_id", "account", "token", "tries", "not_before", "error"),
            schema.launch_batches.c.state == "open",
        ),
        "things present": (
            schema.cloud_things,
            ("session_id", "ordinal", "kind", "account", "name", "cloud_id", "state", "intended_at"),
            sa.and_(schema.cloud_things.c.state != "removed", sa.not_(schema.cloud_things.c.keep)),
        ),
        "workers alive": (
            schema.workers,
            ("instance_id", "session_id", "ordinal", "attempt", "state", "launched_at", "ready_at", "heard_at"),
            schema.workers.c.state != "terminated",
        ),
    }  # fmt: skip
    with stack.ledger.read() as tx:
        yield f"--- now: {tx.now}"
        for title, (table, columns, where) in tables.items():
            yield from _rows(tx, title, table, columns, where)
        leases = tx.rows(sa.select(schema.leases).where(schema.leases.c.until > tx.now))
        yield f"--- leases held ({len(leases)})"
        yield from (f"{row.name} by {row.owner} until {row.until}" for row in leases[:_MOST])


def _rows(tx: Transaction, title: str, table: sa.Table, columns: Sequence[str], where: Any) -> Iterator[str]:
    query = sa.select(*[table.c[name] for name in columns])
    rows = tx.rows(query if where is None else query.where(where))
    yield f"--- {title} ({len(rows)}): {', '.join(columns)}"
    yield from (" | ".join(str(value) for value in row) for row in rows[-_MOST:])


def _of_cloud(stack: Stack) -> Iterator[str]:
    token = (stack.directory / "cloud" / "admin-token").read_text()
    for page in ("fleet", "faults"):
        request = urllib.request.Request(  # noqa: S310 - the cloud's loopback address
            f"{stack.record['addresses']['cloud']}/_sim/{page}", headers={"X-Sim-Token": token}
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
                yield f"--- {page}: {json.dumps(json.load(answer))}"
        except OSError as error:
            yield f"--- {page}: no answer ({type(error).__name__})"


def _of_processes(stack: Stack) -> Iterator[str]:
    yield f"--- processes: {[(one['name'], one['pid']) for one in stack.record['processes']]}"


def _of_logs(directory: Path) -> Iterator[str]:
    for path in sorted(directory.glob("*.log")):
        lines = path.read_text(errors="replace").splitlines()
        yield f"--- end of {path.name} ({len(lines)} lines)"
        yield from (line[:400] for line in lines[-_TAIL:])
