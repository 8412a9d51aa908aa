"""Take everything away that was made for a resource. Always acts, whatever happened before."""

from __future__ import annotations

from datetime import datetime, timedelta

from orchestrator.errors import CloudError
from orchestrator.ledger import journal, launches, sessions, things, work, workers
from orchestrator.model.plan import Access
from orchestrator.model.status import ResourceStatus
from orchestrator.model.work import Claim, Done, Outcome, Park
from orchestrator.services import Services
from orchestrator.steps.assume_role import free_chain
from orchestrator.steps.view import View, look, remember

_LOOK_AGAIN = timedelta(seconds=10)


def teardown(services: Services, held: Claim) -> Outcome:
    """Carry the step out. See `orchestrator.steps`."""
    view = look(services, held)
    with services.ledger.write() as tx:
        work.hold(tx, held)
        launches.cancel(tx, held.key, held.attempt)
        if "tornAt" not in view.resource.state:
            remember(tx, view, tornAt=tx.now.timestamp())
    view = look(services, held)
    problems: list[str] = []
    if (waiting := _worker(services, view, problems)) is not None:
        return waiting
    _order(services, view, problems)
    _leftovers(services, view, problems)
    began = datetime.fromtimestamp(view.resource.state["tornAt"], services.clock.now().tzinfo)
    if problems and services.clock.now() - began < services.install.deadlines.removal:
        return Park("removal", services.clock.now() + _LOOK_AGAIN, reason=problems[0])
    _free_chain(services, view)
    return Done(_final(services, view, problems))


def _worker(services: Services, view: View, problems: list[str]) -> Outcome | None:
    """Terminate the worker and wait until EC2 says that it is gone."""
    with services.ledger.read() as tx:
        alive = [
            one
            for one in things.of_session(
                tx, view.session.id, ordinal=view.held.key.ordinal, kinds=["instance"], present=True
            )
            if one.cloud_id is not None
        ]
        known = {one.name: workers.get(tx, one.name) for one in alive}
    waiting = []
    for one in alive:
        worker = known[one.name]
        if worker is not None and worker.state == workers.TERMINATED:
            with services.ledger.write() as tx:
                things.removed(tx, view.session.id, "instance", one.name)
            continue
        waiting.append(one)
    if not waiting:
        return None
    compute = services.cloud.compute(Access(account=waiting[0].account, region=waiting[0].region, role=waiting[0].role))
    ids = [one.name for one in waiting]
    try:
        compute.terminate(ids)
        seen = {one.instance_id: one.state for one in compute.workers(ids=ids)}
    except CloudError as error:
        problems.append(error.reason)
        return Park("terminated", services.clock.now() + _LOOK_AGAIN, reason=error.reason)
    with services.ledger.write() as tx:
        for instance in ids:
            if instance in seen:
                workers.seen(tx, instance, seen[instance])
                if seen[instance] == workers.TERMINATED:
                    things.removed(tx, view.session.id, "instance", instance)
    if all(seen.get(instance) == workers.TERMINATED for instance in ids):
        return None
    return Park("terminated", services.clock.now() + _LOOK_AGAIN)


def _order(services: Services, view: View, problems: list[str]) -> None:
    with services.ledger.read() as tx:
        orders = things.of_session(tx, view.session.id, ordinal=view.held.key.ordinal, kinds=["order"], present=True)
    for one in orders:
        try:
            services.cloud.orders().absent(view.session.id, one.name)
        except CloudError as error:
            problems.append(error.reason)
            continue
        with services.ledger.write() as tx:
            things.removed(tx, view.session.id, "order", one.name)


def _leftovers(services: Services, view: View, problems: list[str]) -> None:
    """Remove snapshots that nothing needs any more, and volumes of a restore that did not succeed."""
    succeeded = view.resource.outcome in ("success", "warning")
    place = view.plan.operation
    session, ordinal = view.session.id, view.held.key.ordinal
    with services.ledger.read() as tx:
        present = things.of_session(tx, session, ordinal=ordinal, kinds=["volume", "snapshot", "launch"], present=True)
    if not present:
        return
    compute = services.cloud.compute(place)
    marks = view.tags(services.install.id)
    try:
        if any(one.state == things.INTENDED for one in present):
            # Something was about to be made when a process died: the tags say whether it was.
            for snapshot in compute.snapshots(tags=marks):
                compute.absent_snapshot(snapshot.snapshot_id)
            if not succeeded:
                for volume in compute.volumes(tags=marks):
                    compute.absent_volume(volume.volume_id)
        for one in present:
            if one.kind == "volume" and succeeded:
                continue
            if one.cloud_id is not None and one.kind == "snapshot":
                compute.absent_snapshot(one.cloud_id)
            elif one.cloud_id is not None and one.kind == "volume":
                compute.absent_volume(one.cloud_id)
            with services.ledger.write() as tx:
                things.removed(tx, session, one.kind, one.name)
    except CloudError as error:
        problems.append(error.reason)


def _free_chain(services: Services, view: View) -> None:
    with services.ledger.write() as tx:
        woken = free_chain(tx, view)
    services.dispatch.drive(woken)


def _final(services: Services, view: View, problems: list[str]) -> ResourceStatus:
    outcome = ResourceStatus(view.resource.outcome or "failed")
    if problems and outcome is ResourceStatus.SUCCESS:
        outcome = ResourceStatus.WARNING
        with services.ledger.write() as tx:
            sessions.remember(tx, view.held.key, outcome="warning", reason=f"could not be removed: {problems[0]}")
            journal.write(
                tx, view.session.id, f"not removed: {problems[0]}", ordinal=view.held.key.ordinal, level="error"
            )
    return outcome
