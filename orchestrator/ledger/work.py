"""Who may carry out a step, and what becomes of it: claims, parking, signals (DESIGN sections 2 and 3).

A unit of work stands at one step at a time. Any number of copies of a step's message may arrive, in any process, at the
same time: `claim` lets one through, under a higher fencing number than ever before. What the step answers is written by
`settling.settle` as one change, and only while its fence is still the newest.

Whatever happens outside (a report, a finished snapshot, a stop) is a **signal**. A signal that comes while a step runs
is counted, and the step is not allowed to park on what it has not seen (`Settled.AGAIN`). A signal
that finds the work parked wakes it: the caller publishes it again. Nothing is lost whichever comes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import sqlalchemy as sa

from orchestrator.errors import Fenced
from orchestrator.ledger import schema
from orchestrator.ledger.holders import Holder
from orchestrator.ledger.store import Transaction
from orchestrator.model.status import ResourceStatus, Step, is_past
from orchestrator.model.work import SESSION, Claim, WorkKey

#: How long a step may hold its work before somebody else may take it over; above the hard time limit of a step.
CLAIM = timedelta(seconds=90)

#: How long work may stand still, neither parked nor claimed, before `overdue` names it. Doubled with each drive, so
#: that a long queue is not made longer by repeats.
GRACE = timedelta(seconds=20)
_MOST_DRIVES = 8

#: The same when no message waits in any queue: then what does not move has lost its message.
GRACE_WHEN_IDLE = timedelta(seconds=5)

#: What a session's release waits for.
RESOURCES = "resources"

#: What a resource that is tried again waits for.
NEXT_ATTEMPT = "next-attempt"

_PAGE = 500


class Refusal(Enum):
    """Why a claim was not given."""

    PAST = "past"  # this step is done already: the chain may go on
    TAKEN = "taken"  # another copy is at it, or this copy is too early or of an older attempt: do nothing


class Settled(Enum):
    """What became of a step's answer."""

    MOVED = "moved"  # the chain goes on
    PARKED = "parked"  # nothing is left to do until a signal
    AGAIN = "again"  # something happened meanwhile: look again


_TABLE = schema.work
_KEY = sa.and_(_TABLE.c.session_id == sa.bindparam("of_session"), _TABLE.c.ordinal == sa.bindparam("of_ordinal"))
FENCE = sa.and_(_KEY, _TABLE.c.fence == sa.bindparam("of_fence"))
NOW = sa.bindparam("at", type_=schema.Moment)

# Built once: putting a statement together costs four times what running it does.
_TAKE = (
    sa.update(_TABLE)
    .where(
        _KEY,
        _TABLE.c.step == sa.bindparam("of_step"),
        _TABLE.c.attempt == sa.bindparam("of_attempt"),
        sa.or_(_TABLE.c.claimed_until.is_(None), _TABLE.c.claimed_until <= NOW),
    )
    .values(
        fence=_TABLE.c.fence + 1,
        tries=_TABLE.c.tries + 1,
        # A claim that was neither settled nor given back: whoever held it has died, or hung until it ran out.
        deaths=_TABLE.c.deaths + sa.case((_TABLE.c.claimed_until.is_(None), 0), else_=1),
        begun_at=sa.func.coalesce(_TABLE.c.begun_at, NOW),
        claimed_until=sa.bindparam("till", type_=schema.Moment),
        holder=sa.bindparam("by"),
        parked=False,
        wait_for=None,
        wait_until=None,
        # `moved_at` stays: no index has to be written for a claim, and one that runs out is overdue at once.
    )
    .returning(_TABLE.c.fence, _TABLE.c.signals, _TABLE.c.tries, _TABLE.c.deaths, _TABLE.c.begun_at)
)
_SHOW = (
    sa.update(schema.resources)
    .where(
        schema.resources.c.session_id == sa.bindparam("of_session"),
        schema.resources.c.ordinal == sa.bindparam("of_ordinal"),
        schema.resources.c.status.not_in([status for status in ResourceStatus if status.is_final]),
    )
    .values(status=sa.bindparam("to_status"), started_at=sa.func.coalesce(schema.resources.c.started_at, NOW))
)
#: On PostgreSQL a claim does not wait for the disk: whatever is written under it, or settles it, waits for both. A
#: crash of the server may forget a claim under which nothing has been written; so that its number is never given again,
#: the numbers follow the server's clock.
_CLOCK = sa.cast(sa.func.floor(sa.extract("epoch", sa.func.clock_timestamp()) * 1000), sa.BigInteger)
_TAKE_AT_ONCE = _TAKE.values(fence=sa.func.greatest(_TABLE.c.fence + 1, _CLOCK)).returning(
    sa.func.set_config("synchronous_commit", "off", sa.true()).label("waits")
)
_TAKEN = _TAKE_AT_ONCE.cte("taken")
_TAKE_AND_SHOW = sa.select(_TAKEN).add_cte(
    _SHOW.where(sa.exists(sa.select(_TAKEN.c.fence).where(_TAKEN.c.tries == 1)))
    .returning(sa.literal(1).label("one"))
    .cte("shown")
)
_WHERE = sa.select(_TABLE.c.step, _TABLE.c.attempt, _TABLE.c.holder, _TABLE.c.fence).where(_KEY)
_FENCE_OF = sa.select(_TABLE.c.fence).where(_KEY).with_for_update()
_GIVE_BACK = sa.update(_TABLE).where(FENCE).values(claimed_until=None, moved_at=NOW)
_TAKE_BACK = sa.update(_TABLE).where(FENCE).values(claimed_until=NOW, moved_at=NOW)
_DRIVEN = sa.update(_TABLE).where(_KEY).values(drives=_TABLE.c.drives + 1, moved_at=NOW)
_PUT_OFF = (
    sa.update(_TABLE)
    .where(_KEY, _TABLE.c.parked, _TABLE.c.wait_until <= NOW)
    .values(wait_until=sa.bindparam("till", type_=schema.Moment))
)
_PAGE_OF = sa.and_(
    _TABLE.c.session_id == sa.bindparam("of_session"),
    _TABLE.c.ordinal.in_(sa.bindparam("ordinals", expanding=True)),
    _TABLE.c.step != Step.DONE,
)
_LOCK_PAGE = sa.select(_TABLE.c.ordinal, _TABLE.c.parked).where(_PAGE_OF).order_by(_TABLE.c.ordinal).with_for_update()
_SIGNAL_PAGE = (
    sa.update(_TABLE)
    .where(_PAGE_OF)
    .values(
        signals=_TABLE.c.signals + 1, parked=False, moved_at=sa.case((_TABLE.c.parked, NOW), else_=_TABLE.c.moved_at)
    )
)


def enrol(tx: Transaction, session: str, ordinals: Iterable[int], step: Step) -> None:
    """Make units of work that stand at `step`. Those that exist already are left as they are."""
    tx.insert_missing(
        _TABLE,
        [{"session_id": session, "ordinal": ordinal, "step": step, "moved_at": tx.now} for ordinal in ordinals],
    )


def _key(key: WorkKey) -> dict[str, Any]:
    return {"of_session": key.session, "of_ordinal": key.ordinal}


def claim(
    tx: Transaction,
    key: WorkKey,
    step: Step,
    attempt: int,
    *,
    holder: Holder | None = None,
    shows: ResourceStatus | None = None,
) -> Claim | Refusal:
    """Ask for the right to carry out `step` of `attempt`. What a dead process of `holder`'s held is taken over.

    `shows` is the status that the resource gets when the step is begun for the first time. Ask in a transaction of its
    own: it is not on the disk yet when it is committed (see `_TAKE_AT_ONCE`).
    """
    until = tx.now + CLAIM
    by = None if holder is None else holder.name
    ask = {**_key(key), "of_step": step, "of_attempt": attempt, "at": tx.now, "till": until, "by": by}
    taken = _take(tx, ask, shows)
    if taken is None:
        row = tx.row(_WHERE, _key(key))
        if row is None or row.attempt != attempt:
            # Nothing may follow from a message of an older attempt: its teardown must not count in the chord.
            return Refusal.TAKEN
        if is_past(Step(row.step), step):
            return Refusal.PAST
        if row.step != step or holder is None or row.holder is None or not holder.is_dead(row.holder):
            return Refusal.TAKEN
        tx.execute(_TAKE_BACK, {**_key(key), "of_fence": row.fence, "at": tx.now})
        taken = _take(tx, ask, shows)
        if taken is None:
            return Refusal.TAKEN
    return Claim(
        key=key,
        step=step,
        attempt=attempt,
        fence=taken.fence,
        signals=taken.signals,
        tries=taken.tries,
        deaths=taken.deaths,
        until=until,
        begun_at=taken.begun_at,
    )


def _take(tx: Transaction, ask: dict[str, Any], shows: ResourceStatus | None) -> sa.Row[Any] | None:
    shown = {**ask, "to_status": shows}
    if tx.connection.dialect.name == "postgresql":
        return tx.row(_TAKE_AT_ONCE, ask) if shows is None else tx.row(_TAKE_AND_SHOW, shown)
    taken = tx.row(_TAKE, ask)
    if taken is not None and taken.tries == 1 and shows is not None:
        # A transaction of its own for whoever runs single statements: what people see may come a moment later.
        tx.execute(_SHOW, shown)
    return taken


def hold(tx: Transaction, held: Claim) -> None:
    """Make sure that a claim is still the newest, inside the transaction that writes under it. Raises `Fenced`.

    It locks the unit's row until the end of the transaction, so it comes before any other write.
    """
    row = tx.row(_FENCE_OF, _key(held.key))
    if row is None or row.fence != held.fence:
        raise fenced(held)


def fenced(held: Claim) -> Fenced:
    """Return the error of whoever writes under a claim that is no longer the newest."""
    return Fenced(f"{held.step} of {held.key.session}/{held.key.ordinal} was taken over")


def release_claim(tx: Transaction, held: Claim) -> None:
    """Give a claim back without an answer, so that the step can be tried again at once. Raises `Fenced`."""
    if not tx.execute(_GIVE_BACK, {**_key(held.key), "of_fence": held.fence, "at": tx.now}).rowcount:
        raise fenced(held)


def lock(tx: Transaction, keys: Iterable[WorkKey]) -> None:
    """Lock units of work for the rest of the transaction, in the one order that everybody keeps."""
    for session, ordinals in _pages(keys):
        tx.execute(_LOCK_PAGE, {"of_session": session, "ordinals": ordinals})


def signal(tx: Transaction, keys: Iterable[WorkKey]) -> list[WorkKey]:
    """Tell units of work that something happened. Returns those that were parked: the caller must drive them.

    Parked work that is signalled counts as moved now: if the caller dies before it publishes, `overdue` finds it.
    """
    woken: list[WorkKey] = []
    for session, ordinals in _pages(keys):
        page = {"of_session": session, "ordinals": ordinals}
        woken += [WorkKey(session, row.ordinal) for row in tx.rows(_LOCK_PAGE, page) if row.parked]
        tx.execute(_SIGNAL_PAGE, {**page, "at": tx.now})
    return woken


def _pages(keys: Iterable[WorkKey]) -> Iterator[tuple[str, list[int]]]:
    by_session: dict[str, list[int]] = {}
    for key in sorted(set(keys)):
        by_session.setdefault(key.session, []).append(key.ordinal)
    for session, ordinals in by_session.items():
        for start in range(0, len(ordinals), _PAGE):
            yield session, ordinals[start : start + _PAGE]


def signal_waiting(tx: Transaction, wait_for: str, *, session: str | None = None) -> list[WorkKey]:
    """Signal all work parked on `wait_for` (of one session, if given). Returns what the caller must drive."""
    query = sa.select(_TABLE.c.session_id, _TABLE.c.ordinal).where(schema.PARKED, _TABLE.c.wait_for == wait_for)
    if session is not None:
        query = query.where(_TABLE.c.session_id == session)
    return signal(tx, [WorkKey(row.session_id, row.ordinal) for row in tx.rows(query)])


def signal_session(tx: Transaction, session: str) -> list[WorkKey]:
    """Signal every unit of work of a session. Returns what the caller must drive.

    The session's own row is locked first: units that are being enrolled are there, or begin after this transaction.
    """
    lock(tx, [WorkKey(session, SESSION)])
    query = sa.select(_TABLE.c.ordinal).where(_TABLE.c.session_id == session, _TABLE.c.step != Step.DONE)
    return signal(tx, [WorkKey(session, row.ordinal) for row in tx.rows(query)])


def put_off(tx: Transaction, until: Mapping[WorkKey, datetime]) -> None:
    """Let parked work whose time is over wait longer; work that was signalled meanwhile is left as it is."""
    if until:
        tx.execute(_PUT_OFF, [{**_key(key), "till": until[key], "at": tx.now} for key in sorted(until)])


def signal_expired(tx: Transaction, limit: int = _PAGE) -> list[WorkKey]:
    """Signal parked work whose time is over. Returns what the caller must drive."""
    due = tx.rows(
        sa.select(_TABLE.c.session_id, _TABLE.c.ordinal)
        .where(schema.PARKED, _TABLE.c.wait_until <= tx.now)
        .order_by(_TABLE.c.wait_until)
        .limit(limit)
    )
    return signal(tx, [WorkKey(row.session_id, row.ordinal) for row in due])


def left_behind(tx: Transaction, holder: Holder) -> list[WorkKey]:
    """Take the claims of a Celery worker's dead processes back. Returns what the caller must drive."""
    table = _TABLE
    rows = tx.rows(
        sa.select(table.c.session_id, table.c.ordinal, table.c.fence, table.c.holder).where(
            schema.MOVING,
            table.c.claimed_until > tx.now,
            table.c.holder.startswith(holder.before, autoescape=True),
        )
    )
    dead = sorted((WorkKey(row.session_id, row.ordinal), row.fence) for row in rows if holder.is_dead(row.holder))
    lock(tx, [key for key, _ in dead])
    for key, fence in dead:
        tx.execute(_TAKE_BACK, {**_key(key), "of_fence": fence, "at": tx.now})
    return [key for key, _ in dead]


def overdue(
    tx: Transaction, limit: int = _PAGE, *, grace: timedelta = GRACE, among: Sequence[WorkKey] | None = None
) -> list[WorkKey]:
    """Name work that should be moving and is not: neither parked nor claimed, and still for longer than the grace.

    With `among`, only these units are looked at.

    Each naming doubles the grace for that unit, so a queue that is merely long does not fill with repeats. The caller
    must drive what is named. Rows that somebody is writing at this moment are moving, so they are passed over.
    """
    table = _TABLE
    patience = sa.case(
        *[(table.c.drives == count, (grace * 2**count).total_seconds()) for count in range(_MOST_DRIVES)],
        else_=(grace * 2**_MOST_DRIVES).total_seconds(),
    )
    query = sa.select(table.c.session_id, table.c.ordinal)
    if among is not None:
        query = query.where(sa.tuple_(table.c.session_id, table.c.ordinal).in_([tuple(key) for key in among]))
    rows = tx.rows(
        query.where(
            schema.MOVING,
            table.c.moved_at <= tx.now - grace,
            sa.or_(table.c.claimed_until.is_(None), table.c.claimed_until <= tx.now),
            sa.type_coerce(table.c.moved_at, sa.Double) + patience <= tx.now.timestamp(),
        )
        .order_by(table.c.moved_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    keys = [WorkKey(row.session_id, row.ordinal) for row in rows]
    if keys:
        tx.execute(_DRIVEN, [{**_key(key), "at": tx.now} for key in keys])
    return keys


def still_for(tx: Transaction, keys: Sequence[WorkKey]) -> timedelta:
    """Return how long the unit among these has stood still that has done so longest; parked ones do not count."""
    table = _TABLE
    among = sa.tuple_(table.c.session_id, table.c.ordinal).in_([tuple(key) for key in keys])
    since: datetime | None = tx.execute(
        sa.select(sa.func.min(table.c.moved_at)).where(among, schema.MOVING)
    ).scalar_one()
    return timedelta() if since is None else max(timedelta(), tx.now - since)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a unit of work stands, and the resource's own id (None for the session itself)."""

    key: WorkKey
    step: Step
    attempt: int
    resource_id: str | None


def places(tx: Transaction, keys: Sequence[WorkKey]) -> list[Place]:
    """Return where units of work stand; unknown ones are left out."""
    found: list[Place] = []
    by_session: dict[str, list[int]] = {}
    for key in keys:
        by_session.setdefault(key.session, []).append(key.ordinal)
    table, things = schema.work, schema.resources
    joined = table.outerjoin(
        things, sa.and_(things.c.session_id == table.c.session_id, things.c.ordinal == table.c.ordinal)
    )
    for session, wanted in by_session.items():
        for start in range(0, len(wanted), _PAGE):
            found += [
                Place(
                    key=WorkKey(session, row.ordinal),
                    step=Step(row.step),
                    attempt=row.attempt,
                    resource_id=row.resource_id,
                )
                for row in tx.rows(
                    sa.select(table.c.ordinal, table.c.step, table.c.attempt, things.c.resource_id)
                    .select_from(joined)
                    .where(table.c.session_id == session, table.c.ordinal.in_(wanted[start : start + _PAGE]))
                    .order_by(table.c.ordinal)
                )
            ]
    return found


def ordinals(tx: Transaction, session: str) -> list[int]:
    """List the ordinals of a session's resources that have a chain, whether it has ended or not."""
    table = schema.work
    query = sa.select(table.c.ordinal).where(table.c.session_id == session, table.c.ordinal >= 0)
    return [row.ordinal for row in tx.rows(query.order_by(table.c.ordinal))]


def releasable(tx: Transaction, limit: int = _PAGE) -> list[WorkKey]:
    """Name sessions whose release is parked although every resource has reached the end of its chain.

    Their chord has died, or its callback came too early. The caller must signal and drive them.
    """
    table = _TABLE
    other = table.alias("other")
    open_chain = sa.exists().where(
        other.c.session_id == table.c.session_id, other.c.ordinal >= 0, other.c.step != Step.DONE
    )
    rows = tx.rows(
        sa.select(table.c.session_id)
        .where(schema.OF_SESSION, table.c.step == Step.RELEASE, table.c.parked, table.c.wait_for == RESOURCES)
        .where(sa.not_(open_chain))
        .limit(limit)
    )
    return [WorkKey(row.session_id, SESSION) for row in rows]


def unfinished(tx: Transaction, session: str) -> int:
    """Count a session's resources that have not reached the end of their chain."""
    table = schema.work
    return int(
        tx.execute(
            sa.select(sa.func.count())
            .select_from(table)
            .where(table.c.session_id == session, table.c.ordinal >= 0, table.c.step != Step.DONE)
        ).scalar_one()
    )


def give_deadline(tx: Transaction, key: WorkKey, until: datetime) -> None:
    """Bring a parked unit's waking time forward to `until`, never back."""
    tx.execute(
        sa.update(schema.work).where(_KEY, _TABLE.c.parked, _TABLE.c.wait_until > until).values(wait_until=until),
        _key(key),
    )
