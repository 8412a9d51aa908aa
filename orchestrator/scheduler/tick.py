"""Due policies become sessions, once for each policy and tick, whoever looks and however often.

Whoever looks at a policy locks its row, and one commit holds both the new session and how far the schedule has been
followed. Beside that a session's request carries the policy as its source and the tick as its id, which is the
ledger's idempotency key: after a clock was set back, or a policy deleted and applied again, the session is found.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import structlog

from agent.protocol import format_time
from orchestrator import submission
from orchestrator.errors import Conflict, LedgerUnavailable, Refused
from orchestrator.ledger import pausing, schedules
from orchestrator.ledger.schedules import Entry
from orchestrator.ledger.store import Ledger, Transaction
from orchestrator.model.request import read_request
from orchestrator.ports import Dispatch
from orchestrator.scheduler.policy import Policy, Schedule, read_policy
from orchestrator.scheduler.ticks import Followed, coming, follow
from orchestrator.submission import Submitted

log = structlog.get_logger(__name__)

#: A run that waits for the one before it is looked at again after so long.
_OWED = timedelta(seconds=5)


def tick(ledger: Ledger, *, dispatch: Dispatch) -> int:
    """Look at the policies that are due; returns how many sessions were made. Constant work when none is.

    Of policies that are due together the one of the highest priority comes first, among equals the earlier name.
    Raises `LedgerUnavailable`.
    """
    with ledger.read() as tx:
        if pausing.paused(tx) is not None:
            return 0
        found = schedules.due(tx)
    found.sort(key=lambda one: (-int(one.document.get("priority", 0)), one.name))
    return sum(_look(ledger, dispatch, entry.name) for entry in found)


def _look(ledger: Ledger, dispatch: Dispatch, name: str) -> bool:
    try:
        accepted = ledger.run(partial(_advance, name=name))
    except LedgerUnavailable:
        raise
    except Exception:
        # A mistake of ours that one policy meets must not hold up the others; it is looked at again in a second.
        log.exception("policy could not be looked at", policy=name)
        return False
    if accepted is None:
        return False
    submission.publish(accepted, dispatch=dispatch)
    return accepted.created


def _advance(tx: Transaction, name: str) -> Submitted | None:
    """Follow one policy's schedule up to now; returns the session that was made of a tick."""
    entry = schedules.locked(tx, name)
    if entry is None or not entry.enabled or entry.next_at is None or entry.next_at > tx.now:
        return None  # Somebody else was quicker.
    if pausing.paused(tx) is not None:
        return None
    try:
        policy = read_policy(entry.document)
    except Refused as error:
        # One that this version cannot read must not hold up the others.
        note = f"cannot be followed: {error}"
        schedules.follow(tx, name, seen=entry.seen_at, owed=entry.owed, next_at=None, note=note)
        log.warning("policy cannot be followed", policy=name, reason=str(error))
        return None
    if policy.schedule is None:
        schedules.follow(tx, name, seen=entry.seen_at, owed=(), next_at=None, note=entry.note)
        return None
    return _run(tx, entry, policy, policy.schedule)


def _run(tx: Transaction, entry: Entry, policy: Policy, schedule: Schedule) -> Submitted | None:
    running = schedules.running(tx, entry.name)
    before = Followed(entry.seen_at, entry.owed)
    followed = follow(schedule, entry.name, before, tx.now, running=running)
    owed, note, accepted = followed.owed, followed.note, None
    if note is not None:
        log.warning("schedule was not kept", policy=entry.name, note=note)
    elif running is not None and owed:
        note = entry.note
    if owed and running is None:
        run, *owed_then = owed
        accepted, refused = _submit(tx, policy, format_time(run))
        owed, note = tuple(owed_then), refused or note
    next_at = coming(schedule, entry.name, followed.seen)
    if owed and (next_at is None or next_at > tx.now + _OWED):
        next_at = tx.now + _OWED
    schedules.follow(tx, entry.name, seen=followed.seen, owed=owed, next_at=next_at, note=note)
    return accepted


def _submit(tx: Transaction, policy: Policy, run: str) -> tuple[Submitted | None, str | None]:
    """Make the session of a run; returns it, or why there is none."""
    try:
        return submission.accept(tx, read_request(policy.request(run)), policy=policy.name), None
    except Conflict:
        return None, None  # The policy was changed after this tick had become a session.
    except Refused as error:
        log.warning("policy was refused", policy=policy.name, tick=run, reason=str(error))
        return None, f"{run} was refused: {error}"
