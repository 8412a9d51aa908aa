"""Make sure of the roles: the operation's, the deploying one, and in backup mode the session's temporary role, once."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from urllib.parse import urlsplit

import sqlalchemy as sa

from orchestrator import planning, policies, tags
from orchestrator.errors import Permanent
from orchestrator.ledger import journal, leases, schema, sessions, things, work
from orchestrator.ledger.store import Transaction
from orchestrator.model.plan import Access, TemporaryRole
from orchestrator.model.status import DeploymentMode, Step
from orchestrator.model.work import Claim, Done, Failed, Outcome, Park, Skipped, Stopped, WorkKey
from orchestrator.planner.selection import Subject
from orchestrator.policies import Use
from orchestrator.services import Services
from orchestrator.statements import Document
from orchestrator.steps.jobs import JOBS
from orchestrator.steps.view import View, look, remember, repository

#: How long making a role may take before somebody else may try; it is six IAM calls.
_MAKING = timedelta(seconds=60)
#: The holder of a chain wakes who waits for it. It can miss somebody who is about to park, so that one looks again by
#: itself: soon at first, then rarely.
_SOONEST, _RAREST = timedelta(seconds=5), timedelta(minutes=5)
_CHAIN_MARGIN = timedelta(hours=1)


def assume_role(services: Services, held: Claim) -> Outcome:
    """Carry the step out. See `orchestrator.steps`."""
    view = look(services, held)
    if view.session.is_stopping:
        earlier = view.resource.state.get("earlier")
        return Stopped(f"stopped before another attempt; {view.resource.reason}" if earlier else "stopped on request")
    services.cloud.check(view.plan.operation)
    if view.plan.worker.access != view.plan.operation:
        services.cloud.check(view.plan.worker.access)
    if (waiting := _chain(services, view)) is not None:
        return waiting
    if view.shared.mode is DeploymentMode.BACKUP:
        return _temporary_role(services, view)
    # Production mode: planning has read the worker role and its profile a moment ago; it is never touched.
    return Done()


# --- the backup chain ---------------------------------------------------------------------------------------------


def chain_wait(chain: str) -> str:
    """Return what work that waits for a backup chain is parked on: one name for each chain, of bounded length."""
    return f"chain:{hashlib.sha256(chain.encode()).hexdigest()[:32]}"


def owner(view: View) -> str:
    """Return the name under which a resource holds leases."""
    return f"{view.session.id}/{view.held.key.ordinal}"


def hold_chain(tx: Transaction, services: Services, view: View) -> bool:
    """Take or renew the lease on the resource's backup chain: two sessions never write one at once."""
    if view.plan.chain is None:
        return True
    deadlines = services.install.deadlines
    span = deadlines.job + deadlines.source + deadlines.launch + deadlines.boot + deadlines.removal + _CHAIN_MARGIN
    return leases.acquire(tx, _chain_lease(view.plan.chain), owner(view), span) is not None


def free_chain(tx: Transaction, view: View) -> list[WorkKey]:
    """Give the chain back. Returns the work that waited for it: the caller must drive it."""
    chain = view.plan.chain
    if chain is None or leases.holder(tx, _chain_lease(chain)) != owner(view):
        return []
    # Work before leases, as whoever asks for the chain does: two orders would stop each other.
    woken = work.signal_waiting(tx, chain_wait(chain))
    leases.release(tx, _chain_lease(chain), owner(view))
    return woken


def _chain_lease(chain: str) -> str:
    return f"chain:{chain}"


def _chain(services: Services, view: View) -> Park | Skipped | None:
    chain = view.plan.chain
    if chain is None:
        return None
    with services.ledger.write() as tx:
        work.hold(tx, view.held)
        # Who was woken asks first: somebody may have come meanwhile who goes before it.
        is_held = leases.holder(tx, _chain_lease(chain)) == owner(view) if view.held.signals else True
        if not is_held and (waited := _gives_way(tx, services, view)) is not None:
            return waited
        before = leases.last_owner(tx, _chain_lease(chain))
        if hold_chain(tx, services, view):
            if before not in (None, owner(view)):
                # Its worker may have died with a lock of its own in the repository.
                remember(tx, view, chainBefore=before)
            return None
        if (waiting := _gives_way(tx, services, view)) is not None:
            return waiting
        holder = (leases.holder(tx, _chain_lease(chain)) or "").split("/")[0]
        if JOBS[view.session.operation].leaves_taken_chains:
            return Skipped(f"session {holder} is at the same work for {view.resource.resource_id}")
        return Park(
            chain_wait(chain),
            tx.now + min(max((tx.now - (view.held.begun_at or tx.now)) / 4, _SOONEST), _RAREST),
            reason=f"session {holder} is writing the same backup chain",
        )


def _gives_way(tx: Transaction, services: Services, view: View) -> Skipped | None:
    """Leave a resource that has to be waited for to a policy of higher priority which is to process it as well."""
    place, tags_of_source = view.plan.operation, view.plan.details.get("configuration", {}).get("tags", {})
    subject = Subject(
        account=place.account, region=place.region, resource_id=view.resource.resource_id, tags=tags_of_source
    )
    reason = planning.outranked_by(tx, services, view.session, subject)
    return None if reason is None else Skipped(reason)


# --- the temporary role -------------------------------------------------------------------------------------------


def _temporary_role(services: Services, view: View) -> Outcome:
    role = view.shared.temporary_role
    if role is None:
        raise LookupError("a session in backup mode has no temporary role in its plan")
    session = view.session.id
    access = Access(account=role.account, region=role.region, role=view.plan.worker.access.role)
    with services.ledger.write() as tx:
        work.hold(tx, view.held)
        known = things.find(tx, session, "role", role.name)
        if known is not None and (answer := _answer(known)) is not None:
            return answer
        if leases.acquire(tx, _role_lease(session), owner(view), _MAKING) is None:
            return Park("temporary-role", tx.now + _MAKING)
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
    except Permanent as error:
        _tell_others(services, view, role, refused=error)
        raise
    except BaseException:
        with services.ledger.write() as tx:
            leases.release(tx, _role_lease(session), owner(view))
        raise
    with services.ledger.write() as tx:
        things.created(tx, session, "role", role.name, cloud_id=made.role_id, arn=made.arn)
        journal.write(tx, session, f"temporary role {role.name} made")
    _tell_others(services, view, role)
    return Done()


def _role_lease(session: str) -> str:
    return f"role:{session}"


def _answer(known: things.Thing) -> Outcome | None:
    """Return what the session's role, made or refused by another resource, means for this one."""
    if known.state == things.CREATED:
        return Done()
    if known.state == things.REMOVED:
        return Failed("the session's temporary role has been removed already", "Start a new session")
    if "refused" in known.details:
        return Failed(known.details["refused"], known.details.get("remedy", ""))
    return None


def _tell_others(services: Services, view: View, role: TemporaryRole, *, refused: Permanent | None = None) -> None:
    """Give the lease back and signal every resource at this step, also one that is just about to park."""
    session = view.session.id
    with services.ledger.write() as tx:
        keys = [WorkKey(session, ordinal) for ordinal in work.ordinals(tx, session)]
        waiting = [
            place.key
            for place in work.places(tx, keys)
            if place.step is Step.ASSUME_ROLE and place.key != view.held.key
        ]
        # Work before everything else, as those do who ask for the role: two orders would stop each other.
        woken = work.signal(tx, waiting)
        if refused is not None:
            _note_refusal(tx, session, role.name, refused)
        leases.release(tx, _role_lease(session), owner(view))
    services.dispatch.drive(woken)


def _note_refusal(tx: Transaction, session: str, name: str, refused: Permanent) -> None:
    """Write down why the role cannot be made, so that a thousand resources do not ask IAM the same."""
    table = schema.cloud_things
    known = things.find(tx, session, "role", name)
    if known is not None:
        tx.execute(
            sa.update(table)
            .where(table.c.session_id == session, table.c.kind == "role", table.c.name == name)
            .values(details={**known.details, "refused": refused.reason, "remedy": refused.remedy})
        )


def _policy(services: Services, view: View, role: TemporaryRole, others: list[sessions.Resource]) -> Document:
    kept = repository(services, view)
    plans = [one.plan for one in others if one.plan is not None]
    of_snapshots = [plan for plan in plans if "snapshot" in plan.details]
    # Files of snapshots need no repository, even where the operation could have one.
    needs_repository = len(of_snapshots) < len(plans)
    reached = {plan.data_role for plan in plans if plan.data_role} | (
        {role.repository_role} if role.repository_role and needs_repository else set()
    )
    direct = None if role.repository_role or not needs_repository else (*_split(kept.url), kept.key.kms)
    rights = JOBS[view.session.operation].rights
    read = {plan.details["archived"]["url"] for plan in plans if "archived" in plan.details}
    written = kept.archive.url if rights.archives and kept.archive is not None else None
    # A session's archived points are all of one repository, and so of one archive.
    archive = None if role.repository_role else written or min(read, default=None)
    return policies.temporary_role(
        install=services.install.id,
        session=view.session.id,
        control_bucket=services.install.control_bucket,
        report_queue_arn=queue_arn(services.install.report_queue, services.install.control_region),
        repository=direct,
        roles=sorted(reached),
        use=rights.use,
        archive=None if archive is None else (*_split(archive), kept.key.kms),
        archive_use=Use.READ if written is None else Use.ARCHIVE,
        has_blocks=rights.has_blocks,
        compares=rights.compares,
        gives_files=rights.gives_files,
        reads_files=any(plan.data_role is None for plan in of_snapshots),
    )


def _split(url: str) -> tuple[str, str]:
    """Return bucket and prefix of an `s3://` address."""
    parts = urlsplit(url)
    return parts.netloc, parts.path.lstrip("/")


def queue_arn(url: str, region: str) -> str:
    """Return the ARN of an SQS queue from its URL."""
    account, name = urlsplit(url).path.strip("/").split("/")[-2:]
    return f"arn:aws:sqs:{region}:{account}:{name}"
