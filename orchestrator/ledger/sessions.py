"""Sessions and their resources: submitting, looking, moving from status to status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from ulid import ULID

from orchestrator.errors import Conflict, IllegalTransition, NotFound
from orchestrator.ledger import journal, schema, work
from orchestrator.ledger.store import Transaction
from orchestrator.model.plan import ResourcePlan, SessionPlan
from orchestrator.model.request import STORED, SessionRequest
from orchestrator.model.status import DeploymentMode, ResourceStatus, SessionStatus, Step, may_follow
from orchestrator.model.work import SESSION, WorkKey


@dataclass(frozen=True, kw_only=True)
class Session:
    """A session as the ledger knows it; `plan` is None until it is planned.

    `request` is what was asked for without its resources, which are rows of their own (`resources`).
    """

    id: str
    source: str
    request_id: str
    operation: str
    mode: DeploymentMode
    status: SessionStatus
    request: SessionRequest
    plan: SessionPlan | None
    reason: str | None
    policy: str | None
    retry_of: str | None
    created_at: datetime
    started_at: datetime | None
    stop_at: datetime | None
    ended_at: datetime | None

    @property
    def is_stopping(self) -> bool:
        """A stop was asked for."""
        return self.stop_at is not None


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource of a session. `outcome` is how its work ended (success, warning, failed, stopped) before teardown.

    `state` holds what the steps have to remember between parking and waking (small JSON values, no secret).
    """

    session: str
    ordinal: int
    account: str
    region: str
    resource_id: str
    status: ResourceStatus
    reason: str | None
    remedy: str | None
    attempt: int
    outcome: str | None
    plan: ResourcePlan | None
    state: dict[str, Any]
    result: dict[str, Any] | None
    done: int
    total: int
    unit: str
    instance_id: str | None
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def key(self) -> WorkKey:
        """Its unit of work."""
        return WorkKey(self.session, self.ordinal)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A resource to be put into a session: the account by its id."""

    account: str
    region: str
    resource_id: str


_SESSION = sa.select(schema.sessions).where(schema.sessions.c.id == sa.bindparam("of_session"))
_STATUS = (
    sa.select(schema.sessions.c.status).where(schema.sessions.c.id == sa.bindparam("of_session")).with_for_update()
)
_SET_SESSION = sa.update(schema.sessions).where(schema.sessions.c.id == sa.bindparam("of_session"))
_ONE = sa.and_(
    schema.resources.c.session_id == sa.bindparam("of_session"),
    schema.resources.c.ordinal == sa.bindparam("of_ordinal"),
)
_RESOURCE = sa.select(schema.resources).where(_ONE)
_RESOURCE_STATUS = sa.select(schema.resources.c.status).where(_ONE)
_SET_RESOURCE = sa.update(schema.resources).where(_ONE)
_PAGE = 500
#: The statuses after which a resource does not change.
FINAL = [status for status in ResourceStatus if status.is_final]
_MOVE_RESOURCE = (
    sa.update(schema.resources)
    .where(_ONE, schema.resources.c.status.not_in(FINAL))
    .values(started_at=sa.func.coalesce(schema.resources.c.started_at, sa.bindparam("began", type_=schema.Moment)))
)


def submit(
    tx: Transaction,
    request: SessionRequest,
    *,
    mode: DeploymentMode,
    resources: Sequence[Wanted],
    policy: str | None = None,
    retry_of: str | None = None,
) -> tuple[str, bool]:
    """Accept a request. Returns the session's id and whether it is new.

    The same (source, id) with the same meaning is the same session; with another one it raises `Conflict`.
    """
    if (known := _known(tx, request)) is not None:
        return known, False
    session = f"s-{ULID()}"
    fresh = tx.insert_missing(
        schema.sessions,
        {
            "id": session,
            "source": request.source,
            "request_id": request.id,
            "digest": request.digest(),
            "operation": request.operation,
            "mode": mode,
            "status": SessionStatus.PENDING,
            "policy": policy,
            "retry_of": retry_of,
            # The resources have a table of their own: no step has to read all of them to know its session.
            "request": request.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"resources"}),
            "created_at": tx.now,
        },
    )
    if not fresh:
        # Somebody else was quicker between the look and the insert.
        return _known(tx, request) or session, False
    add_resources(tx, session, resources)
    work.enrol(tx, session, [SESSION], Step.START)
    journal.write(tx, session, f"session accepted: {request.operation} in {mode} mode")
    return session, True


def _known(tx: Transaction, request: SessionRequest) -> str | None:
    table = schema.sessions
    known = tx.row(
        sa.select(table.c.id, table.c.digest).where(table.c.source == request.source, table.c.request_id == request.id)
    )
    if known is None:
        return None
    if known.digest != request.digest():
        raise Conflict(
            f"a different request with this source and id is session {known.id}",
            field="id",
            value=request.id,
            remedy="Use a new id for a new request",
        )
    return str(known.id)


def add_resources(tx: Transaction, session: str, wanted: Sequence[Wanted]) -> None:
    """Put resources into a session; those that are in it already are left as they are."""
    table = schema.resources
    known = {
        (row.account, row.region, row.resource_id)
        for row in tx.rows(
            sa.select(table.c.account, table.c.region, table.c.resource_id).where(table.c.session_id == session)
        )
    }
    rows: list[dict[str, Any]] = []
    for one in wanted:
        key = (one.account, one.region, one.resource_id)
        if key not in known:
            known.add(key)
            rows.append(
                {
                    "session_id": session,
                    "ordinal": len(known) - 1,
                    "account": one.account,
                    "region": one.region,
                    "resource_id": one.resource_id,
                    "status": ResourceStatus.PENDING,
                }
            )
    if rows:
        tx.execute(sa.insert(table), rows)


def get(tx: Transaction, session: str) -> Session:
    """Return a session. Raises `NotFound`."""
    row = tx.row(_SESSION, {"of_session": session})
    if row is None:
        raise NotFound("no such session", field="session", value=session, remedy="See daywork session list")
    return _session(row)


def recent(
    tx: Transaction, *, statuses: Sequence[SessionStatus] = (), policy: str | None = None, limit: int = 50
) -> list[Session]:
    """List sessions, the newest first; of these statuses and this policy only, if any are named."""
    table = schema.sessions
    query = sa.select(table).order_by(table.c.created_at.desc(), table.c.id.desc()).limit(limit)
    if statuses:
        query = query.where(table.c.status.in_(statuses))
    if policy is not None:
        query = query.where(table.c.policy == policy)
    return [_session(row) for row in tx.rows(query)]


def _key(key: WorkKey) -> dict[str, Any]:
    return {"of_session": key.session, "of_ordinal": key.ordinal}


def resource(tx: Transaction, key: WorkKey) -> Resource:
    """Return one resource. Raises `NotFound`."""
    row = tx.row(_RESOURCE, _key(key))
    if row is None:
        raise NotFound("no such resource", field="resource", value=f"{key.session}/{key.ordinal}")
    return _resource(row)


def resources(tx: Transaction, session: str, *, statuses: Sequence[ResourceStatus] = ()) -> list[Resource]:
    """List a session's resources by ordinal."""
    table = schema.resources
    query = sa.select(table).where(table.c.session_id == session).order_by(table.c.ordinal)
    if statuses:
        query = query.where(table.c.status.in_(statuses))
    return [_resource(row) for row in tx.rows(query)]


def statuses(tx: Transaction, session: str) -> dict[ResourceStatus, int]:
    """Count a session's resources by status."""
    table = schema.resources
    rows = tx.rows(
        sa.select(table.c.status, sa.func.count().label("number"))
        .where(table.c.session_id == session)
        .group_by(table.c.status)
    )
    return {ResourceStatus(row.status): int(row.number) for row in rows}


def known(tx: Transaction, names: Sequence[str]) -> dict[str, SessionStatus]:
    """Return the statuses of those of these sessions that the ledger has."""
    table, found = schema.sessions, {}
    for start in range(0, len(names), _PAGE):
        query = sa.select(table.c.id, table.c.status).where(table.c.id.in_(names[start : start + _PAGE]))
        found.update({row.id: SessionStatus(row.status) for row in tx.rows(query)})
    return found


def move(tx: Transaction, session: str, status: SessionStatus, **values: Any) -> None:
    """Give a session a status. Raises `IllegalTransition` when it may not follow the present one."""
    now = SessionStatus(tx.execute(_STATUS, {"of_session": session}).scalar_one())
    if now != status and not may_follow(now, status):
        raise IllegalTransition(f"session {session} is {now} and cannot become {status}")
    if status.is_final and now != status:
        values.setdefault("ended_at", tx.now)
    tx.execute(_SET_SESSION, {"of_session": session, "status": status, **values})


def move_resource(tx: Transaction, key: WorkKey, status: ResourceStatus, **values: Any) -> None:
    """Give a resource a status and other values. Raises `IllegalTransition` when it is final already."""
    change = movement(tx, {"status": status, **values})
    began = change.pop("started_at")
    if tx.execute(_MOVE_RESOURCE, {**_key(key), "began": began, **change}).rowcount:
        return
    now = tx.execute(_RESOURCE_STATUS, _key(key)).scalar_one()
    if now != status:
        raise IllegalTransition(f"resource {key.session}/{key.ordinal} is {now} and cannot become {status}")


def movement(tx: Transaction, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that change with a status; `started_at` counts only where it is not set yet."""
    ended = {"ended_at": tx.now} if values["status"].is_final else {}
    return {"started_at": tx.now, **ended, **values}


def remember(tx: Transaction, key: WorkKey, **values: Any) -> None:
    """Set columns of a resource that are no status: plan, state, result, done, total, outcome, reason, ..."""
    tx.execute(_SET_RESOURCE, {**_key(key), **values})


def note_progress(tx: Transaction, progress: Mapping[WorkKey, tuple[int, int]]) -> None:
    """Set how much is done and how much there is to do of many resources."""
    if progress:
        tx.execute(
            _SET_RESOURCE, [{**_key(key), "done": done, "total": total} for key, (done, total) in progress.items()]
        )


def save_plan(tx: Transaction, session: str, plan: SessionPlan) -> None:
    """Write a session's plan down."""
    tx.execute(_SET_SESSION, {"of_session": session, "plan": plan.model_dump(mode="json", by_alias=True)})


def request_stop(tx: Transaction, session: str) -> list[WorkKey]:
    """Ask a session to stop. Returns what the caller must drive. Harmless when repeated or too late."""
    found = get(tx, session)
    if found.status.is_final:
        return []
    woken = work.signal_session(tx, session)
    if found.stop_at is None:
        journal.write(tx, session, "stop requested")
        move(tx, session, SessionStatus.STOPPING, stop_at=tx.now)
    return woken


def _session(row: sa.Row[Any]) -> Session:
    return Session(
        id=row.id,
        source=row.source,
        request_id=row.request_id,
        operation=row.operation,
        mode=DeploymentMode(row.mode),
        status=SessionStatus(row.status),
        request=SessionRequest.model_validate(row.request, context=STORED),
        plan=None if row.plan is None else SessionPlan.model_validate(row.plan),
        reason=row.reason,
        policy=row.policy,
        retry_of=row.retry_of,
        created_at=row.created_at,
        started_at=row.started_at,
        stop_at=row.stop_at,
        ended_at=row.ended_at,
    )


def _resource(row: sa.Row[Any]) -> Resource:
    return Resource(
        session=row.session_id,
        ordinal=row.ordinal,
        account=row.account,
        region=row.region,
        resource_id=row.resource_id,
        status=ResourceStatus(row.status),
        reason=row.reason,
        remedy=row.remedy,
        attempt=row.attempt,
        outcome=row.outcome,
        plan=None if row.plan is None else ResourcePlan.model_validate(row.plan),
        state=row.state or {},
        result=row.result,
        done=row.done,
        total=row.total,
        unit=row.unit,
        instance_id=row.instance_id,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )
