"""Prepare the source, ask for a worker, wait until its agent is ready."""

from __future__ import annotations

from datetime import datetime

from agent.protocol import Boot, Report, user_data
from orchestrator import placement, tags
from orchestrator.errors import CloudError
from orchestrator.ledger import hearing, journal, launches, sessions, work
from orchestrator.ledger.workers import Worker
from orchestrator.model.status import ResourceStatus
from orchestrator.model.work import Claim, Done, Failed, Outcome, Park, Stopped
from orchestrator.services import Deadlines, Services
from orchestrator.steps.jobs import JOBS
from orchestrator.steps.retrieval import retrieve
from orchestrator.steps.view import View, look

#: States of an instance in which its agent will never answer again.
GONE = ("shutting-down", "terminated", "stopping", "stopped")


def launch_worker(services: Services, held: Claim) -> Outcome:
    """Carry the step out. See `orchestrator.steps`."""
    view = look(services, held)
    if view.session.is_stopping:
        return Stopped()
    with services.ledger.read() as tx:
        request = launches.request(tx, held.key, held.attempt)
    if request is None:
        answer = retrieve(services, view) or JOBS[view.session.operation].prepare(services, view)
        if answer is not None:
            return answer
        request = _file(services, view)
    return _wait(services, view, request)


def _file(services: Services, view: View) -> launches.LaunchRequest:
    """File the launch request. Only the first of those that wait asks for a look: one launch takes them all."""
    spec = _spec(services, view)
    with services.ledger.write() as tx:
        work.hold(tx, view.held)
        first = not launches.is_anyone_queued(tx, spec.access.account, spec.access.region)
        request = launches.file(tx, view.held.key, view.held.attempt, spec)
    if first:
        services.dispatch.launch(spec.access.account, spec.access.region, after=services.install.gather)
    return request


def _wait(services: Services, view: View, request: launches.LaunchRequest) -> Outcome:
    now, deadlines = services.clock.now(), services.install.deadlines
    if request.state == launches.FAILED:
        return Failed(request.reason or "the worker could not be launched", request.remedy or "")
    worker = view.worker
    if worker is None or request.state not in (launches.ASSIGNED, launches.UNBOOTED):
        return _wait_for_launch(request, now, deadlines)
    if (failed := _early_end(worker)) is not None:
        return _did_not_boot(services, view, worker, failed)
    if worker.ready_at is not None and worker.user_id is not None:
        with services.ledger.write() as tx:
            work.hold(tx, view.held)
            sessions.move_resource(tx, view.held.key, ResourceStatus.READY)
        return Done()
    until = worker.launched_at + deadlines.boot
    waiting = ResourceStatus.BOOTING if worker.state == "running" else _LAUNCHING
    if now >= until:
        if not hearing.has_heard(services.ledger, until):
            return Park("worker", now + hearing.LOOK_AGAIN, status=waiting)
        failed = Failed(
            f"worker {worker.instance_id} did not report within {deadlines.boot}",
            "Check that its subnet reaches S3, SQS, STS and EBS, and see its console output",
        )
        return _did_not_boot(services, view, worker, failed)
    return Park("worker", until, status=waiting)


def _wait_for_launch(request: launches.LaunchRequest, now: datetime, deadlines: Deadlines) -> Outcome:
    """Wait for the resource's turn, which may take hours, and then for its launch, which may not."""
    turn = request.admitted_at is not None
    until = request.admitted_at + deadlines.launch if request.admitted_at else request.filed_at + deadlines.queue
    if now < until:
        called = request.state == launches.BATCHED
        status = _LAUNCHING if called else ResourceStatus.WAITING_FOR_CAPACITY
        return Park("worker", until, reason=request.reason, status=status)
    said = f": {request.reason}" if request.reason else ""
    if turn:
        return Failed(
            f"no worker could be launched within {deadlines.launch}{said}",
            "Add instance types or subnets to the worker configuration, or raise the account's quota",
        )
    return Failed(
        f"its turn to have a worker did not come within {deadlines.queue}{said}",
        "Raise limits.workers of the account or the account's quota, or spread the sessions over more time",
    )


def _did_not_boot(services: Services, view: View, worker: Worker, failed: Failed) -> Failed:
    """Write down that a worker never became ready, with what its console says."""
    try:
        console = services.cloud.compute(view.plan.worker.access).console_output(worker.instance_id)
    except CloudError as error:
        console = f"not to be had: {error.reason}"
    with services.ledger.write() as tx:
        work.hold(tx, view.held)
        launches.did_not_boot(tx, view.held.key, view.held.attempt, reason=failed.reason, remedy=failed.remedy)
        if console:
            text = f"console of {worker.instance_id}: {console}"
            journal.write(tx, view.session.id, text[:2000], ordinal=view.held.key.ordinal, level="warning")
    return failed


_LAUNCHING = ResourceStatus.LAUNCHING


def _early_end(worker: Worker) -> Failed | None:
    """Return why a worker ended before it was given its order, or None."""
    result = Report.from_dict(worker.report).result if worker.report is not None else None
    if result is not None:
        return Failed(result.reason or f"the agent on {worker.instance_id} could not start", result.remedy or "")
    if worker.state in GONE:
        return Failed(
            f"worker {worker.instance_id} ended before its agent was ready ({worker.state})",
            "See the instance's state reason and console output, and whether its role may read the control bucket",
        )
    return None


def _spec(services: Services, view: View) -> launches.LaunchSpec:
    install, plan, role = services.install, view.plan.worker, view.shared.temporary_role
    profile = plan.profile or (role.name if role is not None else None)
    if profile is None:
        raise LookupError("a worker needs an instance profile")
    boot = Boot(
        install=install.id,
        session=view.session.id,
        region=plan.access.region,
        control_bucket=install.control_bucket,
        control_region=install.control_region,
        report_queue=install.report_queue,
        boot_seconds=int((install.deadlines.boot + install.deadlines.launch).total_seconds()),
        heartbeat_seconds=max(1, int(install.heartbeat.total_seconds())),
        silence_seconds=int(install.silence.total_seconds()),
    )
    return launches.LaunchSpec(
        access=plan.access,
        instance_types=plan.instance_types,
        image=plan.image,
        subnets=plan.configuration.subnets,
        security_groups=plan.configuration.security_groups,
        public_address=plan.configuration.public_address,
        profile=profile,
        user_data=user_data(boot, start=_start(install.agent_start, view)),
        tags={
            **view.shared.tags,
            **placement.expanded(plan.tags, install=install.id, session=view.session.id, policy=view.session.policy),
            "Name": "daywork-worker",
            **tags.session_tags(install.id, view.session.id),
        },
    )


def _start(text: str, view: View) -> str:
    """Return the start script of a session's workers: whether they need what root alone can do."""
    return text.replace("@AGENT_MOUNTS@", "yes" if JOBS[view.session.operation].mounts else "no")
