"""Work on a restore point where its repository is, and files of a point or a snapshot (rows 4, 4b, 6 to 9)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator import tags
from orchestrator.errors import LeftOut, Refused
from orchestrator.ledger.points import RestorePoint
from orchestrator.model.options import ArchiveOptions, HealthCheckOptions, RestoreFilesOptions
from orchestrator.model.plan import Access, ResourcePlan, SourceVolume
from orchestrator.model.status import DeploymentMode
from orchestrator.planner.archived import refuse_archived
from orchestrator.planner.context import Context
from orchestrator.planner.recorded import EC2, RDS, is_good, size_of, source_of, usable, volumes_of
from orchestrator.planner.worker import GIB, WorkerProfile, staff
from orchestrator.ports import SnapshotView


def plan_archive(
    context: Context,
    operation: Access,
    point: RestorePoint | None,
    resource_id: str,
    copies: Sequence[RestorePoint] = (),
) -> ResourcePlan:
    """Plan the copy of a restore point to the archive repository. Raises `Refused`.

    `copies` are the archived points of the same source. Raises `LeftOut` when one of them is of this point.
    """
    point = usable(context, point, resource_id, _kind(context))
    refuse_archived(context, point)
    repository = context.repository()
    if repository.archive is None:
        raise Refused(
            f"repository {repository.name} has no archive repository",
            field="repositories.archive",
            value=repository.name,
            remedy="Add archive with its url to the repository in the registry",
        )
    if not is_good(point):
        raise Refused(
            f"restore point {point.id} is {point.status}",
            remedy="Archive a complete one; the next backup repairs what is missing",
        )
    for one in copies:
        if one.record.get("archive", {}).get("of") == point.id and one.repository == point.repository:
            raise LeftOut(f"restore point {point.id} is archived already, as {one.id}")
    options = ArchiveOptions.model_validate(context.request.options)
    return _work_on(
        context,
        operation,
        point,
        archive=repository.archive.url,
        storageClass=options.storage_class or repository.archive.storage_class,
        pointCreatedAt=point.created_at.timestamp(),
        configuration=point.record.get("configuration", {}),
        consistency=point.record.get("consistency", "crash"),
    )


def plan_health_check(
    context: Context, operation: Access, point: RestorePoint | None, resource_id: str
) -> ResourcePlan:
    """Plan the verification of a restore point, whatever it is known to be. Raises `Refused`."""
    point = usable(context, point, resource_id, _kind(context))
    if _kind(context) is RDS:
        return _work_on(context, operation, point)
    options = HealthCheckOptions.model_validate(context.request.options)
    return _work_on(context, operation, point, sample=options.sample)


def plan_files(context: Context, operation: Access, point: RestorePoint | None, resource_id: str) -> ResourcePlan:
    """Plan the restore of files from an image-level backup. Raises `Refused`."""
    point = usable(context, point, resource_id, EC2)
    options = RestoreFilesOptions.model_validate(context.request.options)
    known = [one.volume_id for one in volumes_of(point)]
    if missing := [one for one in options.volumes if one not in known]:
        raise Refused(
            f"restore point {point.id} holds no volume {missing[0]}",
            field="options.volumes",
            value=missing[0],
            remedy=f"It holds {', '.join(known)}",
        )
    return _work_on(context, operation, point, **_wanted(options))


def plan_files_of_snapshot(
    context: Context,
    operation: Access,
    snapshot: SnapshotView | None,
    resource_id: str,
    profile: WorkerProfile | None,
) -> ResourcePlan:
    """Plan the restore of files from a cloud-native snapshot. Raises `Refused`."""
    if snapshot is None:
        raise Refused(
            f"snapshot {resource_id} does not exist in account {operation.account}, {operation.region}",
            remedy="Check the id, account and Region; it must be the account's own snapshot",
        )
    if snapshot.state != "completed":
        raise Refused(
            f"snapshot {resource_id} is {snapshot.state}",
            remedy="Wait until it is completed" if snapshot.state == "pending" else "Choose another snapshot",
        )
    options = RestoreFilesOptions.model_validate(context.request.options)
    if options.volumes and snapshot.volume_id not in options.volumes:
        raise Refused(
            f"snapshot {resource_id} is of {snapshot.volume_id}",
            field="options.volumes",
            value=options.volumes[0],
            remedy="Leave volumes out: a snapshot is of one",
        )
    if context.mode is DeploymentMode.BACKUP and snapshot.tags.get(tags.FILES) != context.install:
        raise Refused(
            f"snapshot {resource_id} is not marked for workers of the backup account",
            field="mode",
            value=str(context.mode),
            remedy=f"Tag it {tags.FILES}={context.install}, which lets them read its blocks, or use production mode",
        )
    size = snapshot.size_gib * GIB
    staffing = staff(context, context.row(resource_id), operation, profile, size)
    volume = SourceVolume(volume_id=snapshot.volume_id, device="", size_gib=snapshot.size_gib)
    return ResourcePlan(
        operation=operation,
        worker=staffing.worker,
        data_role=staffing.data_role,
        repository_role=staffing.repository_role,
        volumes=(volume,),
        size_bytes=size,
        details={"snapshot": resource_id, **_wanted(options)},
    )


def _wanted(options: RestoreFilesOptions) -> dict[str, Any]:
    return options.model_dump(mode="json", by_alias=True)


def _kind(context: Context) -> str:
    return RDS if context.operation.name.startswith("rds-") else EC2


def _work_on(context: Context, operation: Access, point: RestorePoint, **details: Any) -> ResourcePlan:
    """Plan work on one point in the Region of its repository, by the size of what it holds."""
    size = size_of(point)
    staffing = staff(context, context.row(point.id), operation, None, size)
    return ResourcePlan(
        operation=operation,
        worker=staffing.worker,
        data_role=staffing.data_role,
        repository_role=staffing.repository_role,
        volumes=volumes_of(point),
        size_bytes=size,
        details={"point": point.id, "source": source_of(point), **details},
    )
