"""Give the agent its order, wait for its result, finish what only the control plane may do."""

from __future__ import annotations

from datetime import datetime, timedelta

from agent.protocol import JobResult, Order, Report, format_time
from orchestrator.ledger import sessions, things, workers
from orchestrator.model.status import ResourceStatus
from orchestrator.model.work import Claim, Failed, Outcome, Park, Stopped
from orchestrator.services import Services
from orchestrator.steps import finish, jobs
from orchestrator.steps.view import View, look, remember

_GONE = ("shutting-down", "terminated", "stopping", "stopped")


def run_job(services: Services, held: Claim) -> Outcome:
    """Carry the step out. See `orchestrator.steps`."""
    view = look(services, held)
    worker = view.worker
    if worker is None or worker.user_id is None:
        return Stopped() if view.session.is_stopping else Failed("there is no worker to run the job")
    if "orderedAt" not in view.resource.state:
        if view.session.is_stopping:
            return Stopped()
        _order(services, view, worker, worker.user_id)
        view = look(services, held)
    result = _result(services, view, worker, worker.user_id)
    if result is None:
        return _wait(services, view, worker, worker.user_id)
    if view.session.is_stopping and result.outcome != "success":
        return Stopped()
    if result.outcome == "stopped":
        return Stopped(result.reason or "stopped on request")
    if result.outcome == "failed":
        return Failed(result.reason or "the job failed", result.remedy or "")
    return finish.finish(services, view, result)


def _order(services: Services, view: View, worker: workers.Worker, user_id: str) -> None:
    """Write the order down as intended, then give it. A second run gives the same order again."""
    state = view.resource.state
    fence = int(state.get("fence", view.held.fence))
    deadline = state.get("deadline") or format_time(services.clock.now() + services.install.deadlines.job)
    with services.ledger.write() as tx:
        remember(tx, view, fence=fence, deadline=deadline)
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
    order = Order(
        session=view.session.id,
        attempt=view.held.attempt,
        fence=fence,
        job_name=jobs.JOBS[view.session.operation],
        deadline=deadline,
        job=jobs.job_of(services, view).to_dict(),
    )
    services.cloud.orders().give(user_id, order)
    with services.ledger.write() as tx:
        things.created(tx, view.session.id, "order", user_id, cloud_id=worker.instance_id)
        remember(tx, view, orderedAt=tx.now.timestamp())
        sessions.move_resource(tx, view.held.key, ResourceStatus.RUNNING)


def _result(services: Services, view: View, worker: workers.Worker, user_id: str) -> JobResult | None:
    """Return the result: from the report, or from the object beside the order when the worker is silent or gone."""
    fence = int(view.resource.state.get("fence", 0))
    report = None if worker.report is None else Report.from_dict(worker.report)
    if report is None and (worker.state in _GONE or services.clock.now() >= _heartbeat(services, view, worker)):
        report = services.cloud.orders().result(view.session.id, user_id)
        if report is not None and report.user_id == user_id and report.fence == fence:
            with services.ledger.write() as tx:
                workers.learn_result(tx, report)
    if report is None or report.fence != fence:
        return None
    return report.result


def _heartbeat(services: Services, view: View, worker: workers.Worker) -> datetime:
    ordered = datetime.fromtimestamp(view.resource.state["orderedAt"], services.clock.now().tzinfo)
    return max(ordered, worker.heard_at or ordered) + services.install.deadlines.heartbeat


def _wait(services: Services, view: View, worker: workers.Worker, user_id: str) -> Outcome:
    now, deadlines = services.clock.now(), services.install.deadlines
    silent = _heartbeat(services, view, worker)
    if view.session.is_stopping:
        return _stop(services, view, worker, user_id)
    if worker.state in _GONE:
        return Failed(
            f"worker {worker.instance_id} was terminated before its job ended",
            "Start the operation again for this resource",
        )
    if now >= silent:
        return Failed(
            f"worker {worker.instance_id} was not heard of for {deadlines.heartbeat}",
            "See its console output; start the operation again for this resource",
        )
    return Park("result", silent, status=ResourceStatus.RUNNING)


def _stop(services: Services, view: View, worker: workers.Worker, user_id: str) -> Outcome:
    """Ask the agent to stop, once, and give it a while to leave nothing half-made."""
    now = services.clock.now()
    asked = view.resource.state.get("stopAskedAt")
    if asked is None:
        services.cloud.orders().stop(view.session.id, user_id)
        asked = now.timestamp()
        with services.ledger.write() as tx:
            remember(tx, view, stopAskedAt=asked)
    until = datetime.fromtimestamp(asked, now.tzinfo) + services.install.deadlines.stop
    if worker.state in _GONE or now >= until:
        return Stopped()
    return Park("result", until + timedelta(milliseconds=1))
