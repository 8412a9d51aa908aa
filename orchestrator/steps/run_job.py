"""Give the agent its order, wait for its result, finish what only the control plane may do."""

from __future__ import annotations

from datetime import datetime

from agent.protocol import JobResult, Order, Report, format_time
from orchestrator.fleet import heartbeats
from orchestrator.ledger import hearing, sessions, things, workers
from orchestrator.model.status import ResourceStatus
from orchestrator.model.work import Claim, Failed, Outcome, Park, Stopped
from orchestrator.services import Services
from orchestrator.steps.assume_role import hold_chain
from orchestrator.steps.jobs import JOBS
from orchestrator.steps.launch_worker import GONE
from orchestrator.steps.view import View, look, remember

_AGAIN = "Start the operation again for this resource"


def run_job(services: Services, held: Claim) -> Outcome:
    """Carry the step out. See `orchestrator.steps`."""
    view = look(services, held)
    worker = view.worker
    if worker is None or worker.user_id is None:
        return Stopped() if view.session.is_stopping else Failed("there is no worker to run the job", _AGAIN)
    if "orderedAt" not in view.resource.state:
        if view.session.is_stopping:
            return Stopped()
        if (failed := _order(services, view, worker, worker.user_id)) is not None:
            return failed
        view = look(services, held)
    result = _result(services, view, worker, worker.user_id)
    if result is None:
        return _wait(services, view, worker, worker.user_id)
    if view.session.is_stopping and result.outcome not in ("success", "warning"):
        return Stopped()
    if result.outcome == "stopped":
        return Stopped(result.reason or "stopped on request")
    if result.outcome == "failed":
        return Failed(result.reason or "the job failed", result.remedy or "")
    return JOBS[view.session.operation].finish(services, view, result)


def _order(services: Services, view: View, worker: workers.Worker, user_id: str) -> Failed | None:
    """Write the order down as intended, then give it. A second run gives the same order again."""
    state = view.resource.state
    fence = int(state.get("fence", view.held.fence))
    deadline = state.get("deadline") or format_time(services.clock.now() + services.install.deadlines.job)
    with services.ledger.write() as tx:
        remember(tx, view, fence=fence, deadline=deadline)
        if not hold_chain(tx, services, view):
            return Failed("another session has taken the backup chain over meanwhile", _AGAIN)
        things.intend(
            tx,
            things.Thing(
                session=view.session.id,
                ordinal=view.held.key.ordinal,
                kind="order",
                name=user_id,
                account=services.install.report_queue.split("/")[-2],
                region=services.install.control_region,
            ),
        )
    job = JOBS[view.session.operation]
    order = Order(
        session=view.session.id,
        attempt=view.held.attempt,
        fence=fence,
        job_name=job.name,
        deadline=deadline,
        job=job.order(services, view).to_dict(),
    )
    services.cloud.orders().give(user_id, order)
    with services.ledger.write() as tx:
        things.created(tx, view.session.id, "order", user_id, cloud_id=worker.instance_id)
        remember(tx, view, orderedAt=tx.now.timestamp())
        sessions.move_resource(tx, view.held.key, ResourceStatus.RUNNING)
    return None


def _result(services: Services, view: View, worker: workers.Worker, user_id: str) -> JobResult | None:
    """Return the result: from the report, or from the object beside the order when the worker is silent or gone."""
    fence = int(view.resource.state.get("fence", 0))
    if worker.report is not None and (result := _answer(Report.from_dict(worker.report), fence)) is not None:
        return result
    if worker.state not in GONE and services.clock.now() < _look_at(services, view, worker):
        return None
    report = services.cloud.orders().result(view.session.id, user_id)
    if report is None or report.user_id != user_id or (result := _answer(report, fence)) is None:
        return None
    with services.ledger.write() as tx:
        workers.learn_result(tx, report)
    return result


def _answer(report: Report, fence: int) -> JobResult | None:
    """Return a report's result if it answers the order given under `fence`.

    An agent that failed before it had read an order (fence 0) can say that it failed, and nothing else.
    """
    result = report.result
    if result is None or report.fence == fence:
        return result
    return result if report.fence == 0 and result.outcome == "failed" else None


def _heard_at(services: Services, view: View, worker: workers.Worker) -> datetime:
    ordered = view.moment("orderedAt") or services.clock.now()
    return max(ordered, worker.heard_at or ordered)


def _look_at(services: Services, view: View, worker: workers.Worker) -> datetime:
    heard = _heard_at(services, view, worker)
    return heartbeats.silent_after(view.resource.state, heard, services.install.deadlines)


def _wait(services: Services, view: View, worker: workers.Worker, user_id: str) -> Outcome:
    now, deadlines = services.clock.now(), services.install.deadlines
    if view.session.is_stopping:
        return _stop(services, view, worker, user_id)
    if worker.state in GONE:
        return Failed(f"worker {worker.instance_id} was {worker.state} before its job ended", _AGAIN)
    end = heartbeats.job_end(view.resource.state, deadlines)
    if end is not None and now >= end:
        return Failed(f"the job did not end within {deadlines.job}", f"Allow jobs more time, then: {_AGAIN.lower()}")
    until = _look_at(services, view, worker)
    if now >= until:
        if not hearing.has_heard(services.ledger, until):
            return Park(heartbeats.RESULT, now + hearing.LOOK_AGAIN, status=ResourceStatus.RUNNING)
        return Failed(
            f"worker {worker.instance_id} was not heard of for {deadlines.heartbeat}",
            f"See its console output. {_AGAIN}",
        )
    return Park(heartbeats.RESULT, until, status=ResourceStatus.RUNNING)


def _stop(services: Services, view: View, worker: workers.Worker, user_id: str) -> Outcome:
    """Ask the agent to stop, once, and give it a while to leave nothing half-made."""
    asked = view.moment("stopAskedAt")
    if asked is None:
        services.cloud.orders().stop(view.session.id, user_id)
        asked = services.clock.now()
        with services.ledger.write() as tx:
            remember(tx, view, stopAskedAt=asked.timestamp())
    until = asked + services.install.deadlines.stop
    if worker.state in GONE or services.clock.now() >= until:
        return Stopped()
    return Park(heartbeats.RESULT, until)
