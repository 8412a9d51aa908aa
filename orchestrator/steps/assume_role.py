"""Make sure of the roles: the operation's, the deploying one, and in backup mode the session's temporary role, once."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

from orchestrator import policies, tags
from orchestrator.ledger import journal, leases, sessions, things, work
from orchestrator.model.plan import Access, TemporaryRole
from orchestrator.model.status import DeploymentMode
from orchestrator.model.work import Claim, Done, Outcome, Park, Stopped
from orchestrator.services import Services
from orchestrator.steps.view import View, look, repository

#: How long making a role may take before somebody else may try; it is four IAM calls.
_MAKING = timedelta(seconds=60)
#: A wait that is ended by a signal looks again by itself after this.
_LOOK_AGAIN = timedelta(minutes=5)
_CHAIN_MARGIN = timedelta(hours=1)


def assume_role(services: Services, held: Claim) -> Outcome:
    """Carry the step out. See `orchestrator.steps`."""
    view = look(services, held)
    if view.session.is_stopping:
        return Stopped()
    if (waiting := _chain(services, view)) is not None:
        return waiting
    services.cloud.check(view.plan.operation)
    if view.plan.worker.access != view.plan.operation:
        services.cloud.check(view.plan.worker.access)
    if view.shared.mode is DeploymentMode.BACKUP:
        return _temporary_role(services, view)
    return Done()


def chain_lease(chain: str) -> str:
    """Return the name of the lease on a backup chain: two sessions never write one at once."""
    return f"chain:{chain}"


def owner(view: View) -> str:
    """Return the name under which a resource holds leases."""
    return f"{view.session.id}/{view.held.key.ordinal}"


def _chain(services: Services, view: View) -> Park | None:
    if view.plan.chain is None:
        return None
    deadlines = services.install.deadlines
    name = chain_lease(view.plan.chain)
    with services.ledger.write() as tx:
        work.hold(tx, view.held)
        span = deadlines.job + deadlines.source + deadlines.launch + _CHAIN_MARGIN
        if leases.acquire(tx, name, owner(view), span) is not None:
            return None
        holder = (leases.holder(tx, name) or "").split("/")[0]
        return Park("chain", tx.now + _LOOK_AGAIN, reason=f"session {holder} is writing the same backup chain")


def _temporary_role(services: Services, view: View) -> Outcome:
    role = view.shared.temporary_role
    if role is None:
        raise LookupError("a session in backup mode has no temporary role in its plan")
    session = view.session.id
    lease = f"role:{session}"
    mine = owner(view)
    with services.ledger.write() as tx:
        work.hold(tx, view.held)
        known = things.find(tx, session, "role", role.name)
        if known is not None and known.state == things.CREATED:
            return Done()
        if leases.acquire(tx, lease, mine, _MAKING) is None:
            return Park("temporary-role", tx.now + _MAKING)
        access = Access(account=role.account, region=role.region, role=view.plan.worker.access.role)
        things.intend(
            tx,
            things.Thing(
                session=session,
                kind="role",
                name=role.name,
                account=role.account,
                region=role.region,
                role=access.role,
                details={"path": role.path},
            ),
        )
        others = sessions.resources(tx, session)
    try:
        made = services.cloud.roles(access).ensure_temporary_role(
            role,
            policy=_policy(services, view, role, others),
            tags=tags.session_tags(services.install.id, session),
            boundary=services.install.boundary,
        )
    except BaseException:
        with services.ledger.write() as tx:
            leases.release(tx, lease, mine)
        raise
    with services.ledger.write() as tx:
        things.created(tx, session, "role", role.name, cloud_id=made.role_id, arn=made.arn)
        journal.write(tx, session, f"temporary role {role.name} made")
        leases.release(tx, lease, mine)
        woken = work.signal_waiting(tx, "temporary-role", session=session)
    services.dispatch.drive(woken)
    return Done()


def _policy(services: Services, view: View, role: TemporaryRole, others: list[sessions.Resource]) -> policies.Document:
    kept = repository(services, view)
    url = urlsplit(kept.url)
    plans = [one.plan for one in others if one.plan is not None]
    reached = {plan.data_role for plan in plans if plan.data_role} | (
        {role.repository_role} if role.repository_role else set()
    )
    direct = None if role.repository_role else (url.netloc, url.path.lstrip("/"), kept.key.kms)
    return policies.temporary_role(
        install=services.install.id,
        session=view.session.id,
        control_bucket=services.install.control_bucket,
        report_queue_arn=queue_arn(services.install.report_queue, services.install.control_region),
        repository=direct,
        roles=sorted(reached),
    )


def queue_arn(url: str, region: str) -> str:
    """Return the ARN of an SQS queue from its URL."""
    account, name = urlsplit(url).path.strip("/").split("/")[-2:]
    return f"arn:aws:sqs:{region}:{account}:{name}"
