"""Health check: the agent verifies a restore point, the ledger notes what the point is worth."""

from __future__ import annotations

from agent.protocol import HealthCheckJob, JobResult, ResourceRef
from orchestrator.ledger import journal, points, sessions, work
from orchestrator.model.work import Done, Outcome
from orchestrator.policies import Use
from orchestrator.services import Services
from orchestrator.steps.jobs.kind import Job, Rights, outcome, repository_ref
from orchestrator.steps.view import View


def prepare(_services: Services, _view: View) -> None:
    """Make nothing: what is verified is there."""


def order(services: Services, view: View) -> HealthCheckJob:
    """Return the job: verify the restore point."""
    details = view.plan.details
    return HealthCheckJob(
        repository=repository_ref(services, view),
        source=ResourceRef(**details["source"]),
        restore_point=details["point"],
        sample=details.get("sample", 100),
    )


def finish(services: Services, view: View, result: JobResult) -> Outcome:
    """Note what the point is worth. A sample that found nothing says nothing about a point that is known as damaged."""
    point, key, detail = view.plan.details["point"], view.held.key, result.detail
    is_damaged, is_complete = bool(detail.get("isDamaged")), bool(detail.get("isComplete"))
    with services.ledger.write() as tx:
        work.hold(tx, view.held)
        if is_damaged or is_complete:
            points.judge(tx, [point], points.DAMAGED if is_damaged else points.COMPLETE)
        sessions.remember(tx, key, **outcome(result, detail, int(detail.get("bytesVerified", view.resource.done))))
        said = f"restore point {point} is {'damaged' if is_damaged else 'well'}"
        journal.write(tx, view.session.id, said, ordinal=key.ordinal, level="error" if is_damaged else "info")
    return Done()


JOB = Job(
    name="ec2-health-check",
    prepare=prepare,
    order=order,
    finish=finish,
    rights=Rights(use=Use.CHECK, has_blocks=False),
)
