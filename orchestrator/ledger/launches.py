"""Launch requests: a resource's wish for a worker, who waits where, and why.

A request is filed and its resource parks. It is `queued` until it is admitted into a batch (see `batches`) and
`batched` until the batch is answered; then it is `assigned` a worker, or `queued` again, or `failed`. A request whose
worker never started is `unbooted`, one whose resource was stopped `cancelled`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import Field
from ulid import ULID

from orchestrator.ledger import schema, work
from orchestrator.ledger.store import Transaction
from orchestrator.model import machines
from orchestrator.model.plan import Access
from orchestrator.model.request import Strict
from orchestrator.model.status import ResourceStatus
from orchestrator.model.work import WorkKey

QUEUED, BATCHED, ASSIGNED = "queued", "batched", "assigned"
FAILED, UNBOOTED, CANCELLED = "failed", "unbooted", "cancelled"

#: States in which an instance counts against limits and quotas.
_ALIVE = ("pending", "running", "stopping", "stopped")

_TABLE = schema.launch_requests


class LaunchSpec(Strict):
    """How a worker is launched; requests with equal specs share a batch. The ladder is types x subnets, in order."""

    access: Access
    instance_types: tuple[str, ...]
    image: str
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    public_address: bool = False
    profile: str
    user_data: str
    tags: dict[str, str] = Field(default_factory=dict)

    def digest(self) -> str:
        """Return a SHA-256 that is equal for equal specs."""
        body = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(body.encode()).hexdigest()

    @property
    def vcpus(self) -> int:
        """How many vCPUs a worker may count for, by its largest type."""
        return max(machines.vcpus(kind) for kind in self.instance_types)

    def rungs(self) -> list[tuple[str, str]]:
        """Return the ladder: every (instance type, subnet), types first."""
        return [(kind, subnet) for kind in self.instance_types for subnet in self.subnets]


@dataclass(frozen=True, kw_only=True)
class LaunchRequest:
    """One resource's wish for a worker; `admitted_at` is when it was let into a batch, None before its turn.

    `reason` and `remedy` say why it failed, or what AWS said last.
    """

    id: str
    key: WorkKey
    attempt: int
    state: str
    batch: str | None
    instance_id: str | None
    digest: str
    reason: str | None
    remedy: str | None
    filed_at: datetime
    admitted_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """The queued requests of one session with one spec: how many, since when, and the spec."""

    session: str
    digest: str
    count: int
    since: datetime
    spec: LaunchSpec


def file(tx: Transaction, key: WorkKey, attempt: int, spec: LaunchSpec) -> LaunchRequest:
    """File a resource's request for this attempt; filing it again returns the one there is."""
    known = request(tx, key, attempt)
    if known is not None:
        return known
    tx.insert_missing(
        _TABLE,
        {
            "id": str(ULID()),
            "session_id": key.session,
            "ordinal": key.ordinal,
            "attempt": attempt,
            "account": spec.access.account,
            "region": spec.access.region,
            "spec_digest": spec.digest(),
            "spec": spec.model_dump(mode="json", by_alias=True),
            "state": QUEUED,
            "filed_at": tx.now,
        },
    )
    filed = request(tx, key, attempt)
    if filed is None:
        raise LookupError("a launch request vanished inside its own transaction")
    return filed


def request(tx: Transaction, key: WorkKey, attempt: int) -> LaunchRequest | None:
    """Return a resource's request for an attempt, or None."""
    row = tx.row(
        sa.select(_TABLE).where(
            _TABLE.c.session_id == key.session, _TABLE.c.ordinal == key.ordinal, _TABLE.c.attempt == attempt
        )
    )
    return None if row is None else as_request(row)


def as_request(row: sa.Row[Any]) -> LaunchRequest:
    """Return a row of the table as a value."""
    return LaunchRequest(
        id=row.id,
        key=WorkKey(row.session_id, row.ordinal),
        attempt=row.attempt,
        state=row.state,
        batch=row.batch_id,
        instance_id=row.instance_id,
        digest=row.spec_digest,
        reason=row.reason,
        remedy=row.remedy,
        filed_at=row.filed_at,
        admitted_at=row.admitted_at,
    )


def cancel(tx: Transaction, key: WorkKey, attempt: int) -> None:
    """Withdraw a request. An instance that its batch brings after all is handed to nobody and terminated."""
    tx.execute(
        sa.update(_TABLE)
        .where(
            _TABLE.c.session_id == key.session,
            _TABLE.c.ordinal == key.ordinal,
            _TABLE.c.attempt == attempt,
            _TABLE.c.state.in_((QUEUED, BATCHED)),
        )
        .values(state=CANCELLED)
    )


# --- who waits ----------------------------------------------------------------------------------------------------


def places(tx: Transaction) -> list[tuple[str, str]]:
    """List (account, Region) in which requests are queued or batches are open and due."""
    batches = schema.launch_batches
    queued = sa.select(_TABLE.c.account, _TABLE.c.region).where(_TABLE.c.state == QUEUED)
    due = sa.select(batches.c.account, batches.c.region).where(
        batches.c.state == "open", sa.or_(batches.c.not_before.is_(None), batches.c.not_before <= tx.now)
    )
    return [(row.account, row.region) for row in tx.execute(sa.union(queued, due)).all()]


def is_anyone_queued(tx: Transaction, account: str, region: str) -> bool:
    """Whether a request waits in an account and Region, so that a look at it is already on its way."""
    query = sa.select(_TABLE.c.id).where(
        _TABLE.c.state == QUEUED, _TABLE.c.account == account, _TABLE.c.region == region
    )
    return bool(tx.rows(query.limit(1)))


def waiting(tx: Transaction, account: str, region: str) -> list[Waiting]:
    """Return the queued requests of an account and Region by session and spec, in the order in which they came."""
    groups = (
        sa.select(
            _TABLE.c.session_id,
            _TABLE.c.spec_digest,
            sa.func.count().label("number"),
            sa.func.min(_TABLE.c.filed_at).label("since"),
            sa.func.min(_TABLE.c.id).label("first"),
        )
        .where(_TABLE.c.state == QUEUED, _TABLE.c.account == account, _TABLE.c.region == region)
        .group_by(_TABLE.c.session_id, _TABLE.c.spec_digest)
        .subquery()
    )
    rows = tx.rows(
        sa.select(groups, _TABLE.c.spec)
        .join(_TABLE, _TABLE.c.id == groups.c.first)
        .order_by(groups.c.since, groups.c.first)
    )
    return [
        Waiting(
            session=row.session_id,
            digest=row.spec_digest,
            count=row.number,
            since=row.since,
            spec=LaunchSpec.model_validate(row.spec),
        )
        for row in rows
    ]


def waiting_specs(tx: Transaction, account: str, region: str) -> list[LaunchSpec]:
    """Return the different specs that are waited for in an account and Region."""
    groups = (
        sa.select(sa.func.min(_TABLE.c.id).label("first"))
        .where(_TABLE.c.state == QUEUED, _TABLE.c.account == account, _TABLE.c.region == region)
        .group_by(_TABLE.c.spec_digest)
        .subquery()
    )
    rows = tx.rows(sa.select(_TABLE.c.spec).join(groups, _TABLE.c.id == groups.c.first).order_by(_TABLE.c.id))
    return [LaunchSpec.model_validate(row.spec) for row in rows]


def busy(tx: Transaction, account: str, region: str) -> dict[str, int]:
    """Return how many workers each session has or is about to have in an account and Region."""
    workers = schema.workers
    alive = sa.select(workers.c.session_id, sa.func.count().label("number")).where(
        workers.c.account == account, workers.c.region == region, workers.c.state.in_(_ALIVE)
    )
    asked = sa.select(_TABLE.c.session_id, sa.func.count().label("number")).where(
        _TABLE.c.account == account, _TABLE.c.region == region, _TABLE.c.state == BATCHED
    )
    found: dict[str, int] = {}
    for query in (alive.group_by(workers.c.session_id), asked.group_by(_TABLE.c.session_id)):
        for row in tx.rows(query):
            found[row.session_id] = found.get(row.session_id, 0) + row.number
    return found


def vcpus(tx: Transaction, account: str, region: str) -> int:
    """Return how many vCPUs the workers of an account and Region have or are about to have."""
    asked = tx.rows(
        sa.select(_TABLE.c.spec_digest, sa.func.min(_TABLE.c.id).label("id"), sa.func.count().label("number"))
        .where(_TABLE.c.account == account, _TABLE.c.region == region, _TABLE.c.state == BATCHED)
        .group_by(_TABLE.c.spec_digest)
    )
    specs = {
        row.id: LaunchSpec.model_validate(row.spec)
        for row in tx.rows(sa.select(_TABLE.c.id, _TABLE.c.spec).where(_TABLE.c.id.in_([one.id for one in asked])))
    }
    return vcpus_alive(tx, account, region) + sum(specs[row.id].vcpus * int(row.number) for row in asked)


def vcpus_alive(tx: Transaction, account: str, region: str) -> int:
    """Return how many vCPUs the workers of an account and Region have."""
    workers = schema.workers
    alive = tx.rows(
        sa.select(workers.c.instance_type, sa.func.count().label("number"))
        .where(workers.c.account == account, workers.c.region == region, workers.c.state.in_(_ALIVE))
        .group_by(workers.c.instance_type)
    )
    return sum(machines.vcpus(row.instance_type) * int(row.number) for row in alive)


def explain(tx: Transaction, account: str, region: str, *, session: str, digest: str | None, why: str) -> None:
    """Show on a session's resources that wait here why they wait; those that show it already are left alone."""
    table = schema.resources
    queued = sa.select(_TABLE.c.ordinal).where(
        _TABLE.c.session_id == session,
        _TABLE.c.state == QUEUED,
        _TABLE.c.account == account,
        _TABLE.c.region == region,
        *([] if digest is None else [_TABLE.c.spec_digest == digest]),
    )
    tx.execute(
        sa.update(table)
        .where(
            table.c.session_id == session,
            table.c.status == ResourceStatus.WAITING_FOR_CAPACITY,
            sa.or_(table.c.reason.is_(None), table.c.reason != why[:2000]),
            table.c.ordinal.in_(queued),
        )
        .values(reason=why[:2000])
    )


# --- workers that do not start ------------------------------------------------------------------------------------


def did_not_boot(tx: Transaction, key: WorkKey, attempt: int, *, reason: str, remedy: str) -> None:
    """Write down that the worker of a request never became ready."""
    tx.execute(
        sa.update(_TABLE)
        .where(
            _TABLE.c.session_id == key.session,
            _TABLE.c.ordinal == key.ordinal,
            _TABLE.c.attempt == attempt,
            _TABLE.c.state == ASSIGNED,
        )
        .values(state=UNBOOTED, reason=reason[:2000], remedy=remedy[:2000])
    )


def boot_failures(tx: Transaction, session: str, digest: str) -> list[LaunchRequest]:
    """List a session's requests of one spec whose workers never became ready; none at all once one has."""
    workers = schema.workers
    ready = (
        sa.select(workers.c.instance_id)
        .select_from(_TABLE.join(workers, workers.c.instance_id == _TABLE.c.instance_id))
        .where(_TABLE.c.session_id == session, _TABLE.c.spec_digest == digest, workers.c.ready_at.is_not(None))
    )
    failed = sa.select(_TABLE).where(
        _TABLE.c.session_id == session, _TABLE.c.spec_digest == digest, _TABLE.c.state == UNBOOTED
    )
    rows = tx.rows(failed.order_by(_TABLE.c.filed_at, _TABLE.c.id))
    return [] if not rows or tx.rows(ready.limit(1)) else [as_request(row) for row in rows]


def give_up(tx: Transaction, session: str, digest: str, *, reason: str, remedy: str) -> list[WorkKey]:
    """Fail a session's queued requests of one spec. Returns the work to drive."""
    queued = sa.and_(_TABLE.c.session_id == session, _TABLE.c.spec_digest == digest, _TABLE.c.state == QUEUED)
    keys = [WorkKey(row.session_id, row.ordinal) for row in tx.rows(sa.select(_TABLE).where(queued))]
    work.lock(tx, keys)
    tx.execute(sa.update(_TABLE).where(queued).values(state=FAILED, reason=reason[:2000], remedy=remedy[:2000]))
    return work.signal(tx, keys)


def show(tx: Transaction, members: Iterable[LaunchRequest], status: ResourceStatus, *, why: str | None = None) -> None:
    """Show on resources that are parked for a worker how far their launch is."""
    table = schema.resources
    by_session: dict[str, list[int]] = {}
    for one in members:
        by_session.setdefault(one.key.session, []).append(one.key.ordinal)
    shown: Mapping[str, Any] = {"status": status, "reason": None if why is None else why[:2000]}
    for session, ordinals in by_session.items():
        tx.execute(
            sa.update(table)
            .where(
                table.c.session_id == session,
                table.c.ordinal.in_(ordinals),
                table.c.status.in_((ResourceStatus.WAITING_FOR_CAPACITY, ResourceStatus.LAUNCHING)),
            )
            .values(**shown)
        )
