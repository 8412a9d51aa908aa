"""Due policies become sessions, once for each policy and tick, whoever looks and however often.

A session's request carries the policy as its source and the tick as its id, which is the ledger's idempotency key:
two beats, a crash between the session and the note about it, or a clock that is set back all find the session that is
there.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from ulid import ULID

from agent.protocol import format_time
from orchestrator.errors import Conflict, Refused
from orchestrator.ledger import pausing, schedules, sessions
from orchestrator.ledger.schedules import Entry
from orchestrator.ledger.store import Ledger
from orchestrator.ports import Dispatch
from orchestrator.scheduler.policy import Policy, Schedule, read_policy
from orchestrator.scheduler.ticks import Due, coming, due, ticks
from orchestrator.submission import Submitted, submit

log = structlog.get_logger(__name__)

#: A run that waits for the one before it is looked at again after so long.
_QUEUED = timedelta(seconds=5)


def tick(ledger: Ledger, *, dispatch: Dispatch) -> int:
    """Look at the policies that are due; returns how many sessions were made. Constant work when none is."""
    with ledger.read() as tx:
        if pausing.paused_at(tx) is not None:
            return 0
        entries = schedules.due(tx)
    return sum(_guarded(ledger, dispatch, entry) for entry in entries)


def _guarded(ledger: Ledger, dispatch: Dispatch, entry: Entry) -> bool:
    """Keep a policy that this version cannot read from holding up the others."""
    try:
        return _look(ledger, dispatch, entry)
    except Refused as error:
        with ledger.write() as tx:
            schedules.follow(tx, entry, seen=entry.seen_at, next_at=None, note=f"cannot be followed: {error}"[:2000])
        log.warning("policy cannot be followed", policy=entry.name, reason=str(error))
        return False


def _look(ledger: Ledger, dispatch: Dispatch, entry: Entry) -> bool:
    policy = read_policy(entry.document)
    now = ledger.clock.now()
    found = None if policy.schedule is None else due(policy.schedule, policy.name, entry.seen_at, now)
    if policy.schedule is None or found is None:
        _follow(ledger, entry, policy, seen=entry.seen_at, note=entry.note)
        return False
    if found.run is None:
        _follow(ledger, entry, policy, seen=found.seen, note=f"missed until {format_time(found.seen)}, skipped")
        return False
    with ledger.read() as tx:
        running = schedules.running(tx, policy.name)
    run = format_time(found.run)
    if running is not None and not _is_ours(ledger, running, policy, run):
        return _overlap(ledger, entry, policy.schedule, found, running)
    made = False
    try:
        made = submit(ledger, policy.request(run), dispatch=dispatch, policy=policy.name).created
        note = f"missed, made up for: {run}" if found.was_missed else None
    except Conflict:
        note = None  # The policy was changed after this tick had become a session.
    except Refused as error:
        note = f"{run} was refused: {error}"
        log.warning("policy was refused", policy=policy.name, tick=run, reason=str(error))
    _follow(ledger, entry, policy, seen=found.seen, note=note)
    return made


def _is_ours(ledger: Ledger, session: str, policy: Policy, run: str) -> bool:
    """Whether the running session is this very tick's, made before its note could be written."""
    with ledger.read() as tx:
        found = sessions.get(tx, session)
    return (found.source, found.request_id) == (policy.request(run)["source"], run)


def _overlap(ledger: Ledger, entry: Entry, schedule: Schedule, found: Due, running: str) -> bool:
    """The session before it still runs: leave the tick out, or look again soon."""
    waits = schedule.overlap == "queue" or (found.was_missed and schedule.missed == "run-all")
    policy = read_policy(entry.document)
    if waits:
        with ledger.write() as tx:
            note = f"waiting for session {running}"
            schedules.follow(tx, entry, seen=entry.seen_at, next_at=tx.now + _QUEUED, note=note)
    else:
        note = f"{format_time(found.seen)} was left out: session {running} was running"
        _follow(ledger, entry, policy, seen=found.seen, note=note)
        log.warning("policy still runs, tick left out", policy=policy.name, session_id=running)
    return False


def _follow(ledger: Ledger, entry: Entry, policy: Policy, *, seen: datetime, note: str | None) -> None:
    next_at = None if policy.schedule is None else coming(policy.schedule, policy.name, seen)
    with ledger.write() as tx:
        schedules.follow(tx, entry, seen=seen, next_at=next_at, note=note)


# --- what people ask of policies ----------------------------------------------------------------------------------


def apply(ledger: Ledger, document: object) -> Policy:
    """Add or replace a policy. Raises `Refused` with every mistake."""
    policy = read_policy(document)
    with ledger.write() as tx:
        next_at = None if policy.schedule is None else coming(policy.schedule, policy.name, tx.now)
        body = policy.model_dump(mode="json", by_alias=True, exclude_none=True)
        schedules.put(tx, policy.name, body, next_at)
    return policy


def enable(ledger: Ledger, name: str) -> None:
    """Let a policy run by its schedule, from now on; what passed while it was off is not made up for."""
    with ledger.write() as tx:
        policy = read_policy(schedules.get(tx, name).document)
        next_at = None if policy.schedule is None else coming(policy.schedule, name, tx.now)
        schedules.enable(tx, name, next_at)


def run(ledger: Ledger, name: str, *, dispatch: Dispatch) -> Submitted:
    """Start a policy by hand. Raises `NotFound`, `Conflict` with the running session's id, or `Refused`."""
    with ledger.read() as tx:
        policy = read_policy(schedules.get(tx, name).document)
        running = schedules.running(tx, name)
    if running is not None:
        raise Conflict(
            "the policy is running already", field="policy", value=running, remedy="Wait for that session, or stop it"
        )
    return submit(ledger, policy.request(f"by-hand-{ULID()}"), dispatch=dispatch, policy=name)


def upcoming(ledger: Ledger, *, count: int = 5, name: str | None = None) -> list[tuple[str, datetime]]:
    """List the next runs of enabled policies, the soonest first: at most `count` of each."""
    with ledger.read() as tx:
        entries = schedules.everyone(tx) if name is None else [schedules.get(tx, name)]
        now = tx.now
    found: list[tuple[str, datetime]] = []
    for entry in entries:
        policy = read_policy(entry.document)
        if entry.enabled and policy.schedule is not None:
            moments = ticks(policy.schedule, max(now, entry.seen_at))
            found += [(entry.name, moment) for moment, _ in zip(moments, range(count), strict=False)]
    return sorted(found, key=lambda one: (one[1], one[0]))
