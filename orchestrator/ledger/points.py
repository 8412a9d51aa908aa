"""What the ledger knows of restore points; the repositories themselves are the truth about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orchestrator.errors import NotFound
from orchestrator.ledger import schema
from orchestrator.ledger.store import Transaction

_PAGE = 500


@dataclass(frozen=True, kw_only=True)
class RestorePoint:
    """A restore point. `record` holds the volumes (id, device, size, type, ...) and the instance's configuration."""

    id: str
    account: str
    region: str
    resource_id: str
    repository: str
    session: str
    kind: str
    status: str
    parent: str | None
    record: dict[str, Any]
    created_at: datetime


def add(tx: Transaction, point: RestorePoint) -> None:
    """Write a restore point down; repeating it changes nothing."""
    tx.insert_missing(
        schema.restore_points,
        {
            "id": point.id,
            "account": point.account,
            "region": point.region,
            "resource_id": point.resource_id,
            "repository": point.repository,
            "session_id": point.session,
            "kind": point.kind,
            "status": point.status,
            "parent": point.parent,
            "record": point.record,
            "created_at": point.created_at,
        },
    )


def get(tx: Transaction, point: str) -> RestorePoint:
    """Return a restore point. Raises `NotFound`."""
    row = tx.row(sa.select(schema.restore_points).where(schema.restore_points.c.id == point))
    if row is None:
        raise NotFound(
            "no such restore point", field="id", value=point, remedy="See daywork restore-point list for the known ones"
        )
    return _point(row)


def known(tx: Transaction, ids: Sequence[str]) -> set[str]:
    """Return those of these ids that the ledger has."""
    table, found = schema.restore_points, set()
    for start in range(0, len(ids), _PAGE):
        found |= {row.id for row in tx.rows(sa.select(table.c.id).where(table.c.id.in_(ids[start : start + _PAGE])))}
    return found


@dataclass(frozen=True, kw_only=True)
class Holding:
    """How much the ledger knows of one repository."""

    points: int
    resources: int
    oldest_at: datetime
    newest_at: datetime


def holdings(tx: Transaction) -> dict[str, Holding]:
    """Sum the restore points up by repository; one without any is left out."""
    table = schema.restore_points
    of_resource = table.c.account + "/" + table.c.region + "/" + table.c.resource_id
    rows = tx.rows(
        sa.select(
            table.c.repository,
            sa.func.count().label("points"),
            sa.func.count(sa.distinct(of_resource)).label("resources"),
            sa.func.min(table.c.created_at).label("oldest_at"),
            sa.func.max(table.c.created_at).label("newest_at"),
        ).group_by(table.c.repository)
    )
    return {
        row.repository: Holding(
            points=row.points, resources=row.resources, oldest_at=row.oldest_at, newest_at=row.newest_at
        )
        for row in rows
    }


def of_resource(tx: Transaction, account: str, region: str, resource_id: str) -> list[RestorePoint]:
    """List a resource's restore points, the newest first."""
    table = schema.restore_points
    return [
        _point(row)
        for row in tx.rows(
            sa.select(table)
            .where(table.c.account == account, table.c.region == region, table.c.resource_id == resource_id)
            .order_by(table.c.created_at.desc())
        )
    ]


def recent(tx: Transaction, limit: int = 100) -> list[RestorePoint]:
    """List restore points, the newest first."""
    table = schema.restore_points
    return [_point(row) for row in tx.rows(sa.select(table).order_by(table.c.created_at.desc()).limit(limit))]


def _point(row: sa.Row[Any]) -> RestorePoint:
    return RestorePoint(
        id=row.id,
        account=row.account,
        region=row.region,
        resource_id=row.resource_id,
        repository=row.repository,
        session=row.session_id,
        kind=row.kind,
        status=row.status,
        parent=row.parent,
        record=row.record,
        created_at=row.created_at,
    )
