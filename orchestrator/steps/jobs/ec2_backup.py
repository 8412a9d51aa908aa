"""Image-level backup of an instance: snapshots, one restore point written by the agent, its entry in the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ulid import ULID

from agent.protocol import BackupJob, BackupVolume, DataAccess, JobResult, ResourceRef, format_time
from orchestrator.ledger import journal, points, sessions, work, workers
from orchestrator.model.work import Done, Outcome, WorkKey
from orchestrator.planner import GIB
from orchestrator.services import Services
from orchestrator.steps.jobs import snapshots
from orchestrator.steps.jobs.kind import Job, outcome, repository_ref
from orchestrator.steps.view import View, remember


def order(services: Services, view: View) -> BackupJob:
    """Return the job: write one restore point of the instance."""
    state = view.resource.state
    point = state.get("restorePoint")
    if point is None:
        point = f"rp-{ULID()}"
        with services.ledger.write() as tx:
            remember(tx, view, restorePoint=point)
    place = view.plan.operation
    return BackupJob(
        repository=repository_ref(services, view),
        data=DataAccess(region=place.region, role_arn=view.plan.data_role),
        resource=ResourceRef(account=place.account, region=place.region, id=view.resource.resource_id),
        restore_point=point,
        created_at=format_time(datetime.fromtimestamp(state["takenAt"], UTC)),
        volumes=tuple(
            BackupVolume(
                volume_id=volume.volume_id,
                snapshot_id=state["snapshots"][volume.volume_id],
                size_bytes=volume.size_gib * GIB,
                device=volume.device,
                attributes=volume.model_dump(mode="json", by_alias=True, exclude_none=True),
            )
            for volume in view.plan.volumes
        ),
        configuration=view.plan.details.get("configuration", {}),
        ended_workers=_ended(services, state),
    )


def _ended(services: Services, state: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the workers that may have left the repository's chain locked and are terminated.

    Another attempt begins when the worker of the one before is; whoever had the chain before gave it back when its own
    were, unless AWS would not end them.
    """
    ended = [one["instanceId"] for one in state.get("earlier", []) if "instanceId" in one]
    if (before := state.get("chainBefore")) is not None:
        session, _, ordinal = before.partition("/")
        with services.ledger.read() as tx:
            theirs = workers.of_unit(tx, WorkKey(session, int(ordinal)))
        ended += [one.instance_id for one in theirs if one.state == workers.TERMINATED]
    return tuple(ended)


def finish(services: Services, view: View, result: JobResult) -> Outcome:
    """Enter the restore point."""
    state, place = view.resource.state, view.plan.operation
    point = points.RestorePoint(
        id=state["restorePoint"],
        account=place.account,
        region=place.region,
        resource_id=view.resource.resource_id,
        repository=view.shared.repository or "",
        session=view.session.id,
        kind=str(result.detail.get("kind", "full")),
        status="complete",
        parent=result.detail.get("parent"),
        created_at=datetime.fromtimestamp(state["takenAt"], UTC),
        record={
            "volumes": [
                volume.model_dump(mode="json", by_alias=True, exclude_none=True) for volume in view.plan.volumes
            ],
            "configuration": view.plan.details.get("configuration", {}),
            "consistency": "crash",
            "figures": result.detail,
        },
    )
    done = max(int(result.detail.get("bytesRead", 0)), view.resource.done)
    with services.ledger.write() as tx:
        work.hold(tx, view.held)
        points.add(tx, point)
        sessions.remember(tx, view.held.key, **outcome(result, result.detail, done))
        journal.write(tx, view.session.id, f"restore point {point.id} written", ordinal=view.held.key.ordinal)
    return Done()


JOB = Job(name="ec2-backup", prepare=snapshots.prepare, order=order, finish=finish)
