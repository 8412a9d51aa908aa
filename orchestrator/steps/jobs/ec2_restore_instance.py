"""Restore of an entire instance: filled snapshots become an image, the image an instance with the recorded settings.

RunInstances takes an image, so one is registered over the snapshots and goes again with them when the instance has its
volumes. Until the instance is complete it carries the mark `daywork:restoring`, its volumes end with it, and the ledger
does not keep it: a failure or a death at any point leaves what the teardown or the sweeper removes whole.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from agent.protocol import JobResult
from orchestrator import tags
from orchestrator.errors import Permanent
from orchestrator.ledger import journal, sessions, things, work
from orchestrator.model.work import Done, Failed, Outcome
from orchestrator.ports import Device, Machines, MachineView, NewImage, NewMachine
from orchestrator.services import Services
from orchestrator.steps.jobs import empty_snapshots, filled, launching
from orchestrator.steps.jobs.kind import Job, outcome as outcome_of
from orchestrator.steps.view import View

#: Kinds of what is made here, in the ledger.
IMAGE, INSTANCE = "image", "restored-instance"
_SOON = timedelta(seconds=5)


def finish(services: Services, view: View, result: JobResult) -> Outcome:
    """Make the instance, complete it, let go of it."""
    machines = services.cloud.machines(view.plan.operation)
    known = _known(services, view, INSTANCE)
    if known is None:
        made = _start(services, view, machines)
        if not isinstance(made, str):
            return made
        instance_id, is_kept = made, False
    else:
        instance_id, is_kept = known.cloud_id or "", known.keep
    seen = next(iter(machines.machines(ids=[instance_id])), None)
    if not is_kept and (answer := _unready(services, view, machines, instance_id, seen)) is not None:
        return answer
    if seen is not None:
        if not is_kept:
            _complete(services, view, machines, seen, result)
        machines.release([instance_id, *seen.volumes.values()], [tags.RESTORING])
    return Done()


def _known(services: Services, view: View, kind: str) -> things.Thing | None:
    """Return what an earlier run has made and written down."""
    with services.ledger.read() as tx:
        found = things.find(tx, view.session.id, kind, filled.token(view, kind))
    return found if found is not None and found.cloud_id is not None else None


# --- making -------------------------------------------------------------------------------------------------------


def _start(services: Services, view: View, machines: Machines) -> str | Outcome:
    """Make image and instance. Returns the instance's id, or what the step has to answer."""
    known = _known(services, view, IMAGE)
    if known is None:
        if (answer := filled.unfilled(services, view, services.cloud.compute(view.plan.operation))) is not None:
            return answer
        image_id = _made(services, view, IMAGE, lambda: machines.make_image(_image(services, view)).image_id)
    else:
        image_id = known.cloud_id or ""
    image = next(iter(machines.images(ids=[image_id])), None)
    if image is not None and image.state not in ("pending", "available"):
        return Failed(
            f"the image over the restored snapshots is {image.state}: {image.reason or 'EC2 gives no reason'}"
        )
    if image is None or image.state == "pending":
        return filled.wait(services, view, IMAGE, set() if image else {image_id}, look_again=_SOON)
    return _made(services, view, INSTANCE, lambda: machines.make(_machine(services, view, image_id)).instance_id)


def _made(services: Services, view: View, kind: str, make: Callable[[], str]) -> str:
    """Make something under an intent; what was refused for good is not there."""
    session, name = view.session.id, filled.token(view, kind)
    with services.ledger.write() as tx:
        work.hold(tx, view.held)
        things.intend(tx, view.thing(kind, name))
    try:
        cloud_id = make()
    except Permanent:
        with services.ledger.write() as tx:
            things.removed(tx, session, kind, name)
        raise
    with services.ledger.write() as tx:
        things.created(tx, session, kind, name, cloud_id=cloud_id)
        journal.write(tx, session, f"{kind} {cloud_id} made", ordinal=view.held.key.ordinal)
    return cloud_id


def _image(services: Services, view: View) -> NewImage:
    recorded, snapshots = view.plan.details["configuration"], view.resource.state["snapshots"]
    return NewImage(
        name=filled.token(view, IMAGE),
        root_device=recorded["rootDevice"],
        devices=tuple(
            Device(
                name=one.device,
                snapshot_id=snapshots[one.volume_id],
                size_gib=one.size_gib,
                type=one.type,
                iops=one.iops,
                throughput=one.throughput,
            )
            for one in view.plan.volumes
        ),
        architecture=recorded.get("architecture") or "x86_64",
        virtualization=recorded.get("virtualizationType") or "hvm",
        boot_mode=recorded.get("bootMode"),
        has_ena=recorded.get("enaSupport") is not False,
        tags=view.tags(services.install.id),
    )


def _machine(services: Services, view: View, image_id: str) -> NewMachine:
    details = view.plan.details
    recorded, place = details["configuration"], view.held.key
    marks = tags.restoring_tags(services.install.id, view.session.id, place.ordinal, view.held.attempt)
    named = {"Name": details["name"]} if "name" in details else {}
    return NewMachine(
        token=filled.token(view, INSTANCE),
        image_id=image_id,
        instance_type=details["instanceType"],
        subnet=details["subnet"],
        security_groups=tuple(details["securityGroups"]),
        tags={**filled.own_tags(recorded), **named, **marks},
        marks=marks,
        devices=tuple(one.device for one in view.plan.volumes),
        profile=details.get("instanceProfile"),
        key_name=launching.key_name(view),
        user_data=recorded.get("userData"),
        initialization_rate=details.get("volumeInitializationRate"),
        options=launching.options(recorded),
    )


# --- waiting and completing ---------------------------------------------------------------------------------------


def _unready(
    services: Services, view: View, machines: Machines, instance_id: str, seen: MachineView | None
) -> Outcome | None:
    """Return None when the instance is as it shall be in the end, or what the step has to answer."""
    if seen is not None and seen.state in ("shutting-down", "terminated"):
        return Failed(
            f"the restored instance {instance_id} ended by itself: {seen.reason or 'EC2 gives no reason'}",
            "See the reason; often EC2 may not use the KMS key of a volume. Restore the volumes alone to look at them",
        )
    devices = {one.device for one in view.plan.volumes}
    if seen is None or seen.state == "pending" or not devices <= set(seen.volumes):
        return filled.wait(services, view, INSTANCE, set() if seen else {instance_id}, look_again=_SOON)
    if view.plan.details["powerOn"] or seen.state == "stopped":
        return None
    machines.stop(instance_id)
    return filled.wait(services, view, INSTANCE, (), look_again=_SOON)


def _complete(services: Services, view: View, machines: Machines, seen: MachineView, result: JobResult) -> None:
    """Give the volumes their own tags and ends, and enter the instance as kept."""
    for one in view.plan.volumes:
        machines.tag([seen.volumes[one.device]], filled.own_tags(one.attributes))
    machines.outlive(
        seen.instance_id,
        [one.device for one in view.plan.volumes if not one.attributes.get("deleteOnTermination", False)],
    )
    detail = {
        **result.detail,
        "instanceId": seen.instance_id,
        "state": seen.state,
        "availabilityZone": seen.availability_zone,
        "volumes": _volumes(view, seen, result),
        "notRestored": launching.not_restored(view),
    }
    done = max(int(result.detail.get("bytesWritten", 0)), view.resource.done)
    with services.ledger.write() as tx:
        work.hold(tx, view.held)
        things.keep(tx, view.session.id, INSTANCE, filled.token(view, INSTANCE))
        sessions.remember(tx, view.held.key, **outcome_of(result, detail, done))
        journal.write(tx, view.session.id, f"instance {seen.instance_id} restored", ordinal=view.held.key.ordinal)


def _volumes(view: View, seen: MachineView, result: JobResult) -> list[dict[str, Any]]:
    devices = {one.volume_id: one.device for one in view.plan.volumes}
    return [
        {**one, "device": devices[one["volumeId"]], "newVolumeId": seen.volumes[devices[one["volumeId"]]]}
        for one in result.detail.get("volumes", [])
    ]


JOB = Job(
    name="ec2-restore-volume", prepare=empty_snapshots.prepare, order=filled.order, finish=finish, rights=filled.RIGHTS
)
