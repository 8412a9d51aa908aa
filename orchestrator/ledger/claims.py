"""Which policies want the same: their documents, and their sessions that have not ended."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from orchestrator.ledger import schema
from orchestrator.ledger.store import Transaction
from orchestrator.model.status import ResourceStatus, SessionStatus

_OPEN = tuple(status for status in SessionStatus if not status.is_final)
_FINAL = tuple(status for status in ResourceStatus if status.is_final)


def of_operation(tx: Transaction, operation: str) -> dict[str, dict[str, Any]]:
    """Return the documents of the policies that run an operation, by their names; of disabled ones too.

    Those may be run by hand.
    """
    table = schema.schedules
    rows = tx.rows(sa.select(table.c.name, table.c.document).order_by(table.c.name))
    return {row.name: row.document for row in rows if row.document.get("operation") == operation}


def at_it(tx: Transaction, policy: str, operation: str, account: str, region: str, resource_id: str) -> str | None:
    """Return the session of a policy that is to process a resource and has not done so yet, or None.

    A session that has not been planned may still select it.
    """
    sessions, resources = schema.sessions, schema.resources
    row = sa.and_(
        resources.c.session_id == sessions.c.id,
        resources.c.account == account,
        resources.c.region == region,
        resources.c.resource_id == resource_id,
    )
    found = tx.row(
        sa.select(sessions.c.id)
        .select_from(sessions.outerjoin(resources, row))
        .where(
            sessions.c.policy == policy,
            sessions.c.operation == operation,
            sessions.c.status.in_(_OPEN),
            sa.or_(
                sa.and_(resources.c.status.is_(None), sessions.c.plan.is_(None)),
                resources.c.status.not_in(_FINAL),
            ),
        )
        .order_by(sessions.c.created_at)
        .limit(1)
    )
    return None if found is None else str(found.id)
