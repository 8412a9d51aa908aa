"""Archived backup: a restore point copied to the archive by the agent, and the copy's entry in the ledger."""

from __future__ import annotations

from datetime import UTC, datetime

from agent.protocol import ArchiveJob, JobResult, RepositoryRef, ResourceRef
from orchestrator.ledger import journal, points, sessions, work
from orchestrator.model.work import Done, Outcome
from orchestrator.policies import Use
from orchestrator.services import Services
from orchestrator.steps.jobs.kind import Job, Rights, outcome, own_id, repository_ref
from orchestrator.steps.view import View


def prepare(_services: Services, _view: View) -> None:
    """Make nothing: what is copied is there."""


def order(services: Services, view: View) -> ArchiveJob:
    """Return the job: copy the restore point."""
    details, repository = view.plan.details, repository_ref(services, view)
    return ArchiveJob(
        repository=repository,
        archive=RepositoryRef(
            url=details["archive"],
            region=repository.region,
            kms_key=repository.kms_key,
            role_arn=repository.role_arn,
        ),
        source=ResourceRef(**details["source"]),
        restore_point=details["point"],
        archived_point=copy_of(view),
        storage_class=details["storageClass"],
        pack_bytes=services.install.archive_pack,
    )


def copy_of(view: View) -> str:
    """Return the id of the copy: the same for every attempt, so that a later one goes on where a dead one was."""
    return f"rp-{own_id(view)}"


def finish(services: Services, view: View, result: JobResult) -> Outcome:
    """Enter the copy, as a restore point of the original's moment."""
    details, source = view.plan.details, view.plan.details["source"]
    copy = points.RestorePoint(
        id=copy_of(view),
        account=source["account"],
        region=source["region"],
        resource_id=source["id"],
        repository=view.shared.repository or "",
        session=view.session.id,
        kind=points.ARCHIVED,
        status="complete",
        parent=None,
        created_at=datetime.fromtimestamp(details["pointCreatedAt"], UTC),
        record={
            "volumes": [
                volume.model_dump(mode="json", by_alias=True, exclude_none=True) for volume in view.plan.volumes
            ],
            "configuration": details["configuration"],
            "consistency": details["consistency"],
            "figures": {name: value for name, value in result.detail.items() if name != "packs"},
            "archive": points.archive_record(details["archive"], result.detail),
        },
    )
    shown = {name: value for name, value in result.detail.items() if name != "packs"}
    done = int(result.detail.get("bytesRead", 0))
    with services.ledger.write() as tx:
        work.hold(tx, view.held)
        points.add(tx, copy)
        sessions.remember(tx, view.held.key, **outcome(result, shown, done))
        journal.write(
            tx,
            view.session.id,
            f"restore point {details['point']} archived as {copy.id}",
            ordinal=view.held.key.ordinal,
        )
    return Done()


JOB = Job(
    name="ec2-archive",
    prepare=prepare,
    order=order,
    finish=finish,
    rights=Rights(use=Use.READ, has_blocks=False, archives=True),
)
