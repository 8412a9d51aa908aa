"""Launch requests and launch batches: what makes a launch survive a crash at any moment.

A resource files a request and parks. Requests with the same spec are gathered into a batch, whose ClientToken and whole
call are committed before RunInstances is called; a call that may have happened is repeated with the same token and
parameters and gives the same instances. Instances are handed to the batch's requests in order; what is too many (the
resource was stopped meanwhile) belongs to nobody and is terminated; requests that got none are queued again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import Field
from ulid import ULID

from orchestrator.ledger import schema, things, work, workers
from orchestrator.ledger.store import Transaction
from orchestrator.model.plan import Access
from orchestrator.model.request import Strict
from orchestrator.model.work import WorkKey
from orchestrator.ports import InstanceView

QUEUED, BATCHED, ASSIGNED, FAILED, CANCELLED = "queued", "batched", "assigned", "failed", "cancelled"
OPEN, RESOLVED = "open", "resolved"

#: Workers of one batch at most: AWS asks to break up large requests, and a partial answer is easier to place.
BATCH = 100


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

    def rungs(self) -> list[tuple[str, str]]:
        """Return the ladder: every (instance type, subnet), types first."""
        return [(kind, subnet) for kind in self.instance_types for subnet in self.subnets]


@dataclass(frozen=True, kw_only=True)
class LaunchRequest:
    """One resource's wish for a worker; `state` is queued, batched, assigned, failed or cancelled."""

    id: str
    key: WorkKey
    attempt: int
    state: str
    batch: str | None
    instance_id: str | None
    reason: str | None
    remedy: str | None
    filed_at: datetime
    not_before: datetime | None


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One RunInstances call, open until its answer is known; `rung` is its place on the spec's ladder."""

    id: str
    session: str
    token: str
    spec: LaunchSpec
    rung: int
    count: int
    tries: int
    made_at: datetime


def file(tx: Transaction, key: WorkKey, attempt: int, spec: LaunchSpec) -> LaunchRequest:
    """File a resource's request for this attempt; filing it again returns the one there is."""
    known = request(tx, key, attempt)
    if known is not None:
        return known
    tx.insert_missing(
        schema.launch_requests,
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
    table = schema.launch_requests
    row = tx.row(
        sa.select(table).where(
            table.c.session_id == key.session, table.c.ordinal == key.ordinal, table.c.attempt == attempt
        )
    )
    return None if row is None else _request(row)


def cancel(tx: Transaction, key: WorkKey, attempt: int) -> None:
    """Withdraw a request. An instance that its batch brings after all is handed to nobody and terminated."""
    table = schema.launch_requests
    tx.execute(
        sa.update(table)
        .where(
            table.c.session_id == key.session,
            table.c.ordinal == key.ordinal,
            table.c.attempt == attempt,
            table.c.state.in_((QUEUED, BATCHED)),
        )
        .values(state=CANCELLED)
    )


def waiting_places(tx: Transaction) -> list[tuple[str, str]]:
    """List (account, Region) in which requests are queued or batches are open and due."""
    requests, batches = schema.launch_requests, schema.launch_batches
    queued = sa.select(requests.c.account, requests.c.region).where(
        requests.c.state == QUEUED, sa.or_(requests.c.not_before.is_(None), requests.c.not_before <= tx.now)
    )
    due = sa.select(batches.c.account, batches.c.region).where(
        batches.c.state == OPEN, sa.or_(batches.c.not_before.is_(None), batches.c.not_before <= tx.now)
    )
    return [(row.account, row.region) for row in tx.execute(sa.union(queued, due)).all()]


def gather(tx: Transaction, account: str, region: str) -> list[Batch]:
    """Put queued requests into new batches, and return all batches of the place that are open and due.

    A request that somebody is gathering or withdrawing at this moment is left to them.
    """
    table = schema.launch_requests
    rows = tx.rows(
        sa.select(table)
        .where(
            table.c.state == QUEUED,
            table.c.account == account,
            table.c.region == region,
            sa.or_(table.c.not_before.is_(None), table.c.not_before <= tx.now),
        )
        .order_by(table.c.filed_at, table.c.id)
        .with_for_update(skip_locked=True)
    )
    groups: dict[str, list[sa.Row[Any]]] = {}
    for row in rows:
        groups.setdefault(row.spec_digest, []).append(row)
    for members in groups.values():
        for start in range(0, len(members), BATCH):
            _open(tx, members[start : start + BATCH])
    batches = schema.launch_batches
    return [
        _batch(row)
        for row in tx.rows(
            sa.select(batches)
            .where(
                batches.c.state == OPEN,
                batches.c.account == account,
                batches.c.region == region,
                sa.or_(batches.c.not_before.is_(None), batches.c.not_before <= tx.now),
            )
            .order_by(batches.c.made_at, batches.c.id)
        )
    ]


def _open(tx: Transaction, members: Sequence[sa.Row[Any]]) -> None:
    first = members[0]
    batch = str(ULID())
    tx.execute(
        sa.insert(schema.launch_batches).values(
            id=batch,
            session_id=first.session_id,
            account=first.account,
            region=first.region,
            token=f"{batch}-0",
            call={"spec": first.spec, "count": len(members)},
            state=OPEN,
            made_at=tx.now,
        )
    )
    tx.execute(
        sa.update(schema.launch_requests)
        .where(schema.launch_requests.c.id.in_([row.id for row in members]))
        .values(state=BATCHED, batch_id=batch)
    )


def called(tx: Transaction, batch: Batch) -> None:
    """Write down that RunInstances is about to be called for a batch: from now on it may have happened."""
    table = schema.launch_batches
    tx.execute(sa.update(table).where(table.c.id == batch.id).values(tries=table.c.tries + 1))
    things.intend(
        tx,
        things.Thing(
            session=batch.session,
            kind="launch",
            name=batch.token,
            account=batch.spec.access.account,
            region=batch.spec.access.region,
            role=batch.spec.access.role,
        ),
    )


def resolve(tx: Transaction, batch: Batch, instances: Sequence[InstanceView]) -> tuple[list[WorkKey], list[str]]:
    """Hand the instances of an answered batch out. Returns the work to drive and the ids that belong to nobody.

    Answering twice hands out the same instances to the same requests.
    """
    table = schema.launch_requests
    if _locked_state(tx, batch.id) == RESOLVED:
        return [], []
    takers = [member for member in _members(tx, batch.id) if member.state == BATCHED]
    spare: list[str] = []
    for number, instance in enumerate(instances):
        taker = takers[number] if number < len(takers) else None
        _enter(tx, batch, instance, taker)
        if taker is None:
            spare.append(instance.instance_id)
            continue
        tx.execute(
            sa.update(table).where(table.c.id == taker.id).values(state=ASSIGNED, instance_id=instance.instance_id)
        )
        tx.execute(
            sa.update(schema.resources)
            .where(schema.resources.c.session_id == taker.key.session, schema.resources.c.ordinal == taker.key.ordinal)
            .values(instance_id=instance.instance_id)
        )
    late = [member.id for member in takers[len(instances) :]]
    if late:
        tx.execute(sa.update(table).where(table.c.id.in_(late)).values(state=QUEUED, batch_id=None))
    things.removed(tx, batch.session, "launch", batch.token)
    tx.execute(
        sa.update(schema.launch_batches)
        .where(schema.launch_batches.c.id == batch.id)
        .values(state=RESOLVED, error=None)
    )
    return work.signal(tx, [member.key for member in takers[: len(instances)]]), spare


def _enter(tx: Transaction, batch: Batch, instance: InstanceView, taker: LaunchRequest | None) -> None:
    access = batch.spec.access
    workers.enter(
        tx,
        instance_id=instance.instance_id,
        account=access.account,
        region=access.region,
        session=batch.session,
        ordinal=None if taker is None else taker.key.ordinal,
        attempt=1 if taker is None else taker.attempt,
        role=access.role,
        state=instance.state,
        instance_type=instance.instance_type,
        availability_zone=instance.availability_zone,
    )
    things.intend(
        tx,
        things.Thing(
            session=batch.session,
            ordinal=None if taker is None else taker.key.ordinal,
            kind="instance",
            name=instance.instance_id,
            account=access.account,
            region=access.region,
            role=access.role,
        ),
    )
    things.created(tx, batch.session, "instance", instance.instance_id, cloud_id=instance.instance_id)


def postpone(tx: Transaction, batch: Batch, *, until: datetime, error: str, rung: int | None = None) -> None:
    """Try a batch again at `until`. With another `rung` it is another call: a new token is drawn.

    A new rung is only right after a refusal that is known to have made nothing.
    """
    table = schema.launch_batches
    values: dict[str, Any] = {"not_before": until, "error": error[:2000]}
    if rung is not None and rung != batch.rung:
        things.removed(tx, batch.session, "launch", batch.token)
        values |= {"rung": rung, "token": f"{batch.id}-{rung}-{batch.tries}"}
    tx.execute(sa.update(table).where(table.c.id == batch.id, table.c.state == OPEN).values(**values))


def fail(tx: Transaction, batch: Batch, *, reason: str, remedy: str) -> list[WorkKey]:
    """Give a batch up after a refusal that is known to have made nothing. Returns the work to drive."""
    table = schema.launch_requests
    if _locked_state(tx, batch.id) == RESOLVED:
        return []
    takers = [member for member in _members(tx, batch.id) if member.state == BATCHED]
    tx.execute(
        sa.update(table)
        .where(table.c.batch_id == batch.id, table.c.state == BATCHED)
        .values(state=FAILED, reason=reason[:2000], remedy=remedy[:2000])
    )
    things.removed(tx, batch.session, "launch", batch.token)
    tx.execute(
        sa.update(schema.launch_batches)
        .where(schema.launch_batches.c.id == batch.id)
        .values(state=RESOLVED, error=reason[:2000])
    )
    return work.signal(tx, [taker.key for taker in takers])


def open_of_session(tx: Transaction, session: str) -> list[Batch]:
    """List a session's batches whose answer is not known."""
    table = schema.launch_batches
    return [
        _batch(row) for row in tx.rows(sa.select(table).where(table.c.session_id == session, table.c.state == OPEN))
    ]


def _members(tx: Transaction, batch: str) -> list[LaunchRequest]:
    table = schema.launch_requests
    rows = tx.rows(sa.select(table).where(table.c.batch_id == batch).order_by(table.c.filed_at, table.c.id))
    return [_request(row) for row in rows]


def _locked_state(tx: Transaction, batch: str) -> str:
    """Return a batch's state, its members' work and itself locked: nobody withdraws a request from here on."""
    work.lock(tx, [member.key for member in _members(tx, batch)])
    table = schema.launch_batches
    return str(tx.execute(sa.select(table.c.state).where(table.c.id == batch).with_for_update()).scalar_one())


def _request(row: sa.Row[Any]) -> LaunchRequest:
    return LaunchRequest(
        id=row.id,
        key=WorkKey(row.session_id, row.ordinal),
        attempt=row.attempt,
        state=row.state,
        batch=row.batch_id,
        instance_id=row.instance_id,
        reason=row.reason,
        remedy=row.remedy,
        filed_at=row.filed_at,
        not_before=row.not_before,
    )


def _batch(row: sa.Row[Any]) -> Batch:
    return Batch(
        id=row.id,
        session=row.session_id,
        token=row.token,
        spec=LaunchSpec.model_validate(row.call["spec"]),
        rung=row.rung,
        count=row.call["count"],
        tries=row.tries,
        made_at=row.made_at,
    )
