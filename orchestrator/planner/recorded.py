"""What a restore point's record says, and whether an operation can use the point."""

from __future__ import annotations

from orchestrator.errors import Refused
from orchestrator.ledger.points import RestorePoint
from orchestrator.model.plan import SourceVolume
from orchestrator.planner.context import Context

#: Kinds of source that restore points are of.
EC2, RDS = "EC2 instance", "RDS DB instance"

_GOOD = "complete"


def usable(context: Context, point: RestorePoint | None, resource_id: str, kind: str) -> RestorePoint:
    """Return the point. Raises `Refused` when there is none, or it is of another kind or in another repository."""
    if point is None:
        raise Refused(f"restore point {resource_id} is not known", remedy="See daywork restore-point list")
    if kind_of(point) != kind:
        raise Refused(
            f"restore point {point.id} is of {kind_of(point)} {point.resource_id}; "
            f"{context.operation.name} takes points of an {kind}",
            field="operation",
            value=context.operation.name,
            remedy="Use the operation for that kind of restore point",
        )
    if point.repository != context.repository().name:
        raise Refused(
            f"restore point {point.id} is in repository {point.repository}",
            field="repository",
            value=context.repository().name,
            remedy=f"Set repository to {point.repository} in the request",
        )
    return point


def kind_of(point: RestorePoint) -> str:
    """Return what kind of source a point is of; EC2 alone names its instances so."""
    return EC2 if point.resource_id.startswith("i-") else RDS


def is_good(point: RestorePoint) -> bool:
    """Whether a point restores, as far as the ledger knows."""
    return point.status == _GOOD


def volumes_of(point: RestorePoint) -> tuple[SourceVolume, ...]:
    """Return the volumes of an EC2 point, as recorded."""
    return tuple(SourceVolume.model_validate(volume) for volume in point.record.get("volumes", ()))


def size_of(point: RestorePoint) -> int:
    """Return the size of a point's source in bytes: its volumes, or its storage."""
    return sum(one.size_gib for one in volumes_of(point)) * 2**30 or int(point.record.get("sizeBytes", 0))


def source_of(point: RestorePoint) -> dict[str, str]:
    """Return what a point is of, for a plan's details."""
    return {"account": point.account, "region": point.region, "id": point.resource_id}
