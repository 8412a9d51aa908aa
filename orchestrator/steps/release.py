"""End a session: nothing of it is left alive, then the temporary role goes, then the final status, once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from orchestrator import tags
from orchestrator.errors import CloudError
from orchestrator.ledger import journal, launches, sessions, things, work, workers
from orchestrator.ledger.store import Transaction
from orchestrator.model.plan import Access
from orchestrator.model.status import SessionStatus, session_outcome
from orchestrator.model.work import Claim, Done, Outcome, Park
from orchestrator.services import Services

_LOOK_AGAIN = timedelta(seconds=10)
_RESOURCES = timedelta(hours=1)
_ALIVE = ("pending", "running", "stopping", "stopped", "shutting-down")


def release(services: Services, held: Claim) -> Outcome:
    """Carry the step out. See `orchestrator.steps`. Reached from the chord and from the reconciler alike."""
    now = services.clock.now()
    with services.ledger.read() as tx:
        session = sessions.get(tx, held.key.session)
        if session.status.is_final:
            return Done()
        if work.unfinished(tx, session.id):
            return Park("resources", now + _RESOURCES)
        batches = launches.open_of_session(tx, session.id)
        present = things.of_session(tx, session.id, present=True)
        ended = [one.ended_at for one in sessions.resources(tx, session.id) if one.ended_at is not None]
    if batches:
        # A call may have happened whose answer is not known: it is repeated with its token before anything is removed.
        for batch in batches:
            services.dispatch.launch(batch.spec.access.account, batch.spec.access.region)
        return Park("launches", now + _LOOK_AGAIN)
    try:
        waiting = _workers(services, session.id, present)
        if waiting is None:
            _orders(services, session.id, present)
            _role(services, session, present)
    except CloudError as error:
        waiting = error.reason
    late = now - (max(ended) if ended else session.created_at) >= services.install.deadlines.removal
    if waiting is not None and not late:
        return Park("removal", now + _LOOK_AGAIN, reason=waiting)
    with services.ledger.write() as tx:
        work.hold(tx, held)
        _end(tx, session, waiting)
    return Done()


def _places(present: Sequence[things.Thing]) -> list[Access]:
    """Return where the session may have workers, from what it wrote down before it launched anything."""
    return list(
        dict.fromkeys(
            Access(account=one.account, region=one.region, role=one.role)
            for one in present
            if one.kind in ("instance", "launch") and one.role is not None
        )
    )


def _workers(services: Services, session: str, present: Sequence[things.Thing]) -> str | None:
    """Terminate whatever carries the session's tag and lives. Returns what is waited for, or None."""
    with services.ledger.read() as tx:
        ever = things.of_session(tx, session, kinds=["instance", "launch"])
    left = 0
    for access in _places(ever):
        compute = services.cloud.compute(access)
        found = compute.workers(session=session)
        alive = [one.instance_id for one in found if one.state in _ALIVE]
        compute.terminate(alive)
        left += len(alive)
        gone = {one.instance_id for one in found if one.state == workers.TERMINATED}
        with services.ledger.write() as tx:
            for one in present:
                if one.kind == "instance" and one.name in gone:
                    things.removed(tx, session, "instance", one.name)
                    workers.seen(tx, one.name, workers.TERMINATED)
    return f"{left} workers are being terminated" if left else None


def _orders(services: Services, session: str, present: Sequence[things.Thing]) -> None:
    """Remove what is left of the session's orders."""
    orders = services.cloud.orders()
    for key in orders.keys(session):
        orders.absent_key(key)
    with services.ledger.write() as tx:
        for one in present:
            if one.kind in ("order", "launch"):
                things.removed(tx, session, one.kind, one.name)


def _role(services: Services, session: sessions.Session, present: Sequence[things.Thing]) -> None:
    """Remove the temporary role, verified by listing. Production mode has none and touches none."""
    role = session.plan.temporary_role if session.plan is not None else None
    thing = next((one for one in present if one.kind == "role"), None)
    if role is None or thing is None:
        return
    roles = services.cloud.roles(Access(account=role.account, region=role.region, role=thing.role))
    roles.absent_temporary_role(role)
    if role.name in roles.temporary_names(tags.path_of(services.install.id)):
        raise CloudError(f"the temporary role {role.name} is still listed")
    with services.ledger.write() as tx:
        things.removed(tx, session.id, "role", role.name)
        journal.write(tx, session.id, f"temporary role {role.name} removed")


def _end(tx: Transaction, session: sessions.Session, waiting: str | None) -> None:
    """Give the session its final status: the one effect of a release."""
    resources = sessions.resources(tx, session.id)
    status = session_outcome(one.status for one in resources)
    remaining = [one for one in things.of_session(tx, session.id, present=True) if not one.keep]
    reason = None
    if remaining or waiting:
        named = ", ".join(f"{one.kind} {one.cloud_id or one.name} in {one.account}" for one in remaining[:5])
        reason = f"not everything could be removed: {named or waiting}"
        journal.write(tx, session.id, reason, level="error")
        if status is SessionStatus.SUCCESS:
            status = SessionStatus.WARNING
    elif not resources:
        reason = "nothing was selected"
    sessions.move(tx, session.id, status, reason=reason)
    journal.write(tx, session.id, f"session ended: {status}")
