"""Image-level backup of an instance: snapshots, one restore point written by the agent, its entry in the ledger."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from agent.protocol import BackupJob, BackupVolume, DataAccess, JobResult, ResourceRef, format_time
from orchestrator.errors import Permanent
from orchestrator.ledger import journal, points, sessions, work
from orchestrator.model.work import Done, Outcome
from orchestrator.planner import GIB
from orchestrator.services import Services
from orchestrator.steps.jobs import bases, snapshots
from orchestrator.steps.jobs.bases import Base
from orchestrator.steps.jobs.chain import ended_workers
from orchestrator.steps.jobs.kind import Job, Rights, block_share, outcome, repository_ref
from orchestrator.steps.view import View, remember


def prepare(services: Services, view: View) -> Outcome | None:
    """Have the snapshots taken and the instance's user data read. Returns None when the worker can begin."""
    if (answer := snapshots.prepare(services, view)) is not None:
        return answer
    _read_user_data(services, view)
    return None


def _read_user_data(services: Services, view: View) -> None:
    """Read the user data, once: it belongs to the instance, and planning reads many instances in few calls."""
    if "userData" in view.resource.state:
        return
    compute, refused = services.cloud.compute(view.plan.operation), None
    try:
        found = compute.user_data(view.resource.resource_id)
    except Permanent as error:
        found, refused = None, error.reason
    with services.ledger.write() as tx:
        remember(tx, view, userData=found)
        if refused is not None:
            said = f"the user data of {view.resource.resource_id} is not recorded: {refused}"
            journal.write(tx, view.session.id, said, ordinal=view.held.key.ordinal, level="warning")


def _configuration(view: View) -> dict[str, Any]:
    """Return the instance as it is recorded (`orchestrator.aws.machine`)."""
    found = dict(view.plan.details.get("configuration", {}))
    if (given := view.resource.state.get("userData")) is not None:
        found["userData"] = given
    return found


def order(services: Services, view: View) -> BackupJob:
    """Return the job: write one restore point of the instance."""
    state, place = _decided(services, view), view.plan.operation
    base = Base(**state["base"])
    return BackupJob(
        repository=repository_ref(services, view),
        data=DataAccess(region=place.region, role_arn=view.plan.data_role),
        resource=ResourceRef(account=place.account, region=place.region, id=view.resource.resource_id),
        restore_point=state["restorePoint"],
        created_at=format_time(datetime.fromtimestamp(state["takenAt"], UTC)),
        volumes=tuple(
            BackupVolume(
                volume_id=volume.volume_id,
                snapshot_id=state["snapshots"][volume.volume_id],
                size_bytes=volume.size_gib * GIB,
                device=volume.device,
                previous_snapshot_id=base.snapshots.get(volume.volume_id),
                attributes=volume.model_dump(mode="json", by_alias=True, exclude_none=True),
            )
            for volume in view.plan.volumes
        ),
        parent=base.parent,
        configuration=_configuration(view),
        blocks_per_second=state["share"],
        ended_workers=ended_workers(services, view),
    )


def _decided(services: Services, view: View) -> dict[str, Any]:
    """Decide, once, what the backup compares with and how fast it begins; return what the steps remember."""
    if "base" in view.resource.state:
        return view.resource.state
    base = bases.find(services, view)
    decided = {"base": asdict(base), "share": block_share(services, view)}
    with services.ledger.write() as tx:
        remember(tx, view, **decided)
        bases.tell(tx, view, base.whole)
    return {**view.resource.state, **decided}


def finish(services: Services, view: View, result: JobResult) -> Outcome:
    """Enter the restore point, and keep its snapshots in place of those of the one before."""
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
            "configuration": _configuration(view),
            "consistency": "crash",
            "figures": result.detail,
            "snapshots": state["snapshots"],
        },
    )
    done = max(int(result.detail.get("bytesRead", 0)), view.resource.done)
    with services.ledger.write() as tx:
        work.hold(tx, view.held)
        points.add(tx, point)
        points.judge(tx, result.detail.get("mended", []), points.COMPLETE)
        bases.keep(tx, view)
        sessions.remember(tx, view.held.key, **outcome(result, result.detail, done))
        bases.tell(tx, view, _read_whole(result))
        journal.write(tx, view.session.id, f"restore point {point.id} written", ordinal=view.held.key.ordinal)
    bases.drop_older(services, view)
    return Done()


def _read_whole(result: JobResult) -> dict[str, str]:
    """Return why the agent has read volumes whole that it was to compare, by volume."""
    volumes = result.detail.get("volumes", [])
    return {one["volumeId"]: one["readWhole"] for one in volumes if "readWhole" in one}


JOB = Job(name="ec2-backup", prepare=prepare, order=order, finish=finish, rights=Rights(compares=True))
