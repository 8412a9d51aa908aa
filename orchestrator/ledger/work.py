"""Who may carry out a step, and what becomes of it: claims, parking, signals (DESIGN sections 2 and 3).

A unit of work stands at one step at a time. Any number of copies of a step's message may arrive, in any process, at the
same time: `claim` lets one through, under a higher fencing number than ever before. What the step answers is written by
`settle` in one transaction, and only while its fence is still the newest.

Whatever happens outside (a report, a finished snapshot, a stop) is a **signal**. A signal that comes while a step runs
is counted, and the step is not allowed to park on what it has not seen (`settle` returns `Settled.AGAIN`). A signal
that finds the work parked wakes it: the caller publishes it again. Nothing is lost whichever comes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

import sqlalchemy as sa

from orchestrator.errors import Fenced
from orchestrator.ledger import schema
from orchestrator.ledger.store import Transaction
from orchestrator.model.status import Step, is_past, next_step
from orchestrator.model.work import SESSION, Claim, Done, Failed, Outcome, Park, WorkKey

#: How long a step may hold its work before somebody else may take it over; above the hard time limit of a step.
CLAIM = timedelta(seconds=90)

#: How long work may stand still, neither parked nor claimed, before `overdue` names it. Doubled with each drive, so
#: that a long queue is not made longer by repeats.
GRACE = timedelta(seconds=20)
_MOST_DRIVES = 8

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


def enrol(tx: Transaction, session: str, ordinals: Iterable[int], step: Step) -> None:
    """Make units of work that stand at `step`. Those that exist already are left as they are."""
    known = {
        row.ordinal for row in tx.rows(sa.select(schema.work.c.ordinal).where(schema.work.c.session_id == session))
    }
    fresh = [
        {"session_id": session, "ordinal": ordinal, "step": step, "moved_at": tx.now}
        for ordinal in ordinals
        if ordinal not in known
    ]
    if fresh:
        tx.execute(sa.insert(schema.work), fresh)


def _is(key: WorkKey) -> sa.ColumnElement[bool]:
    return sa.and_(schema.work.c.session_id == key.session, schema.work.c.ordinal == key.ordinal)


def claim(tx: Transaction, key: WorkKey, step: Step, attempt: int) -> Claim | Refusal:
    """Ask for the right to carry out `step` of `attempt`."""
    table = schema.work
    row = tx.row(sa.select(table).where(_is(key)))
    if row is None or row.attempt != attempt:
        return Refusal.PAST if row is not None and row.attempt > attempt else Refusal.TAKEN
    position = Step(row.step)
    if is_past(position, step):
        return Refusal.PAST
    if position != step or (row.claimed_until is not None and row.claimed_until > tx.now):
        return Refusal.TAKEN
    until = tx.now + CLAIM
    fence, tries = row.fence + 1, row.tries + 1
    tx.execute(
        sa.update(table)
        .where(_is(key))
        .values(
            fence=fence, claimed_until=until, tries=tries, parked=False, wait_for=None, wait_until=None, moved_at=tx.now
        )
    )
    if row.ordinal >= 0 and tries == 1:
        _begin_step(tx, key, attempt, step)
    return Claim(key=key, step=step, attempt=attempt, fence=fence, signals=row.signals, tries=tries, until=until)


def _begin_step(tx: Transaction, key: WorkKey, attempt: int, step: Step) -> None:
    table = schema.steps
    same = sa.and_(
        table.c.session_id == key.session,
        table.c.ordinal == key.ordinal,
        table.c.attempt == attempt,
        table.c.step == step,
    )
    if tx.row(sa.select(table.c.step).where(same)) is None:
        tx.execute(
            sa.insert(table).values(
                session_id=key.session, ordinal=key.ordinal, attempt=attempt, step=step, started_at=tx.now
            )
        )


def hold(tx: Transaction, held: Claim) -> None:
    """Make sure that a claim is still the newest, inside the transaction that writes under it. Raises `Fenced`."""
    row = tx.row(sa.select(schema.work.c.fence).where(_is(held.key)))
    if row is None or row.fence != held.fence:
        raise Fenced(f"{held.step} of {held.key.session}/{held.key.ordinal} was taken over")


def settle(tx: Transaction, held: Claim, outcome: Outcome) -> Settled:
    """Write down what a step answered. Raises `Fenced` when somebody else has taken the work over.

    Done moves to the next step; Failed and Stopped move to teardown; Park parks unless a signal came meanwhile.
    """
    table = schema.work
    row = tx.row(sa.select(table.c.fence, table.c.signals).where(_is(held.key)))
    if row is None or row.fence != held.fence:
        raise Fenced(f"{held.step} of {held.key.session}/{held.key.ordinal} was taken over")
    if isinstance(outcome, Park):
        again = row.signals != held.signals
        tx.execute(
            sa.update(table)
            .where(_is(held.key))
            .values(
                claimed_until=None,
                parked=not again,
                wait_for=outcome.wait_for[:64],
                wait_until=outcome.until,
                moved_at=tx.now,
                drives=0,
            )
        )
        return Settled.AGAIN if again else Settled.PARKED
    target = next_step(held.step) if isinstance(outcome, Done) else Step.TEARDOWN
    tx.execute(
        sa.update(table)
        .where(_is(held.key))
        .values(step=target, claimed_until=None, parked=False, tries=0, drives=0, moved_at=tx.now)
    )
    if held.key.ordinal >= 0:
        tx.execute(
            sa.update(schema.steps)
            .where(
                schema.steps.c.session_id == held.key.session,
                schema.steps.c.ordinal == held.key.ordinal,
                schema.steps.c.attempt == held.attempt,
                schema.steps.c.step == held.step,
            )
            .values(ended_at=tx.now, outcome=_word(outcome))
        )
    return Settled.MOVED


def _word(outcome: Outcome) -> str:
    if isinstance(outcome, Done):
        return "success"
    return "failed" if isinstance(outcome, Failed) else "stopped"


def release_claim(tx: Transaction, held: Claim) -> None:
    """Give a claim back without an answer, so that the step can be tried again at once. Raises `Fenced`."""
    hold(tx, held)
    tx.execute(sa.update(schema.work).where(_is(held.key)).values(claimed_until=None, moved_at=tx.now))


def signal(tx: Transaction, keys: Sequence[WorkKey]) -> list[WorkKey]:
    """Tell units of work that something happened. Returns those that were parked: the caller must drive them.

    Parked work that is signalled counts as moved now: if the caller dies before it publishes, `overdue` finds it.
    """
    table = schema.work
    woken: list[WorkKey] = []
    by_session: dict[str, list[int]] = {}
    for key in keys:
        by_session.setdefault(key.session, []).append(key.ordinal)
    for session, ordinals in by_session.items():
        for start in range(0, len(ordinals), _PAGE):
            page = sa.and_(table.c.session_id == session, table.c.ordinal.in_(ordinals[start : start + _PAGE]))
            woken += _wake(tx, page)
    return woken


def signal_waiting(tx: Transaction, wait_for: str, *, session: str | None = None) -> list[WorkKey]:
    """Signal all work parked on `wait_for` (of one session, if given). Returns what the caller must drive."""
    condition = sa.and_(schema.work.c.parked, schema.work.c.wait_for == wait_for)
    if session is not None:
        condition = sa.and_(condition, schema.work.c.session_id == session)
    return _wake(tx, condition)


def signal_session(tx: Transaction, session: str) -> list[WorkKey]:
    """Signal every unit of work of a session. Returns what the caller must drive."""
    return _wake(tx, schema.work.c.session_id == session)


def signal_expired(tx: Transaction, limit: int = _PAGE) -> list[WorkKey]:
    """Signal parked work whose time is over. Returns what the caller must drive."""
    table = schema.work
    due = tx.rows(
        sa.select(table.c.session_id, table.c.ordinal)
        .where(table.c.parked, table.c.wait_until <= tx.now)
        .order_by(table.c.wait_until)
        .limit(limit)
    )
    return signal(tx, [WorkKey(row.session_id, row.ordinal) for row in due])


def _wake(tx: Transaction, condition: sa.ColumnElement[bool]) -> list[WorkKey]:
    table = schema.work
    found = tx.rows(
        sa.select(table.c.session_id, table.c.ordinal).where(condition, table.c.parked, table.c.step != Step.DONE)
    )
    tx.execute(
        sa.update(table)
        .where(condition, table.c.step != Step.DONE)
        .values(
            signals=table.c.signals + 1,
            parked=False,
            moved_at=sa.case((table.c.parked, tx.now.timestamp()), else_=table.c.moved_at),
        )
    )
    return [WorkKey(row.session_id, row.ordinal) for row in found]


def overdue(tx: Transaction, limit: int = _PAGE) -> list[WorkKey]:
    """Name work that should be moving and is not: neither parked nor claimed, and still for longer than the grace.

    Each naming doubles the grace for that unit, so a queue that is merely long does not fill with repeats. The caller
    must drive what is named.
    """
    table = schema.work
    patience = sa.case(
        *[(table.c.drives == count, (GRACE * 2**count).total_seconds()) for count in range(_MOST_DRIVES)],
        else_=(GRACE * 2**_MOST_DRIVES).total_seconds(),
    )
    now = tx.now.timestamp()
    rows = tx.rows(
        sa.select(table.c.session_id, table.c.ordinal)
        .where(
            table.c.step != Step.DONE,
            sa.not_(table.c.parked),
            sa.or_(table.c.claimed_until.is_(None), table.c.claimed_until <= tx.now),
            sa.type_coerce(table.c.moved_at, sa.Double) + patience <= now,
        )
        .order_by(table.c.moved_at)
        .limit(limit)
    )
    keys = [WorkKey(row.session_id, row.ordinal) for row in rows]
    for key in keys:
        tx.execute(
            sa.update(table).where(_is(key)).values(drives=table.c.drives + 1, moved_at=tx.now, claimed_until=None)
        )
    return keys


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
    table = schema.work
    other = table.alias("other")
    open_chain = sa.exists().where(
        other.c.session_id == table.c.session_id, other.c.ordinal >= 0, other.c.step != Step.DONE
    )
    rows = tx.rows(
        sa.select(table.c.session_id)
        .where(
            table.c.ordinal == SESSION, table.c.step == Step.RELEASE, table.c.parked, table.c.wait_for == "resources"
        )
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
        sa.update(schema.work)
        .where(_is(key), schema.work.c.parked, schema.work.c.wait_until > until)
        .values(wait_until=until)
    )
