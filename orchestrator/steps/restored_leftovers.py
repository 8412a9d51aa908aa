"""Remove a restored instance that is not kept, and the image that it was made of: before the snapshots under both."""

from __future__ import annotations

from orchestrator import tags
from orchestrator.ledger import things, work
from orchestrator.ports import Machines
from orchestrator.services import Services
from orchestrator.steps.jobs.ec2_restore_instance import IMAGE, INSTANCE
from orchestrator.steps.left import Left
from orchestrator.steps.view import View

_GONE = "terminated"


def absent_restored(services: Services, view: View) -> Left | None:
    """Remove what an attempt to restore an instance has made and does not keep. Returns what is still there."""
    with services.ledger.read() as tx:
        present = things.of_session(
            tx, view.session.id, ordinal=view.held.key.ordinal, kinds=[IMAGE, INSTANCE], present=True
        )
    left: Left | None = None
    # The instance first: its intent is the younger one.
    for one in sorted((one for one in present if not one.keep), key=lambda one: one.kind != INSTANCE):
        machines = services.cloud.machines(view.plan.operation)
        answer = _instance(services, view, machines, one) if one.kind == INSTANCE else _image(services, machines, one)
        if answer is not None:
            left = left or answer
            continue
        with services.ledger.write() as tx:
            things.removed(tx, view.session.id, one.kind, one.name)
    return left


def _instance(services: Services, view: View, machines: Machines, thing: things.Thing) -> Left | None:
    """Terminate the instance and wait for its end: its volumes go with it."""
    place = view.held.key
    marks = tags.restoring_tags(services.install.id, view.session.id, place.ordinal, view.held.attempt)
    seen = machines.machines(ids=[thing.cloud_id]) if thing.cloud_id is not None else machines.machines(tags=marks)
    if not seen:
        return _perhaps(services, thing)
    if thing.cloud_id is None:
        with services.ledger.write() as tx:
            work.hold(tx, view.held)
            things.created(tx, view.session.id, thing.kind, thing.name, cloud_id=seen[0].instance_id)
    living = [one for one in seen if one.state != _GONE]
    for one in living:
        if one.state != "shutting-down":
            machines.absent(one.instance_id)
    return Left("the restored instance is being terminated") if living else None


def _image(services: Services, machines: Machines, thing: things.Thing) -> Left | None:
    found = (
        [thing.cloud_id] if thing.cloud_id is not None else [one.image_id for one in machines.images(name=thing.name)]
    )
    for one in found:
        machines.absent_image(one)
    return None if found else _perhaps(services, thing)


def _perhaps(services: Services, thing: things.Thing) -> Left | None:
    """Return that something may become visible yet, or None when nothing of it can be on its way any more."""
    now = services.clock.now()
    if now - (thing.created_at or thing.intended_at or now) < services.install.deadlines.visible:
        return Left(f"what was asked for may become visible: {thing.kind} {thing.name}")
    return None
