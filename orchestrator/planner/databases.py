"""RDS: image-level backup of a DB instance and restore of databases (rows 11 and 12)."""

from __future__ import annotations

from orchestrator.errors import Refused
from orchestrator.ledger.points import RestorePoint
from orchestrator.model.options import DatabaseBackupOptions, DatabaseRestoreOptions
from orchestrator.model.plan import Access, ResourcePlan
from orchestrator.network import Peer
from orchestrator.planner.context import Context
from orchestrator.planner.place import Site
from orchestrator.planner.recorded import RDS, is_good, size_of, source_of, usable
from orchestrator.planner.worker import GIB, WorkerProfile, staff
from orchestrator.ports import DatabaseView

_POSTGRES = "postgres"
_READY = "available"


def plan_database_backup(
    context: Context,
    operation: Access,
    database: DatabaseView | None,
    resource_id: str,
    profile: WorkerProfile | None,
) -> ResourcePlan:
    """Plan the backup of one DB instance, whose storage decides the instance types. Raises `Refused`."""
    database = _usable(database, operation, resource_id, field="")
    size = database.size_gib * GIB
    options = DatabaseBackupOptions.model_validate(context.request.options)
    staffing = staff(context, context.row(resource_id), operation, profile, size, site=_site(database))
    return ResourcePlan(
        operation=operation,
        worker=staffing.worker,
        repository_role=staffing.repository_role,
        chain=f"{operation.account}/{operation.region}/{resource_id}",
        size_bytes=size,
        details={"database": _described(database), **options.model_dump(mode="json", by_alias=True)},
    )


def plan_database_restore(
    context: Context,
    operation: Access,
    point: RestorePoint | None,
    resource_id: str,
    profile: WorkerProfile | None,
    *,
    target: DatabaseView | None,
) -> ResourcePlan:
    """Plan the restore of a point's databases into the DB instance that the options name. Raises `Refused`."""
    point = usable(context, point, resource_id, RDS)
    options = DatabaseRestoreOptions.model_validate(context.request.options)
    target = _usable(target, operation, options.instance, field="options.instance")
    if not is_good(point):
        raise Refused(f"restore point {point.id} is {point.status}", remedy="Choose a complete one")
    known = [str(one) for one in point.record.get("databases") or ()]
    missing = [one for one in options.databases if known and one not in known]
    if missing:
        raise Refused(
            f"restore point {point.id} holds no database {missing[0]}",
            field="options.databases",
            value=missing[0],
            remedy=f"It holds {', '.join(known)}",
        )
    recorded = str(point.record.get("engineVersion", ""))
    if _major(recorded) > _major(target.engine_version):
        raise Refused(
            f"DB instance {target.id} runs PostgreSQL {target.engine_version}, the restore point is of {recorded}",
            field="options.instance",
            value=options.instance,
            remedy="Restore into the same or a later major version",
        )
    size = size_of(point)
    staffing = staff(context, context.row(resource_id), operation, profile, size, site=_site(target))
    return ResourcePlan(
        operation=operation,
        worker=staffing.worker,
        repository_role=staffing.repository_role,
        size_bytes=size,
        details={
            "point": point.id,
            "source": source_of(point),
            "database": _described(target),
            "databases": list(options.databases),
            "suffix": options.suffix,
        },
    )


def _usable(database: DatabaseView | None, operation: Access, resource_id: str, *, field: str) -> DatabaseView:
    if database is None:
        raise Refused(
            f"DB instance {resource_id} does not exist in account {operation.account}, {operation.region}",
            field=field,
            value=resource_id if field else None,
            remedy="Check the identifier, account and Region",
        )
    if database.engine != _POSTGRES:
        raise Refused(
            f"DB instance {resource_id} runs {database.engine}; this works with PostgreSQL",
            field=field,
            remedy="Use RDS snapshots for other engines",
        )
    if database.state != _READY:
        raise Refused(
            f"DB instance {resource_id} is {database.state}",
            field=field,
            remedy="Start it, or wait until it is available",
        )
    if database.vpc is None:
        raise Refused(
            f"DB instance {resource_id} is in no VPC", field=field, remedy="Move it into a VPC: workers stand in one"
        )
    return database


def _site(database: DatabaseView) -> Site:
    """Return where the worker stands: any zone of the VPC. Its job opens security groups and closes them."""
    return Site(vpc=database.vpc, peers=(Peer(f"DB instance {database.id}", database.port),))


def _described(database: DatabaseView) -> dict[str, object]:
    return {
        "id": database.id,
        "engine": database.engine,
        "engineVersion": database.engine_version,
        "address": database.address,
        "port": database.port,
        "vpc": database.vpc,
        "zone": database.availability_zone,
        "securityGroups": list(database.security_groups),
    }


def _major(version: str) -> int:
    head = version.split(".", maxsplit=1)[0]
    return int(head) if head.isdigit() else 0
