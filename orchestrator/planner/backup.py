"""Image-level backup of an EC2 instance (row 1)."""

from __future__ import annotations

from orchestrator.errors import Refused
from orchestrator.model.options import BackupOptions
from orchestrator.model.plan import Access, ResourcePlan
from orchestrator.planner.context import Context
from orchestrator.planner.worker import GIB, WorkerProfile, staff
from orchestrator.ports import InstanceView


def plan_backup(
    context: Context,
    operation: Access,
    instance: InstanceView | None,
    resource_id: str,
    profile: WorkerProfile | None,
) -> ResourcePlan:
    """Plan the backup of one instance. Raises `Refused`."""
    if instance is None:
        raise Refused(
            f"instance {resource_id} does not exist in account {operation.account}, {operation.region}",
            remedy="Check the id, account and Region",
        )
    options = BackupOptions.model_validate(context.request.options)
    excluded = [volume for volume in instance.volumes if volume.volume_id in options.exclude_volumes]
    root = instance.configuration.get("rootDevice")
    volumes = tuple(volume for volume in instance.volumes if volume.volume_id not in options.exclude_volumes)
    if not volumes:
        raise Refused(
            f"instance {resource_id} has no EBS volume to back up"
            + (f" (excluded: {', '.join(options.exclude_volumes)})" if options.exclude_volumes else ""),
            remedy="Attach a volume or exclude fewer",
        )
    size = sum(volume.size_gib for volume in volumes) * GIB
    staffing = staff(context, context.row(resource_id), operation, profile, size)
    return ResourcePlan(
        operation=operation,
        worker=staffing.worker,
        data_role=staffing.data_role,
        repository_role=staffing.repository_role,
        chain=f"{operation.account}/{operation.region}/{resource_id}",
        volumes=volumes,
        size_bytes=size,
        details={
            "configuration": dict(instance.configuration),
            "excludeVolumes": sorted(volume.volume_id for volume in excluded if volume.device != root),
            "full": options.full,
            "excludeBoot": any(volume.device == root for volume in excluded),
        },
    )
