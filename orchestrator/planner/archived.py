"""Restore points in an archive: what is done with them first, and what is not done with them at all."""

from __future__ import annotations

from typing import Any, Final

from orchestrator.errors import Refused
from orchestrator.ledger.points import ARCHIVED, RestorePoint
from orchestrator.model.options import Retrieval
from orchestrator.model.plan import ResourcePlan
from orchestrator.planner.context import Context

#: Operations that read an archived point, after its packs are retrieved.
_RESTORES: Final = ("ec2-restore-volume", "ec2-restore-instance", "ec2-restore-files")


def is_archived(point: RestorePoint) -> bool:
    """Whether a point is a copy in an archive."""
    return point.kind == ARCHIVED


def refuse_archived(context: Context, point: RestorePoint) -> None:
    """Raise `Refused` for an archived point and an operation that does not take one."""
    if is_archived(point) and context.operation.name not in _RESTORES:
        raise Refused(
            f"restore point {point.id} is an archived copy; {context.operation.name} does not take one",
            field="operation",
            value=context.operation.name,
            remedy=f"An archived point is restored: {', '.join(_RESTORES)}",
        )


def from_archive(context: Context, point: RestorePoint, plan: ResourcePlan) -> ResourcePlan:
    """Return a restore's plan with what has to be retrieved before its worker is launched. Raises `Refused`.

    A point that is not archived leaves the plan as it is.
    """
    if not is_archived(point):
        return plan
    place = point.record["archive"]
    tier = Retrieval(context.request.options.get("retrieval", Retrieval.STANDARD))
    if tier is Retrieval.EXPEDITED and place["storageClass"] == "DEEP_ARCHIVE":
        raise Refused(
            f"restore point {point.id} is in DEEP_ARCHIVE, which has no expedited retrieval",
            field="options.retrieval",
            value=tier,
            remedy="Use standard (within 12 hours) or bulk (within 48 hours)",
        )
    wanted = set(context.request.options.get("volumes", ())) or {one.volume_id for one in plan.volumes}
    archived: dict[str, Any] = {
        "url": place["url"],
        "storageClass": place["storageClass"],
        "tier": str(tier),
        "packs": {name: packs for name, packs in place["packs"].items() if name in wanted},
    }
    return plan.model_copy(update={"details": {**plan.details, "archived": archived}})
