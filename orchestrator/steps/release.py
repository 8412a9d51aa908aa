"""End a session: nothing of it is left alive, then the temporary role goes, then the final status, once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog

from orchestrator import retry, tags
from orchestrator.errors import CloudError, Fenced, LedgerUnavailable
from orchestrator.fleet import endings
from orchestrator.ledger import batches, journal, schema, sessions, things, work, workers
from orchestrator.ledger.store import Transaction
from orchestrator.model.plan import Access
from orchestrator.model.status import SessionStatus, session_outcome
from orchestrator.model.work import Claim, Done, Outcome, Park
from orchestrator.services import Services

log = structlog.get_logger(__name__)

_LOOK_AGAIN = timedelta(seconds=10)
_RESOURCES = timedelta(hours=1)
#: An instance that EC2 does not list is gone when it was written down longer ago than this.
_FORGOTTEN = timedelta(minutes=5)


def release(services: Services, held: Claim) -> Outcome:
    """Carry the step out. See `orchestrator.steps`. Reached from the chord and from the reconciler alike."""
    now = services.clock.now()
    with services.ledger.read() as tx:
        session = sessions.get(tx, held.key.session)
        if session.status.is_final:
            return Done()
        if work.unfinished(tx, session.id):
            return Park(work.RESOURCES, now + _RESOURCES)
        open_calls = batches.open_of_session(tx, session.id)
        present = things.of_session(tx, session.id, present=True)
        since = max(held.begun_at or now, _last_end(tx, session.id) or now)
    if open_calls:
        # A call may have happened whose answer is not known: it is repeated with its token before anything is removed.
        for batch in open_calls:
            services.dispatch.launch(batch.spec.access.account, batch.spec.access.region)
        return Park("launches", now + _LOOK_AGAIN, is_retry=True)
    left = _left(services, session, present)
    if left is not None and now - since < services.install.deadlines.removal:
        return Park("removal", now + retry.REMOVAL.delay(held.tries), reason=left, is_retry=True)
    with services.ledger.write() as tx:
        work.hold(tx, held)
        _end(tx, session, left)
        following = services.follow(tx, session.id)
    services.dispatch.drive(following)
    return Done()


def _last_end(tx: Transaction, session: str) -> datetime | None:
    table = schema.resources
    query = sa.select(sa.func.max(table.c.ended_at)).where(table.c.session_id == session)
    found: datetime | None = tx.execute(query).scalar_one()
    return found


def _left(services: Services, session: sessions.Session, present: Sequence[things.Thing]) -> str | None:
    """Remove what is left of the session. Returns what could not be removed, or None: a release comes to its end."""
    try:
        left = _workers(services, session.id, present)
        if left is None:
            _orders(services, session.id, present)
            _role(services, session, present)
    except (Fenced, LedgerUnavailable):
        raise
    except CloudError as error:
        return error.reason
    except Exception as error:
        log.exception("release failed", session_id=session.id)
        return f"internal error while removing ({type(error).__name__})"
    return left


def _workers(services: Services, session: str, present: Sequence[things.Thing]) -> str | None:
    """Terminate whatever carries the session's tag and lives. Returns what is waited for, or None."""
    with services.ledger.read() as tx:
        ever = things.of_session(tx, session, kinds=["instance", "launch"])
    left = 0
    for access in _places(ever):
        compute = services.cloud.compute(access)
        states = {one.instance_id: one.state for one in compute.workers(session=session)}
        living = [name for name, state in states.items() if state in endings.LIVING]
        if living:
            compute.terminate(living)
        left += sum(state != workers.TERMINATED for state in states.values())
        with services.ledger.write() as tx:
            for one in present:
                if one.kind == "instance" and (one.account, one.region) == (access.account, access.region):
                    age = tx.now - (one.intended_at or tx.now)
                    if states.get(one.name) == workers.TERMINATED or (one.name not in states and age >= _FORGOTTEN):
                        endings.note_gone(tx, session, one.name)
                    elif one.name not in states:
                        left += 1
    return f"{left} workers are being terminated" if left else None


def _places(ever: Sequence[things.Thing]) -> list[Access]:
    """Return where the session may have workers, from what it wrote down before it launched anything."""
    return list(
        dict.fromkeys(
            Access(account=one.account, region=one.region, role=one.role)
            for one in ever
            if one.kind == "instance" or one.ordinal is None
        )
    )


def _orders(services: Services, session: str, present: Sequence[things.Thing]) -> None:
    """Remove what is left of the session's orders."""
    orders = services.cloud.orders()
    for key in orders.keys(session):
        orders.absent_key(key)
    with services.ledger.write() as tx:
        for one in present:
            if one.kind == "order" or (one.kind == "launch" and one.ordinal is None):
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


def _end(tx: Transaction, session: sessions.Session, left: str | None) -> None:
    """Give the session its final status: the one effect of a release."""
    statuses = sessions.statuses(tx, session.id)
    status = session_outcome(statuses)
    remaining = [one for one in things.of_session(tx, session.id, present=True) if not one.keep]
    reason = None
    if remaining or left:
        named = ", ".join(f"{one.kind} {one.cloud_id or one.name} in {one.account}" for one in remaining[:5])
        reason = f"not everything could be removed: {named or left}"[:2000]
        journal.write(tx, session.id, reason, level="error")
        if status is SessionStatus.SUCCESS:
            status = SessionStatus.WARNING
    elif not statuses:
        reason = "nothing was selected"
    sessions.move(tx, session.id, status, reason=reason)
    journal.write(tx, session.id, f"session ended: {status}")
