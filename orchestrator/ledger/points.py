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

#: What a point is worth, as far as the ledger knows.
COMPLETE, DAMAGED = "complete", "damaged"
#: The kind of a copy in an archive.
ARCHIVED = "archived"


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


def archive_record(url: str, figures: dict[str, Any]) -> dict[str, Any]:
    """Return what a copy's record says of its archive, by the figures of the job that made it (or of its head).

    Where it is, in which class, of which point, and how the packs of each volume are found.
    """
    return {
        "url": url,
        "storageClass": figures["storageClass"],
        "of": figures["source"],
        "packs": figures["packs"],
    }


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


def forget(tx: Transaction, ids: Sequence[str]) -> None:
    """Take restore points out that are gone from their repository; what is not there is no error."""
    table = schema.restore_points
    for start in range(0, len(ids), _PAGE):
        tx.execute(sa.delete(table).where(table.c.id.in_(ids[start : start + _PAGE])))


def judge(tx: Transaction, ids: Sequence[str], status: str) -> None:
    """Note what restore points are worth: `COMPLETE` or `DAMAGED`."""
    table = schema.restore_points
    for start in range(0, len(ids), _PAGE):
        tx.execute(sa.update(table).where(table.c.id.in_(ids[start : start + _PAGE])).values(status=status))


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
    """List a resource's restore points, the newest first; copies in an archive are none of its chain (`copies`)."""
    table = schema.restore_points
    query = _of_resource(account, region, resource_id).where(table.c.kind != ARCHIVED)
    return [_point(row) for row in tx.rows(query)]


def newest(tx: Transaction, account: str, region: str, resource_id: str, *, repository: str) -> RestorePoint | None:
    """Return the newest restore point of a resource in one repository, whatever its status; None when there is none."""
    table = schema.restore_points
    query = _of_resource(account, region, resource_id).where(table.c.kind != ARCHIVED, table.c.repository == repository)
    row = tx.row(query.limit(1))
    return None if row is None else _point(row)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What a restore point is to its snapshots.

    `is_newest` says that the next incremental of its chain compares with them, `snapshots` which they are.
    """

    is_newest: bool
    snapshots: frozenset[str]


def standings(tx: Transaction, ids: Sequence[str]) -> dict[str, Standing]:
    """Return how these restore points stand in their chains; what the ledger does not have is left out."""
    table, found = schema.restore_points, {}
    later = schema.restore_points.alias()
    has_later = sa.exists(
        sa.select(later.c.id).where(
            later.c.account == table.c.account,
            later.c.region == table.c.region,
            later.c.resource_id == table.c.resource_id,
            later.c.repository == table.c.repository,
            later.c.kind != ARCHIVED,
            later.c.created_at > table.c.created_at,
        )
    )
    for start in range(0, len(ids), _PAGE):
        query = sa.select(table.c.id, table.c.record, has_later.label("has_later"))
        for row in tx.rows(query.where(table.c.id.in_(ids[start : start + _PAGE]))):
            kept = (row.record.get("snapshots") or {}).values()
            found[row.id] = Standing(is_newest=not row.has_later, snapshots=frozenset(kept))
    return found


def copies(tx: Transaction, account: str, region: str, resource_id: str) -> list[RestorePoint]:
    """List the copies of a resource's restore points that are in an archive, the newest first."""
    table = schema.restore_points
    query = _of_resource(account, region, resource_id).where(table.c.kind == ARCHIVED)
    return [_point(row) for row in tx.rows(query)]


def _of_resource(account: str, region: str, resource_id: str) -> sa.Select[Any]:
    table = schema.restore_points
    return (
        sa.select(table)
        .where(table.c.account == account, table.c.region == region, table.c.resource_id == resource_id)
        .order_by(table.c.created_at.desc(), table.c.id.desc())
    )


def newest_good(
    tx: Transaction, account: str, region: str, resources: Sequence[str], *, repository: str | None = None
) -> dict[str, RestorePoint]:
    """Return each resource's newest complete restore point, in one repository or in any.

    Resources without one are left out, and so are copies in archives, which have to be retrieved first.
    """
    table = schema.restore_points
    found: dict[str, RestorePoint] = {}
    for start in range(0, len(resources), _PAGE):
        rows = tx.rows(
            sa.select(table)
            .where(
                table.c.account == account,
                table.c.region == region,
                sa.true() if repository is None else table.c.repository == repository,
                table.c.status == "complete",
                table.c.kind != ARCHIVED,
                table.c.resource_id.in_(resources[start : start + _PAGE]),
            )
            .order_by(table.c.created_at, table.c.id)
        )
        found |= {row.resource_id: _point(row) for row in rows}
    return found


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
