"""When a schedule is due and what its rules say: pure, in aware times. Nothing here knows a ledger or the present time.

A **tick** is a moment of the schedule. It is **missed** when nobody saw it in time: a later one has come as well, or it
came too long ago. It is **owed** when it is to become a session and has not yet, because another one still runs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim

from orchestrator.scheduler.policy import Missed, Overlap, Schedule

#: The latest tick was missed too when it came longer ago than this.
PUNCTUAL = timedelta(minutes=2)

#: No more runs than these are owed at a time; later ticks are looked at when some of them have run.
MOST_OWED = 1000

#: No more ticks than these are looked at in one pass: 69 days of every minute, in half a second.
MOST_SEEN = 100_000


@dataclass(frozen=True)
class Followed:
    """How far a schedule has been followed: ticks up to `seen` are settled or among those `owed`, the oldest first.

    `note` tells a person what became of ticks that did not run at their own time; None: there is nothing to tell.
    """

    seen: datetime
    owed: tuple[datetime, ...] = ()
    note: str | None = None


def ticks(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """Yield the schedule's moments later than `after`, in UTC and in order, each once.

    A wall-clock time that comes twice, or that is moved out of the hour that daylight saving skips, may be computed
    from where it lies before `after` or equal to its neighbour; those are passed over.
    """
    last = after
    for local in CronSim(schedule.cron, after.astimezone(ZoneInfo(schedule.timezone))):
        moment = local.astimezone(UTC)
        if moment > last:
            last = moment
            yield moment


def put_off(schedule: Schedule, name: str, tick: datetime) -> datetime:
    """Return when a tick is acted on: spread over the schedule's jitter, always the same for the same tick."""
    if not schedule.jitter:
        return tick
    digest = hashlib.sha256(f"{name}/{tick.timestamp()}".encode()).digest()
    return tick + timedelta(seconds=int.from_bytes(digest[:4]) % (schedule.jitter + 1))


def coming(schedule: Schedule, name: str, after: datetime) -> datetime | None:
    """Return when the schedule is to be looked at next; None when it never comes again."""
    tick = next(ticks(schedule, after), None)
    return None if tick is None else put_off(schedule, name, tick)


def follow(schedule: Schedule, name: str, before: Followed, now: datetime, *, running: str | None) -> Followed:
    """Settle the ticks that have come since `before`; `running` is the session of the policy that has not ended.

    Missed ticks follow the rule `missed`, and what makes up for them waits for the running session, whatever `overlap`
    says: that rule is for a tick that was seen in time. A session may be made of the first one owed when none runs.
    """
    is_run_all = schedule.missed is Missed.RUN_ALL
    room = MOST_OWED - len(before.owed) if is_run_all else MOST_SEEN
    moments = takewhile(lambda tick: put_off(schedule, name, tick) <= now, ticks(schedule, before.seen))
    come, is_all = list(islice(moments, room)), next(moments, None) is None
    if not come:
        return Followed(before.seen, before.owed)
    last = come[-1]
    is_punctual = is_all and now - put_off(schedule, name, last) <= PUNCTUAL
    missed = come[:-1] if is_punctual else come
    if not is_all and not is_run_all:
        # There are more, which the next look settles together with these.
        return Followed(last, before.owed, f"{_told(missed)} missed")
    if not missed:
        return _in_time(schedule, before.owed, last, running)
    if is_run_all:
        owed = (*before.owed, *come)
        return Followed(last, owed, f"{_told(missed)} missed, each is made up for")
    if schedule.missed is Missed.RUN_ONCE:
        return Followed(last, (last,), f"{_told(missed)} missed, made up for by {_shown(last)}")
    note = f"{_told(missed)} missed, skipped"
    if not is_punctual:
        return Followed(last, before.owed, note)
    followed = _in_time(schedule, before.owed, last, running)
    return Followed(last, followed.owed, f"{note}; {followed.note}" if followed.note else note)


def _in_time(schedule: Schedule, owed: tuple[datetime, ...], tick: datetime, running: str | None) -> Followed:
    """Settle a tick that was seen at its time."""
    if running is None and not owed:
        return Followed(tick, (tick,))
    first = "runs that are owed" if running is None else f"session {running}"
    if schedule.overlap is Overlap.SKIP:
        return Followed(tick, owed, f"{_shown(tick)} left out: {first} came before it")
    waiting = (*owed, tick) if schedule.missed is Missed.RUN_ALL else (tick,)
    return Followed(tick, waiting, f"{_shown(tick)} waits for {first}")


def _told(missed: Sequence[datetime]) -> str:
    if len(missed) == 1:
        return _shown(missed[0])
    return f"{len(missed)} ticks from {_shown(missed[0])} to {_shown(missed[-1])}"


def _shown(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
