"""Index of a file system: the agent mounts it, walks through it and keeps a catalogue in the repository."""

from __future__ import annotations

from agent.protocol import IndexJob, JobResult, MountTarget, ResourceRef
from orchestrator.ledger import journal, sessions, work
from orchestrator.model.work import Done, Outcome
from orchestrator.services import Services
from orchestrator.steps.jobs.chain import ended_workers
from orchestrator.steps.jobs.kind import Job, Rights, outcome, own_id, repository_ref
from orchestrator.steps.view import View


def prepare(_services: Services, _view: View) -> None:
    """Make nothing: what is read is there."""


def order(services: Services, view: View) -> IndexJob:
    """Return the job: index the file system from a mount target, first of all one in the worker's own zone."""
    details, place = view.plan.details, view.plan.operation
    zone = view.worker.availability_zone if view.worker is not None else ""
    targets = sorted(details["mountTargets"], key=lambda one: (one["zone"] != zone, one["id"]))
    return IndexJob(
        repository=repository_ref(services, view),
        resource=ResourceRef(account=place.account, region=place.region, id=view.resource.resource_id),
        index=index_of(view),
        mount_targets=tuple(MountTarget(id=one["id"], address=one["address"]) for one in targets if one["address"]),
        path=details["path"],
        exclude_paths=tuple(details["excludePaths"]),
        recovery_point=details.get("recoveryPoint"),
        size_bytes=view.plan.size_bytes,
        ended_workers=ended_workers(services, view),
    )


def index_of(view: View) -> str:
    """Return the index's id: the same for every attempt, so that a later one finds what a dead one has finished."""
    return f"ix-{own_id(view)}"


def finish(services: Services, view: View, result: JobResult) -> Outcome:
    """Note what was found. The index itself is in the repository and nowhere else: the ledger knows no file's name."""
    key = view.held.key
    done = max(int(result.detail.get("sizeBytes", 0)), view.resource.done)
    with services.ledger.write() as tx:
        work.hold(tx, view.held)
        sessions.remember(tx, key, **outcome(result, result.detail, done))
        journal.write(tx, view.session.id, f"index {index_of(view)} written", ordinal=key.ordinal)
    return Done()


JOB = Job(
    name="efs-index",
    prepare=prepare,
    order=order,
    finish=finish,
    rights=Rights(has_blocks=False),
    mounts=True,
    leaves_taken_chains=True,
)
