"""Prepare the source, ask for a worker, wait until its agent is ready."""

from __future__ import annotations

from agent.protocol import Boot, user_data
from orchestrator import tags
from orchestrator.ledger import launches, sessions, work
from orchestrator.model.status import ResourceStatus
from orchestrator.model.work import Claim, Done, Failed, Outcome, Park, Stopped
from orchestrator.services import Services
from orchestrator.steps import source
from orchestrator.steps.view import View, look

_GONE = ("shutting-down", "terminated", "stopping", "stopped")


def launch_worker(services: Services, held: Claim) -> Outcome:
    """Carry the step out. See `orchestrator.steps`."""
    view = look(services, held)
    if view.session.is_stopping:
        return Stopped()
    with services.ledger.read() as tx:
        request = launches.request(tx, held.key, held.attempt)
    if request is None:
        if (answer := source.prepare(services, view)) is not None:
            return answer
        spec = _spec(services, view)
        with services.ledger.write() as tx:
            work.hold(tx, held)
            request = launches.file(tx, held.key, held.attempt, spec)
        services.dispatch.launch(spec.access.account, spec.access.region)
    return _wait(services, view, request)


def _wait(services: Services, view: View, request: launches.LaunchRequest) -> Outcome:
    now, deadlines = services.clock.now(), services.install.deadlines
    if request.state == launches.FAILED:
        return Failed(request.reason or "the worker could not be launched", request.remedy or "")
    worker = view.worker
    if worker is None or request.state != launches.ASSIGNED:
        until = request.filed_at + deadlines.launch
        if now >= until:
            return Failed(
                f"no worker could be launched within {deadlines.launch}",
                "See the session's log for what EC2 answered; add instance types or subnets",
            )
        return Park("worker", until, status=ResourceStatus.WAITING_FOR_CAPACITY)
    if worker.state in _GONE:
        return Failed(
            f"worker {worker.instance_id} ended before its agent was ready",
            "See the instance's console output, and whether its role may read the control bucket",
        )
    if worker.ready_at is not None and worker.user_id is not None:
        with services.ledger.write() as tx:
            work.hold(tx, view.held)
            sessions.move_resource(tx, view.held.key, ResourceStatus.READY)
        return Done()
    until = worker.launched_at + deadlines.boot
    if now >= until:
        return Failed(
            f"worker {worker.instance_id} did not report within {deadlines.boot}",
            "Check that its subnet reaches S3, SQS, STS and EBS, and see its console output",
        )
    booting = worker.state == "running"
    return Park("worker", until, status=ResourceStatus.BOOTING if booting else ResourceStatus.LAUNCHING)


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
        profile=profile,
        user_data=user_data(boot, start=install.agent_start),
        tags={
            **view.shared.tags,
            "Name": "daywork-worker",
            **tags.session_tags(install.id, view.session.id),
        },
    )
