"""Take everything away that was made for a resource. Always acts, whatever happened before, and always ends.

What AWS would not remove within the deadline stays in the ledger as present: the receipt names it and the session
cannot end as a success.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from orchestrator import retry
from orchestrator.errors import CloudError, Fenced, LedgerUnavailable
from orchestrator.fleet import endings
from orchestrator.ledger import journal, launches, sessions, things, work, workers
from orchestrator.model.plan import Access
from orchestrator.model.status import ResourceStatus
from orchestrator.model.work import Again, Claim, Done, Outcome, Park
from orchestrator.ports import Compute
from orchestrator.services import Services
from orchestrator.steps.assume_role import free_chain
from orchestrator.steps.left import Left
from orchestrator.steps.restored_leftovers import absent_restored
from orchestrator.steps.view import View, look

log = structlog.get_logger(__name__)

#: How long the gathered termination has to begin, and the worker then to end, before this step asks AWS itself.
_GATHERED_WITHIN = timedelta(seconds=20)
_ENDED_WITHIN = timedelta(minutes=3)
_LOOK_AGAIN = timedelta(seconds=30)
#: An instance that EC2 does not list is gone when it was launched longer ago than this.
_FORGOTTEN = timedelta(minutes=5)


def teardown(services: Services, held: Claim) -> Outcome:
    """Carry the step out. See `orchestrator.steps`."""
    with services.ledger.write() as tx:
        work.hold(tx, held)
        launches.cancel(tx, held.key, held.attempt)
    view = look(services, held)
    now = services.clock.now()
    is_late = now - _begun_at(view, now) >= services.install.deadlines.removal
    worker = _left(services, view, _worker)
    if worker is not None and not is_late:
        return _park(held, "terminated", worker, now)
    parts = (
        worker,
        _left(services, view, _order),
        _left(services, view, absent_restored),
        _left(services, view, _leftovers),
    )
    left = [one for one in parts if one is not None]
    if left and not is_late:
        return _park(held, "removal", left[0], now)
    with services.ledger.write() as tx:
        work.hold(tx, held)
        woken = free_chain(tx, view)
    services.dispatch.drive(woken)
    return _end(services, view, left)


def _begun_at(view: View, now: datetime) -> datetime:
    return view.held.begun_at or now


def _left(services: Services, view: View, remove: Callable[[Services, View], Left | None]) -> Left | None:
    """Remove one kind of thing. Whatever goes wrong is something left: a teardown has to come to its end."""
    try:
        return remove(services, view)
    except (Fenced, LedgerUnavailable):
        raise
    except CloudError as error:
        return Left(error.reason, is_refused=True)
    except Exception as error:
        log.exception("removal failed", session_id=view.session.id, ordinal=view.held.key.ordinal)
        return Left(f"internal error while removing ({type(error).__name__})", is_refused=True)


def _park(held: Claim, wait_for: str, left: Left, now: datetime) -> Park:
    if left.is_refused:
        return Park(wait_for, now + retry.REMOVAL.delay(held.tries), reason=left.what, is_retry=True)
    return Park(wait_for, now + _LOOK_AGAIN)


# --- the worker ---------------------------------------------------------------------------------------------------


def _worker(services: Services, view: View) -> Left | None:
    """Have the worker terminated and wait until EC2 says that it is gone."""
    session = view.session.id
    with services.ledger.write() as tx:
        work.hold(tx, view.held)
        living: list[workers.Worker] = []
        for thing in things.of_session(tx, session, ordinal=view.held.key.ordinal, kinds=["instance"], present=True):
            worker = workers.get(tx, thing.name)
            if worker is not None and worker.state == workers.TERMINATED:
                things.removed(tx, session, "instance", thing.name)
            elif worker is not None:
                living.append(worker)
        places = {(one.account, one.region) for one in living if one.state in endings.LIVING}
        asked = [place for place in sorted(places) if endings.ask(tx, *place, gather=services.install.gather)]
    if not living:
        return None
    now = services.clock.now()
    waited = now - _begun_at(view, now)
    if waited < _GATHERED_WITHIN or (not places and waited < _ENDED_WITHIN):
        for place in asked:
            services.dispatch.terminate(*place, after=services.install.gather)
        return Left("the worker is being terminated")
    return _end_myself(services, view, living)


def _end_myself(services: Services, view: View, living: list[workers.Worker]) -> Left | None:
    """Terminate without gathering and look at once, because the gathered way has not led to the end."""
    left: Left | None = None
    for one in living:
        compute = services.cloud.compute(Access(account=one.account, region=one.region, role=one.role))
        compute.terminate([one.instance_id])
        state = next((seen.state for seen in compute.workers(ids=[one.instance_id])), None)
        with services.ledger.write() as tx:
            work.hold(tx, view.held)
            if state == workers.TERMINATED or (state is None and tx.now - one.launched_at >= _FORGOTTEN):
                endings.note_gone(tx, view.session.id, one.instance_id)
                continue
            if state is not None:
                workers.seen(tx, one.instance_id, state)
        left = Left(f"worker {one.instance_id} is still {state or 'not listed'}")
    return left


# --- everything else ----------------------------------------------------------------------------------------------


def _order(services: Services, view: View) -> Left | None:
    """Remove the order with its stop and its result."""
    with services.ledger.read() as tx:
        orders = things.of_session(tx, view.session.id, ordinal=view.held.key.ordinal, kinds=["order"], present=True)
    for one in orders:
        services.cloud.orders().absent(view.session.id, one.name)
        with services.ledger.write() as tx:
            things.removed(tx, view.session.id, "order", one.name)
    return None


def _leftovers(services: Services, view: View) -> Left | None:
    """Remove snapshots and volumes that nothing needs any more."""
    session, ordinal = view.session.id, view.held.key.ordinal
    with services.ledger.read() as tx:
        all_present = things.of_session(
            tx, session, ordinal=ordinal, kinds=["volume", "snapshot", "launch"], present=True
        )
    present = [one for one in all_present if not one.keep]
    if not present and "unsure" not in view.resource.state:
        return None
    compute = services.cloud.compute(view.plan.operation)
    kept = {one.cloud_id for one in all_present if one.keep}
    young = _unseen(services, view, compute, present, kept)
    left: Left | None = None
    for one in present:
        if one in young:
            left = Left(f"what was asked for may become visible: {one.kind} {one.name}")
            continue
        if one.cloud_id is not None:
            _absent(compute, one.kind, one.cloud_id)
        with services.ledger.write() as tx:
            things.removed(tx, session, one.kind, one.name)
    return left


def _unseen(
    services: Services, view: View, compute: Compute, present: list[things.Thing], kept: set[str | None]
) -> list[things.Thing]:
    """Remove by its tags whatever calls without an answer have made.

    Returns the intents that are too young to conclude from an empty list that nothing was made.
    """
    intents = [one for one in present if one.state == things.INTENDED]
    if not intents and "unsure" not in view.resource.state:
        return []
    marks = view.tags(services.install.id)
    found = [("snapshot", one.snapshot_id) for one in compute.snapshots(tags=marks)]
    if any(one.kind == "volume" for one in intents):
        found += [("volume", one.volume_id) for one in compute.volumes(tags=marks)]
    known = {one.cloud_id for one in present} | kept
    for kind, cloud_id in found:
        if cloud_id not in known:
            _remove_found(services, view, compute, kind, cloud_id)
    now, visible = services.clock.now(), services.install.deadlines.visible
    return [one for one in intents if now - (one.intended_at or now) < visible]


def _remove_found(services: Services, view: View, compute: Compute, kind: str, cloud_id: str) -> None:
    """Remove something that no answer told of; the receipt shall know it all the same."""
    session = view.session.id
    with services.ledger.write() as tx:
        work.hold(tx, view.held)
        things.intend(tx, view.thing(kind, cloud_id))
        things.created(tx, session, kind, cloud_id, cloud_id=cloud_id)
    _absent(compute, kind, cloud_id)
    with services.ledger.write() as tx:
        things.removed(tx, session, kind, cloud_id)


def _absent(compute: Compute, kind: str, cloud_id: str) -> None:
    if kind == "volume":
        compute.absent_volume(cloud_id)
    elif kind == "snapshot":
        compute.absent_snapshot(cloud_id)


# --- the end ------------------------------------------------------------------------------------------------------


def _end(services: Services, view: View, left: list[Left]) -> Outcome:
    """Give the resource its final status, or another attempt if the request allows one."""
    outcome = ResourceStatus(view.resource.outcome or "failed")
    allowed = view.session.request.retry
    if not left:
        is_over = view.session.is_stopping or view.held.attempt >= allowed.attempts
        if outcome is not ResourceStatus.FAILED or is_over:
            return Done(outcome)
        return Again(services.clock.now() + timedelta(seconds=allowed.delay))
    with services.ledger.write() as tx:
        work.hold(tx, view.held)
        journal.write(tx, view.session.id, f"not removed: {left[0].what}", ordinal=view.held.key.ordinal, level="error")
        if outcome is ResourceStatus.SUCCESS:
            sessions.remember(
                tx,
                view.held.key,
                outcome="warning",
                reason=f"could not be removed: {left[0].what}"[:2000],
                remedy="See the session's receipt for what remains; it is tried again until it is gone",
            )
    return Done(ResourceStatus.WARNING if outcome is ResourceStatus.SUCCESS else outcome)
