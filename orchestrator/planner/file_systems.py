"""EFS: indexing of a file system (row 10)."""

from __future__ import annotations

from orchestrator.errors import Refused
from orchestrator.model.options import IndexOptions
from orchestrator.model.plan import Access, ResourcePlan
from orchestrator.network import Peer
from orchestrator.planner.context import Context
from orchestrator.planner.place import Site
from orchestrator.planner.worker import WorkerProfile, staff
from orchestrator.ports import FileSystemView, MountTargetView

_READY = "available"
_NFS = 2049


def plan_index(
    context: Context,
    operation: Access,
    file_system: FileSystemView | None,
    resource_id: str,
    profile: WorkerProfile | None,
) -> ResourcePlan:
    """Plan the index of one file system from a worker beside one of its mount targets. Raises `Refused`."""
    if file_system is None:
        raise Refused(
            f"file system {resource_id} does not exist in account {operation.account}, {operation.region}",
            remedy="Check the id, account and Region",
        )
    if file_system.state != _READY:
        raise Refused(f"file system {resource_id} is {file_system.state}", remedy="Wait until it is available")
    targets = [one for one in file_system.mount_targets if one.state == _READY]
    if not targets:
        states = ", ".join(f"{one.id} in {one.availability_zone} is {one.state}" for one in file_system.mount_targets)
        raise Refused(
            f"file system {resource_id} has no mount target that is available ({states or 'none at all'})",
            remedy="Make a mount target in a subnet that workers may stand in",
        )
    vpc = targets[0].vpc
    beside = tuple(one for one in targets if one.vpc == vpc)
    options = IndexOptions.model_validate(context.request.options)
    staffing = staff(
        context, context.row(resource_id), operation, profile, file_system.size_bytes, site=_site(resource_id, beside)
    )
    return ResourcePlan(
        operation=operation,
        worker=staffing.worker,
        repository_role=staffing.repository_role,
        # Indexes are no backups: of one file system both may be written at once.
        chain=f"index:{operation.account}/{operation.region}/{resource_id}",
        size_bytes=file_system.size_bytes,
        details={
            "fileSystem": resource_id,
            "mountTargets": [_described(one) for one in beside],
            **options.model_dump(mode="json", by_alias=True, exclude_none=True),
        },
    )


def _site(name: str, targets: tuple[MountTargetView, ...]) -> Site:
    """Return where the worker stands: the VPC of the mount targets, a zone of one of them."""
    zones = tuple(sorted({one.availability_zone for one in targets}))
    groups = tuple(sorted({group for one in targets for group in one.security_groups}))
    return Site(vpc=targets[0].vpc, zones=zones, peers=(Peer(f"file system {name}", _NFS, groups),))


def _described(target: MountTargetView) -> dict[str, object]:
    return {
        "id": target.id,
        "address": target.address,
        "subnet": target.subnet,
        "zone": target.availability_zone,
        "vpc": target.vpc,
    }
