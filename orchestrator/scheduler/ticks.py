"""When a schedule is due: pure, in aware times. Nothing here knows a ledger or the present time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim

from orchestrator.scheduler.policy import Schedule

#: A tick that is this late was missed: nobody was there to see it.
PUNCTUAL = timedelta(minutes=2)

#: After an outage no more ticks than these are looked at in one pass.
MOST = 1000


@dataclass(frozen=True)
class Due:
    """What is to be done now: run `run` if there is one; everything up to `seen` is settled with it.

    `was_missed` says that the run is one to make up for.
    """

    run: datetime | None
    seen: datetime
    was_missed: bool = False


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


def due(schedule: Schedule, name: str, seen: datetime, now: datetime) -> Due | None:
    """Return what is to be done for the ticks after `seen` that have come by now; None when none has.

    Of ticks that are still punctual the latest runs. Missed ones: `skip` runs none of them, `run-once` one for all,
    `run-all` each, the oldest first.
    """
    come = list(islice(takewhile(lambda tick: put_off(schedule, name, tick) <= now, ticks(schedule, seen)), MOST))
    if not come:
        return None
    missed = [tick for tick in come if now - put_off(schedule, name, tick) > PUNCTUAL]
    if missed and schedule.missed == "run-all":
        return Due(run=missed[0], seen=missed[0], was_missed=True)
    if schedule.missed == "skip" and len(missed) == len(come):
        return Due(run=None, seen=come[-1])
    return Due(run=come[-1], seen=come[-1], was_missed=len(missed) == len(come))
