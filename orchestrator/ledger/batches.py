"""Launch batches: what makes a launch survive a crash at any moment.

Requests with the same spec are put into a batch, whose ClientToken and whole call are committed before RunInstances is
called; a call that may have happened (the batch is in doubt) is repeated with the same token and parameters and gives
the same instances. Instances are handed to the batch's requests in order; what is too many (a resource was stopped
meanwhile) belongs to nobody and is terminated; requests that got none are queued again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from ulid import ULID

from orchestrator.ledger import launches, schema, things, work, workers
from orchestrator.ledger.launches import ASSIGNED, BATCHED, FAILED, QUEUED, LaunchRequest, LaunchSpec, as_request
from orchestrator.ledger.store import Transaction
from orchestrator.model.status import ResourceStatus
from orchestrator.model.work import WorkKey
from orchestrator.ports import InstanceView

OPEN, RESOLVED = "open", "resolved"

#: Workers of one batch at most: AWS asks to break up large requests, and a partial answer is easier to place.
BATCH = 100

_TABLE = schema.launch_batches
_REQUESTS = schema.launch_requests


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One RunInstances call, open until its answer is known; `rung` is its place on the spec's ladder.

    In doubt: it was called and nobody wrote down that nothing came of it, so the same call comes first.
    """

    id: str
    session: str
    token: str
    spec: LaunchSpec
    rung: int
    count: int
    tries: int
    in_doubt: bool
    made_at: datetime


def admit(
    tx: Transaction, account: str, region: str, session: str, digest: str, count: int, *, patience: timedelta
) -> int:
    """Put up to `count` queued requests of a session and spec into new batches. Returns how many.

    They have `patience` from now on to get a worker. A request that somebody is admitting or withdrawing at this moment
    is left to them.
    """
    rows = tx.rows(
        sa.select(_REQUESTS)
        .where(
            _REQUESTS.c.state == QUEUED,
            _REQUESTS.c.account == account,
            _REQUESTS.c.region == region,
            _REQUESTS.c.session_id == session,
            _REQUESTS.c.spec_digest == digest,
        )
        .order_by(_REQUESTS.c.filed_at, _REQUESTS.c.id)
        .limit(count)
        .with_for_update(skip_locked=True)
    )
    for start in range(0, len(rows), BATCH):
        _open(tx, rows[start : start + BATCH])
    members = [as_request(row) for row in rows]
    launches.show(tx, members, ResourceStatus.LAUNCHING)
    for one in members:
        if one.admitted_at is None:
            work.give_deadline(tx, one.key, tx.now + patience)
    return len(rows)


def _open(tx: Transaction, members: Sequence[sa.Row[Any]]) -> None:
    first = members[0]
    batch = str(ULID())
    tx.execute(
        sa.insert(_TABLE).values(
            id=batch,
            session_id=first.session_id,
            account=first.account,
            region=first.region,
            token=f"{batch}-0",
            call={"spec": first.spec, "count": len(members)},
            state=OPEN,
            in_doubt=False,
            made_at=tx.now,
        )
    )
    tx.execute(
        sa.update(_REQUESTS)
        .where(_REQUESTS.c.id.in_([row.id for row in members]))
        .values(state=BATCHED, batch_id=batch, admitted_at=sa.func.coalesce(_REQUESTS.c.admitted_at, _now(tx)))
    )


def _now(tx: Transaction) -> sa.BindParameter[datetime]:
    return sa.bindparam(None, tx.now, type_=schema.Moment)


def due(tx: Transaction, account: str, region: str) -> list[Batch]:
    """List the open batches of an account and Region that may be called now."""
    return [
        _batch(row)
        for row in tx.rows(
            sa.select(_TABLE)
            .where(
                _TABLE.c.state == OPEN,
                _TABLE.c.account == account,
                _TABLE.c.region == region,
                sa.or_(_TABLE.c.not_before.is_(None), _TABLE.c.not_before <= tx.now),
            )
            .order_by(_TABLE.c.made_at, _TABLE.c.id)
        )
    ]


def get(tx: Transaction, batch: str) -> Batch | None:
    """Return an open batch, or None when it is resolved."""
    row = tx.row(sa.select(_TABLE).where(_TABLE.c.id == batch, _TABLE.c.state == OPEN))
    return None if row is None else _batch(row)


def takers(tx: Transaction, batch: Batch) -> int:
    """Count the requests of a batch that still want a worker."""
    return len(_takers(tx, batch.id))


def close(tx: Transaction, batch: Batch) -> None:
    """End a batch that nobody wants any more and whose calls are known to have made nothing."""
    _close(tx, batch, error=None)


def called(tx: Transaction, batch: Batch, *, rung: int, count: int) -> Batch:
    """Write down that RunInstances is about to be called for a batch: from now on it may have happened.

    Another rung or count is another call, with a token of its own; only a batch that is not in doubt may change them.
    Returns the batch as it is called.
    """
    made = replace(batch, tries=batch.tries + 1, in_doubt=True)
    values: dict[str, Any] = {"tries": made.tries, "in_doubt": True}
    if (rung, count) != (batch.rung, batch.count):
        if batch.in_doubt:
            raise LookupError("a launch in doubt is repeated as it was")
        made = replace(made, rung=rung, count=count, token=f"{batch.id}-{made.tries}")
        spec = batch.spec.model_dump(mode="json", by_alias=True)
        values |= {"rung": rung, "token": made.token, "call": {"spec": spec, "count": count}}
    tx.execute(sa.update(_TABLE).where(_TABLE.c.id == batch.id).values(**values))
    access = batch.spec.access
    things.intend(
        tx,
        things.Thing(
            session=batch.session,
            kind="launch",
            name=made.token,
            account=access.account,
            region=access.region,
            role=access.role,
        ),
    )
    return made


def resolve(tx: Transaction, batch: Batch, instances: Sequence[InstanceView]) -> tuple[list[WorkKey], list[str]]:
    """Hand the instances of an answered batch out. Returns the work to drive and the ids that belong to nobody.

    Answering twice hands out the same instances to the same requests.
    """
    if _locked_state(tx, batch.id) == RESOLVED:
        return [], []
    wanting = _takers(tx, batch.id)
    spare: list[str] = []
    for number, instance in enumerate(instances):
        taker = wanting[number] if number < len(wanting) else None
        _enter(tx, batch, instance, taker)
        if taker is None:
            spare.append(instance.instance_id)
            continue
        tx.execute(
            sa.update(_REQUESTS)
            .where(_REQUESTS.c.id == taker.id)
            .values(state=ASSIGNED, instance_id=instance.instance_id)
        )
        tx.execute(
            sa.update(schema.resources)
            .where(schema.resources.c.session_id == taker.key.session, schema.resources.c.ordinal == taker.key.ordinal)
            .values(instance_id=instance.instance_id)
        )
    _queue_again(tx, wanting[len(instances) :])
    _close(tx, batch, error=None)
    return work.signal(tx, [member.key for member in wanting[: len(instances)]]), spare


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


def refused(tx: Transaction, batch: Batch) -> None:
    """Write down that the latest call of a batch is known to have made nothing."""
    things.removed(tx, batch.session, "launch", batch.token)
    tx.execute(sa.update(_TABLE).where(_TABLE.c.id == batch.id, _TABLE.c.state == OPEN).values(in_doubt=False))


def postpone(tx: Transaction, batch: Batch, *, until: datetime, error: str) -> None:
    """Call a batch again at `until`, and not before."""
    values = {"not_before": until, "error": error[:2000]}
    tx.execute(sa.update(_TABLE).where(_TABLE.c.id == batch.id, _TABLE.c.state == OPEN).values(**values))
    tx.execute(
        sa.update(_REQUESTS)
        .where(_REQUESTS.c.batch_id == batch.id, _REQUESTS.c.state == BATCHED)
        .values(reason=error[:2000])
    )


def postpone_profile(tx: Transaction, batch: Batch, *, until: datetime) -> None:
    """Let the other batches with a batch's instance profile wait as long as it: one asks whether EC2 sees it yet."""
    access = batch.spec.access
    for one in due(tx, access.account, access.region):
        if one.spec.profile == batch.spec.profile and one.id != batch.id:
            tx.execute(sa.update(_TABLE).where(_TABLE.c.id == one.id).values(not_before=until))


def dissolve(tx: Transaction, batch: Batch, *, why: str, keeps_waiting: bool = False) -> None:
    """Queue a batch's requests again, after a call that is known to have made nothing.

    `keeps_waiting` gives them their patience back: what is missing will come when workers of ours end.
    """
    if _locked_state(tx, batch.id) == RESOLVED:
        return
    _queue_again(tx, _takers(tx, batch.id), why=why, keeps_waiting=keeps_waiting)
    _close(tx, batch, error=why)


def _queue_again(
    tx: Transaction, members: Sequence[LaunchRequest], *, why: str | None = None, keeps_waiting: bool = False
) -> None:
    if not members:
        return
    values: dict[str, Any] = {"state": QUEUED, "batch_id": None}
    if why is not None:
        values["reason"] = why[:2000]
    if keeps_waiting:
        values["admitted_at"] = None
    tx.execute(sa.update(_REQUESTS).where(_REQUESTS.c.id.in_([one.id for one in members])).values(**values))
    launches.show(tx, members, ResourceStatus.WAITING_FOR_CAPACITY, why=why)


def fail(tx: Transaction, batch: Batch, *, reason: str, remedy: str) -> list[WorkKey]:
    """Give a batch up after a refusal that is known to have made nothing. Returns the work to drive."""
    if _locked_state(tx, batch.id) == RESOLVED:
        return []
    wanting = _takers(tx, batch.id)
    tx.execute(
        sa.update(_REQUESTS)
        .where(_REQUESTS.c.batch_id == batch.id, _REQUESTS.c.state == BATCHED)
        .values(state=FAILED, reason=reason[:2000], remedy=remedy[:2000])
    )
    _close(tx, batch, error=reason)
    return work.signal(tx, [taker.key for taker in wanting])


def _close(tx: Transaction, batch: Batch, *, error: str | None) -> None:
    things.removed(tx, batch.session, "launch", batch.token)
    tx.execute(
        sa.update(_TABLE)
        .where(_TABLE.c.id == batch.id)
        .values(state=RESOLVED, in_doubt=False, error=None if error is None else error[:2000])
    )


def open_of_session(tx: Transaction, session: str) -> list[Batch]:
    """List a session's batches whose answer is not known."""
    return [
        _batch(row) for row in tx.rows(sa.select(_TABLE).where(_TABLE.c.session_id == session, _TABLE.c.state == OPEN))
    ]


def _takers(tx: Transaction, batch: str) -> list[LaunchRequest]:
    return [member for member in _members(tx, batch) if member.state == BATCHED]


def _members(tx: Transaction, batch: str) -> list[LaunchRequest]:
    rows = tx.rows(
        sa.select(_REQUESTS).where(_REQUESTS.c.batch_id == batch).order_by(_REQUESTS.c.filed_at, _REQUESTS.c.id)
    )
    return [as_request(row) for row in rows]


def _locked_state(tx: Transaction, batch: str) -> str:
    """Return a batch's state, its members' work and itself locked: nobody withdraws a request from here on."""
    work.lock(tx, [member.key for member in _members(tx, batch)])
    return str(tx.execute(sa.select(_TABLE.c.state).where(_TABLE.c.id == batch).with_for_update()).scalar_one())


def _batch(row: sa.Row[Any]) -> Batch:
    return Batch(
        id=row.id,
        session=row.session_id,
        token=row.token,
        spec=LaunchSpec.model_validate(row.call["spec"]),
        rung=row.rung,
        count=row.call["count"],
        tries=row.tries,
        in_doubt=row.in_doubt,
        made_at=row.made_at,
    )
