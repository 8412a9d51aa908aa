"""Retention: the points that planning found due are deleted by the agent, and forgotten by the ledger when they are."""

from __future__ import annotations

from agent.protocol import JobResult, ResourceRef, RetentionJob
from orchestrator.ledger import journal, points, sessions, work
from orchestrator.model.work import Done, Outcome
from orchestrator.policies import Use
from orchestrator.services import Services
from orchestrator.steps.jobs.chain import ended_workers
from orchestrator.steps.jobs.kind import Job, Rights, outcome, repository_ref
from orchestrator.steps.view import View, repository

_DAY = 24 * 3600


def prepare(_services: Services, _view: View) -> None:
    """Make nothing: what is deleted is there."""


def order(services: Services, view: View) -> RetentionJob:
    """Return the job: delete the points that are due, and collect garbage."""
    kept, times = repository(services, view), services.install.retention
    return RetentionJob(
        repository=repository_ref(services, view),
        source=ResourceRef(**view.plan.details["source"]),
        due=tuple(view.plan.details["due"]),
        grace=int(times.grace.total_seconds()),
        locked=kept.object_lock.days * _DAY if kept.object_lock is not None else 0,
        rest=int(times.rest.total_seconds()),
        ended_workers=ended_workers(services, view),
    )


def finish(services: Services, view: View, result: JobResult) -> Outcome:
    """Forget the points that are gone."""
    gone = [str(one) for one in result.detail.get("points", [])]
    key, freed = view.held.key, int(result.detail.get("bytesFreed", 0))
    with services.ledger.write() as tx:
        work.hold(tx, view.held)
        points.forget(tx, gone)
        sessions.remember(tx, key, **outcome(result, result.detail, len(view.plan.details["due"])))
        said = f"{len(gone)} of {len(view.plan.details['due'])} due restore points deleted, {freed} bytes freed"
        journal.write(tx, view.session.id, said, ordinal=key.ordinal)
    return Done()


JOB = Job(
    name="ec2-retention",
    prepare=prepare,
    order=order,
    finish=finish,
    rights=Rights(use=Use.KEEP, has_blocks=False),
)
