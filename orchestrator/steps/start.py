"""Plan a session: read the cloud in few calls, decide for every resource, write it down. Nothing is created here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from orchestrator import planner, planning, retry, tags
from orchestrator.errors import CloudError, LeftOut, Refused, Retryable
from orchestrator.ledger import journal, pausing, registry, sessions, work
from orchestrator.ledger.store import Transaction
from orchestrator.model.request import TagSelector
from orchestrator.model.status import ResourceStatus, SessionStatus, Step
from orchestrator.model.work import Claim, Done, Outcome, Park
from orchestrator.planner.selection import spread
from orchestrator.services import Services

#: `daywork resume` wakes a start that waits; the moment only keeps it from being forgotten.
_PAUSED = timedelta(hours=1)


def start(services: Services, held: Claim) -> Outcome:
    """Carry out the session's first step. Raises `Retryable` cloud errors; whatever is permanent fails one resource."""
    session_id = held.key.session
    with services.ledger.write() as tx:
        work.hold(tx, held)
        session = sessions.get(tx, session_id)
        if session.status is SessionStatus.PENDING and pausing.paused(tx) is not None:
            return Park(pausing.RESUME, tx.now + _PAUSED)
        if session.status is SessionStatus.PENDING:
            sessions.move(tx, session_id, SessionStatus.RUNNING, started_at=tx.now)
        known, claims = registry.load(tx), planning.claims(tx, session.operation)
    context = planning.context(services, session.request, session.mode, known, policy=session.policy, claims=claims)
    if not session.is_stopping:
        _select(services, held, context)
        _plan_session(services, held, context, session)
    with services.ledger.read() as tx:
        session = sessions.get(tx, session_id)
        waiting = [one for one in sessions.resources(tx, session_id) if one.plan is None and not one.status.is_final]
    if session.is_stopping:
        _stop(services, held, waiting)
        return Done()
    for members in planning.grouped(context, waiting):
        _plan_group(services, held, context, members)
    return Done()


def _is_worth_a_retry(held: Claim, error: Exception) -> bool:
    """Whether the whole planning shall wait for one account: for some minutes it may, then that account fails alone."""
    return isinstance(error, Retryable) and not retry.CLOUD.is_over(held.tries)


# --- selecting ----------------------------------------------------------------------------------------------------


def _select(services: Services, held: Claim, context: planner.Context) -> None:
    """Put the resources that `select` finds by their tags into the session."""
    found: list[sessions.Wanted] = []
    for selector in spread(context):
        try:
            wanted = planning.select(services, context, selector)
        except (Refused, CloudError) as error:
            if _is_worth_a_retry(held, error):
                raise
            _fail_selection(services, held, context.known_account(selector.account)[:12], selector, error)
            continue
        if context.operation.source_is_point:
            found += wanted
        else:
            _add(services, held, wanted)
    _add(services, held, planning.drawn(context, found, held.key.session))


def _add(services: Services, held: Claim, wanted: Sequence[sessions.Wanted]) -> None:
    if wanted:
        with services.ledger.write() as tx:
            work.hold(tx, held)
            sessions.add_resources(tx, held.key.session, wanted)


def _fail_selection(
    services: Services, held: Claim, account: str, selector: TagSelector, error: Refused | CloudError
) -> None:
    """Enter what could not be looked for as a resource that failed: a session must not succeed without it."""
    shown = ",".join(f"{key}={value}" for key, value in sorted(selector.tags.items()))
    name = f"tags:{shown}"[:256]
    with services.ledger.write() as tx:
        work.hold(tx, held)
        sessions.add_resources(
            tx, held.key.session, [sessions.Wanted(account=account, region=selector.region, resource_id=name)]
        )
        for one in sessions.resources(tx, held.key.session, statuses=[ResourceStatus.PENDING]):
            if (one.account, one.region, one.resource_id) == (account, selector.region, name):
                _fail(tx, one, f"selecting by tags failed: {error.reason}", error.remedy)


# --- planning -----------------------------------------------------------------------------------------------------


def _plan_session(services: Services, held: Claim, context: planner.Context, session: sessions.Session) -> None:
    if session.plan is not None:
        return
    try:
        plan = planner.plan_session(context, role_name=tags.temporary_role_name(session.id), path=services.install.path)
    except Refused as error:
        with services.ledger.write() as tx:
            work.hold(tx, held)
            for one in sessions.resources(tx, session.id):
                _fail(tx, one, error.reason, error.remedy)
        return
    with services.ledger.write() as tx:
        work.hold(tx, held)
        if sessions.get(tx, session.id).plan is None:
            sessions.save_plan(tx, session.id, plan)


def _plan_group(
    services: Services, held: Claim, context: planner.Context, members: Sequence[sessions.Resource]
) -> None:
    """Plan the resources of one group: one describe for all of them."""
    account, region = members[0].account, members[0].region
    try:
        group = planning.read(services, context, account, region, [one.resource_id for one in members])
    except (Refused, CloudError) as error:
        if _is_worth_a_retry(held, error):
            raise
        with services.ledger.write() as tx:
            work.hold(tx, held)
            for one in members:
                _fail(tx, one, error.reason, error.remedy)
        return
    with services.ledger.write() as tx:
        work.hold(tx, held)
        planned: list[int] = []
        for one in members:
            try:
                plan = planning.decide(tx, context, group, one.resource_id)
            except LeftOut as error:
                _leave_out(tx, one, error.reason)
                continue
            except Refused as error:
                _fail(tx, one, error.reason, error.remedy)
                continue
            planned.append(one.ordinal)
            sessions.remember(tx, one.key, plan=plan.model_dump(mode="json", by_alias=True), total=plan.size_bytes)
        work.enrol(tx, held.key.session, planned, Step.ASSUME_ROLE)


def _fail(tx: Transaction, one: sessions.Resource, reason: str, remedy: str) -> None:
    if one.status.is_final:
        return
    sessions.move_resource(
        tx, one.key, ResourceStatus.FAILED, outcome="failed", reason=reason[:2000], remedy=remedy[:2000]
    )
    journal.write(tx, one.session, f"{one.resource_id} refused: {reason}", ordinal=one.ordinal, level="error")


def _leave_out(tx: Transaction, one: sessions.Resource, reason: str) -> None:
    sessions.move_resource(tx, one.key, ResourceStatus.SKIPPED, outcome="skipped", reason=reason[:2000])
    journal.write(tx, one.session, f"{one.resource_id} skipped: {reason}", ordinal=one.ordinal)


def _stop(services: Services, held: Claim, waiting: Sequence[sessions.Resource]) -> None:
    with services.ledger.write() as tx:
        work.hold(tx, held)
        for one in waiting:
            sessions.move_resource(
                tx, one.key, ResourceStatus.STOPPED, outcome="stopped", reason="stopped before it was started"
            )
