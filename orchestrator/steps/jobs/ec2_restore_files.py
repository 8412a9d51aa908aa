"""Restore of files: the agent takes paths out of an image into the control bucket. Nothing is made before or after."""

from __future__ import annotations

from agent.protocol import (
    DataAccess,
    JobResult,
    Output,
    PointFiles,
    ResourceRef,
    RestoreFilesJob,
    SnapshotFiles,
    order_prefix,
)
from orchestrator.ledger import journal, sessions, work
from orchestrator.model.work import Done, Outcome
from orchestrator.policies import RESTORED, Use
from orchestrator.services import Services
from orchestrator.steps.jobs.kind import Job, Rights, outcome, repository_ref
from orchestrator.steps.view import View


def prepare(services: Services, view: View) -> Outcome | None:  # noqa: ARG001 - one form
    """Prepare nothing: points and snapshots are there."""
    return None


def order(services: Services, view: View) -> RestoreFilesJob:
    """Return the job: take paths out of a restore point or of a snapshot."""
    details, install = view.plan.details, services.install
    place = view.plan.operation
    point = snapshot = None
    if "snapshot" in details:
        data = DataAccess(region=place.region, role_arn=view.plan.data_role)
        volume = view.plan.volumes[0].volume_id
        snapshot = SnapshotFiles(data=data, snapshot_id=details["snapshot"], volume_id=volume)
    else:
        source = ResourceRef(**details["source"])
        point = PointFiles(repository=repository_ref(services, view), source=source, restore_point=details["point"])
    return RestoreFilesJob(
        output=Output(url=f"s3://{install.control_bucket}/{RESTORED}{view.session.id}", region=install.control_region),
        point=point,
        snapshot=snapshot,
        volumes=tuple(details.get("volumes", ())),
        paths=tuple(details.get("paths", ())),
        form=details.get("form", "archive"),
        orders=Output(
            url=f"s3://{install.control_bucket}/{order_prefix(view.session.id).rstrip('/')}",
            region=install.control_region,
        ),
        idle_seconds=int(install.deadlines.browse.total_seconds()),
    )


def finish(services: Services, view: View, result: JobResult) -> Outcome:
    """Note where the files are."""
    read = int(result.detail.get("bytesRead", 0))
    with services.ledger.write() as tx:
        work.hold(tx, view.held)
        sessions.remember(tx, view.held.key, **outcome(result, result.detail, read))
        if place := result.detail.get("output"):
            journal.write(tx, view.session.id, f"files written to {place}", ordinal=view.held.key.ordinal)
    return Done()


JOB = Job(
    name="ec2-restore-files",
    prepare=prepare,
    order=order,
    finish=finish,
    rights=Rights(use=Use.READ, has_blocks=False, gives_files=True),
)
