"""Plan a session: read the cloud in few calls, decide for every resource, write it down. Nothing is created here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from orchestrator import planner, tags
from orchestrator.errors import CloudError, NotFound, Permanent, Refused, Retryable
from orchestrator.ledger import journal, points, registry, sessions, work
from orchestrator.model.plan import Access, ResourcePlan
from orchestrator.model.status import DeploymentMode, ResourceStatus, SessionStatus, Step
from orchestrator.model.work import Claim, Done, Outcome
from orchestrator.services import Services

#: A reading that failed is handed to every resource it was for.
Reading = Any


def start(services: Services, held: Claim) -> Outcome:
    """Carry out the session's first step. Raises `Retryable` cloud errors; whatever is permanent fails one resource."""
    session_id = held.key.session
    with services.ledger.write() as tx:
        work.hold(tx, held)
        session = sessions.get(tx, session_id)
        if session.status is SessionStatus.PENDING:
            sessions.move(tx, session_id, SessionStatus.RUNNING, started_at=tx.now)
        known = registry.load(tx)
    context = planner.Context(
        request=session.request,
        mode=session.mode,
        registry=known,
        install=services.install.id,
        home_account=services.install.home_account,
        worker_image=services.install.worker_image,
    )
    if not session.is_stopping:
        _select(services, held, context)
        _plan_session(services, held, context, session)
    with services.ledger.read() as tx:
        session = sessions.get(tx, session_id)
        waiting = [one for one in sessions.resources(tx, session_id) if one.plan is None and not one.status.is_final]
    if session.is_stopping:
        _stop(services, held, waiting)
        return Done()
    groups: dict[tuple[str, str], list[sessions.Resource]] = defaultdict(list)
    for one in waiting:
        groups[one.account, one.region].append(one)
    for (account, region), members in groups.items():
        _plan_group(services, held, context, account, region, members)
    return Done()


def _select(services: Services, held: Claim, context: planner.Context) -> None:
    """Put the resources that `select` finds by their tags into the session."""
    wanted: list[sessions.Wanted] = []
    for selector in context.request.select:
        try:
            account = next(one for one in context.registry.accounts if selector.account in (one.id, one.name))
            access = planner.operation_access(context, account.id, selector.region)
            found = services.cloud.compute(access).find_instances(selector.tags)
        except Retryable:
            raise
        except (StopIteration, Refused, Permanent) as error:
            with services.ledger.write() as tx:
                journal.write(tx, held.key.session, f"selection in {selector.account} failed: {error}", level="error")
            continue
        wanted += [sessions.Wanted(account=account.id, region=selector.region, resource_id=one) for one in found]
    if wanted:
        with services.ledger.write() as tx:
            work.hold(tx, held)
            sessions.add_resources(tx, held.key.session, wanted)


def _plan_session(services: Services, held: Claim, context: planner.Context, session: sessions.Session) -> None:
    if session.plan is not None:
        return
    try:
        plan = planner.plan_session(
            context,
            session=session.id,
            role_name=tags.temporary_role_name(session.id),
            path=services.install.path,
            policy=session.policy,
        )
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
    services: Services,
    held: Claim,
    context: planner.Context,
    account: str,
    region: str,
    members: Sequence[sessions.Resource],
) -> None:
    """Plan the resources of one account and Region: one describe for all of them."""
    refused: Exception | None = None
    reading: Reading = None
    profile: tuple[str, str] | None = None
    access: Access | None = None
    try:
        access = planner.operation_access(context, account, region)
        services.cloud.check(access)
        if context.mode is DeploymentMode.PRODUCTION:
            name, role = services.cloud.roles(access).worker_profile(planner.worker_role_of(context, account))
            profile = (name, role.arn)
        if not context.operation.source_is_point:
            reading = services.cloud.compute(access).instances([one.resource_id for one in members])
    except Retryable:
        raise
    except (Refused, CloudError) as error:
        refused = error
    with services.ledger.write() as tx:
        work.hold(tx, held)
        for one in members:
            try:
                if refused is not None or access is None:
                    raise refused or Refused("no role")
                plan = _plan_one(tx, context, access, reading, one, profile)
            except (Refused, CloudError) as error:
                _fail(tx, one, error.reason, error.remedy)
                continue
            sessions.remember(
                tx,
                one.key,
                plan=plan.model_dump(mode="json", by_alias=True),
                total=plan.size_bytes,
            )
            work.enrol(tx, one.session, [one.ordinal], Step.ASSUME_ROLE)


def _plan_one(
    tx: Any,
    context: planner.Context,
    access: Access,
    reading: Reading,
    one: sessions.Resource,
    profile: tuple[str, str] | None,
) -> ResourcePlan:
    if not context.operation.source_is_point:
        return planner.plan_backup(context, access, reading.get(one.resource_id), one.resource_id, profile)
    try:
        point = points.get(tx, one.resource_id)
    except NotFound:
        point = None
    return planner.plan_restore_volume(context, access, point, one.resource_id, profile)


def _fail(tx: Any, one: sessions.Resource, reason: str, remedy: str) -> None:
    if one.status.is_final:
        return
    sessions.move_resource(
        tx, one.key, ResourceStatus.FAILED, outcome="failed", reason=reason[:2000], remedy=remedy[:2000]
    )
    journal.write(tx, one.session, f"{one.resource_id} refused: {reason}", ordinal=one.ordinal, level="error")


def _stop(services: Services, held: Claim, waiting: Sequence[sessions.Resource]) -> None:
    with services.ledger.write() as tx:
        work.hold(tx, held)
        for one in waiting:
            sessions.move_resource(
                tx, one.key, ResourceStatus.STOPPED, outcome="stopped", reason="stopped before it was started"
            )
