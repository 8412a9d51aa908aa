"""What the restores share: snapshots that the agent has filled, and waiting, for a bounded time, for what EC2 makes."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from agent.protocol import DataAccess, ResourceRef, RestoreVolume, RestoreVolumeJob
from orchestrator.model.plan import SourceVolume
from orchestrator.model.work import Failed, Outcome, Park
from orchestrator.planner import GIB
from orchestrator.policies import Use
from orchestrator.ports import Compute
from orchestrator.services import Services
from orchestrator.steps.jobs.kind import Rights, repository_ref
from orchestrator.steps.view import View, remember

#: A restore writes nothing into the repository.
RIGHTS = Rights(use=Use.READ)
_LOOK_AGAIN = timedelta(seconds=30)
#: AWS takes 50 tags; ours need four, and one may be a name that was asked for.
_MOST_TAGS = 45
#: Tags that AWS keeps for itself, and those that say what is ours: neither is a source's own.
_NOT_THEIRS = ("aws:", "daywork:")


def order(services: Services, view: View) -> RestoreVolumeJob:
    """Return the job: fill the started snapshots with the blocks of a restore point."""
    details = view.plan.details
    return RestoreVolumeJob(
        repository=repository_ref(services, view),
        data=DataAccess(region=view.plan.operation.region, role_arn=view.plan.data_role),
        source=ResourceRef(**details["source"]),
        restore_point=details["point"],
        volumes=tuple(
            RestoreVolume(
                volume_id=volume.volume_id,
                snapshot_id=view.resource.state["snapshots"][volume.volume_id],
                size_bytes=volume.size_gib * GIB,
            )
            for volume in view.plan.volumes
        ),
        read_back=bool(details.get("drill")),
    )


def unfilled(services: Services, view: View, compute: Compute) -> Outcome | None:
    """Return None when the agent's snapshots are all completed, or what the step has to answer."""
    filled: dict[str, str] = view.resource.state["snapshots"]
    states = compute.snapshots(ids=list(filled.values()))
    if broken := [one for one in states if one.state == "error"]:
        return Failed(f"snapshot {broken[0].snapshot_id} ended in an error: {broken[0].reason or 'no reason given'}")
    if len(states) < len(filled) or any(one.state != "completed" for one in states):
        lost = set(filled.values()) - {one.snapshot_id for one in states}
        return wait(services, view, "snapshot", lost)
    return None


def wait(
    services: Services, view: View, kind: str, unseen: Collection[str], *, look_again: timedelta = _LOOK_AGAIN
) -> Outcome:
    """Park until what is waited for is there, for a bounded time; what stays `unseen` was deleted."""
    now, since = services.clock.now(), view.moment("finishingSince")
    if since is None:
        since = now
        with services.ledger.write() as tx:
            remember(tx, view, finishingSince=now.timestamp())
    if unseen and now - since >= services.install.deadlines.visible:
        return Failed(f"{kind} {min(unseen)} does not exist any more", "Somebody deleted it; start the restore again")
    if now - since >= services.install.deadlines.source:
        return Failed(f"the restored {kind} was not ready within {services.install.deadlines.source}", "See EC2")
    return Park(kind, now + look_again)


def own_tags(attributes: dict[str, Any]) -> dict[str, str]:
    """Return a source's tags, as far as they are its owner's and ours find room."""
    tags = {key: value for key, value in (attributes.get("tags") or {}).items() if not key.startswith(_NOT_THEIRS)}
    return dict(sorted(tags.items())[:_MOST_TAGS])


def token(view: View, kind: str, volume: SourceVolume | None = None) -> str:
    """Return the name of something that a resource's attempt makes: its idempotency token, at most 64 characters."""
    parts = [kind, view.session.id, view.label, *([volume.volume_id] if volume is not None else [])]
    return "-".join(parts)[-64:]
