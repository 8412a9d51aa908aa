"""Two beats as processes, with a clock in the test's hand: the sessions are exactly those that a policy's rules say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.beats import Beat, look
from support.clock import FakeClock
from support.desk import REGISTRY

from orchestrator.ledger import registry, sessions
from orchestrator.ledger.store import Ledger
from orchestrator.model.account import Registry
from orchestrator.model.status import SessionStatus
from orchestrator.scheduler import asking
from orchestrator.scheduler.policy import read_policy

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
TWO = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def beats() -> Iterator[list[Beat]]:
    """Two processes."""
    made = [Beat(), Beat()]
    yield made
    for one in made:
        one.kill()


@pytest.fixture(autouse=True)
def registered(ledger: Ledger) -> None:
    """Accounts and a repository."""
    with ledger.write() as tx:
        registry.apply(tx, Registry.model_validate(REGISTRY))


def apply(ledger: Ledger, name: str, **schedule: Any) -> None:
    """Apply a policy."""
    document = {
        "name": name,
        "operation": "ec2-backup",
        "select": [{"account": "production-a", "region": "eu-west-1", "tags": {"backup": "daily"}}],
        "schedule": schedule,
    }
    asking.apply(ledger, [read_policy(document)])


def end(ledger: Ledger, lasts: Callable[[sessions.Session], timedelta]) -> None:
    """End the sessions that have lasted long enough."""
    with ledger.write() as tx:
        for one in sessions.recent(tx, statuses=[SessionStatus.PENDING], limit=1000):
            if tx.now - one.created_at >= lasts(one):
                sessions.move(tx, one.id, SessionStatus.SUCCESS)


def made(ledger: Ledger) -> dict[str, list[str]]:
    """Return the ticks that became sessions, by policy, in the order in which they began."""
    found: dict[str, list[str]] = defaultdict(list)
    with ledger.read() as tx:
        for one in reversed(sessions.recent(tx, limit=10_000)):
            found[str(one.policy)].append(one.request_id)
    return dict(found)


def moments(start: datetime, stop: datetime, step: timedelta) -> Iterator[datetime]:
    """Yield moments, the last one not later than `stop`."""
    while start <= stop:
        yield start
        start += step


#: minutes past two that become sessions of a policy of every minute, in the order in which they begin.
#: The session of 02:02 lasts until 02:04:10, all others for 30 seconds. Nobody looks after 02:06:00 until 02:09:20.
OUTAGE: dict[str, list[int]] = {
    # 3 and 4 find 2 running and are left out; 7 and 8 are missed, 9 is seen 20 seconds late
    "skip.skip": [1, 2, 5, 6, 9, 10, 11, 12],
    "run-once.skip": [1, 2, 5, 6, 9, 10, 11, 12],
    # each of the missed runs, so 10 finds one running
    "run-all.skip": [1, 2, 5, 6, 7, 8, 9, 11, 12],
    # 3 and 4 wait: one run for both
    "skip.queue": [1, 2, 4, 5, 6, 9, 10, 11, 12],
    "run-once.queue": [1, 2, 4, 5, 6, 9, 10, 11, 12],
    # none is ever lost
    "run-all.queue": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
}

#: The same, where the session of 02:06 lasts through the outage and until 02:10:25.
LONG: dict[str, list[int]] = {
    "skip.skip": [1, 2, 5, 6, 11, 12],
    # 9 stands for all that was missed and waits for 6; 10 was seen in time and is left out
    "run-once.skip": [1, 2, 5, 6, 9, 11, 12],
    "run-all.skip": [1, 2, 5, 6, 7, 8, 9, 12],
    "skip.queue": [1, 2, 4, 5, 6, 10, 11, 12],
    "run-once.queue": [1, 2, 4, 5, 6, 10, 11, 12],
    "run-all.queue": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
}

#: A policy whose only tick is that of 02:07: nobody sees it for more than two minutes.
ONCE: dict[str, list[int]] = {
    "skip.skip": [], "run-once.skip": [7], "run-all.skip": [7],
    "skip.queue": [], "run-once.queue": [7], "run-all.queue": [7],
}  # fmt: skip


def lasts(one: sessions.Session) -> timedelta:
    """Return how long a session of these policies runs."""
    name, minute = str(one.policy), one.request_id[14:16]
    if minute == "02":
        return 2 * MINUTE + 10 * SECOND
    return 4 * MINUTE + 25 * SECOND if (name[:4], minute) == ("long", "06") else 30 * SECOND


def test_an_outage_of_three_minutes_makes_the_sessions_that_the_rules_say(
    ledger: Ledger, database: str, clock: FakeClock, beats: list[Beat]
) -> None:
    """Every rule for missed ticks with every rule for overlapping ones; two beats, killed, and two others after it."""
    clock.set(TWO + 30 * SECOND)
    for rules in OUTAGE:
        missed, overlap = rules.split(".")
        apply(ledger, f"short.{rules}", cron="* * * * *", missed=missed, overlap=overlap)
        apply(ledger, f"long.{rules}", cron="* * * * *", missed=missed, overlap=overlap)
        apply(ledger, f"once.{rules}", cron="7 * * * *", missed=missed, overlap=overlap)

    def live(start: datetime, stop: datetime) -> int:
        count = 0
        for now in moments(start, stop, 10 * SECOND):
            clock.set(now)
            end(ledger, lasts)
            count += look(beats, database, now)
        return count

    count = live(TWO + 40 * SECOND, TWO + 6 * MINUTE)
    for one in beats:
        one.start_again()
    count += live(TWO + 9 * MINUTE + 20 * SECOND, TWO + 12 * MINUTE + 20 * SECOND)

    expected = {
        f"{kind}.{rules}": [f"2026-11-23T02:{minute:02}:00.000Z" for minute in minutes]
        for kind, table in (("short", OUTAGE), ("long", LONG), ("once", ONCE))
        for rules, minutes in table.items()
        if minutes
    }
    assert made(ledger) == expected
    assert count == sum(map(len, expected.values()))


def test_a_beat_that_is_killed_in_the_middle_of_a_look_costs_no_tick(
    ledger: Ledger, database: str, clock: FakeClock, beats: list[Beat]
) -> None:
    """Killed at once after it was told the time: the other one makes the session, or finds it made."""
    clock.set(TWO + 30 * SECOND)
    apply(ledger, "nightly", cron="* * * * *")

    victim, survivor = beats
    for minute in (1, 2):
        now = TWO + minute * MINUTE
        victim.tell(database, now)
        survivor.tell(database, now)
        victim.start_again()
        survivor.made()
        clock.set(now)
        end(ledger, lambda _: timedelta(0))

    assert made(ledger) == {"nightly": ["2026-11-23T02:01:00.000Z", "2026-11-23T02:02:00.000Z"]}


def test_clocks_that_are_five_minutes_wrong_cost_no_tick_and_make_none_twice(
    ledger: Ledger, database: str, clock: FakeClock, beats: list[Beat]
) -> None:
    """One is fast, one is slow; then the fast one dies and the slow one goes on where it was."""
    clock.set(TWO + 30 * SECOND)
    apply(ledger, "nightly", cron="* * * * *", missed="run-all", overlap="queue")

    fast, slow = (beats[0], 5 * MINUTE), (beats[1], -5 * MINUTE)

    for now in moments(TWO + MINUTE, TWO + 25 * MINUTE, 20 * SECOND):
        looking = [fast, slow] if now <= TWO + 10 * MINUTE else [slow]
        look([one for one, _ in looking], database, now, [skew for _, skew in looking])
        clock.set(now + 5 * MINUTE)
        end(ledger, lambda _: timedelta(0))

    assert made(ledger) == {"nightly": [f"2026-11-23T02:{minute:02}:00.000Z" for minute in range(1, 21)]}


@pytest.mark.parametrize(
    ("night", "time_of_day"),
    [
        # there is no half past two: it runs when the clock has moved on
        (datetime(2026, 3, 29, tzinfo=UTC), "01:00"),
        # half past two comes twice: the first one runs
        (datetime(2026, 10, 25, tzinfo=UTC), "00:30"),
    ],
)
def test_daylight_saving_makes_no_run_twice_and_none_less(
    ledger: Ledger, database: str, clock: FakeClock, beats: list[Beat], night: datetime, time_of_day: str
) -> None:
    """Both nights in Berlin, with two beats; every hour is every hour."""
    clock.set(night - MINUTE)
    apply(ledger, "nightly", cron="30 2 * * *", timezone="Europe/Berlin")
    apply(ledger, "hourly", cron="0 */1 * * *", timezone="Europe/Berlin")

    for now in moments(night, night + timedelta(hours=5), 30 * MINUTE):
        clock.set(now)
        end(ledger, lambda _: timedelta(0))
        look(beats, database, now)

    found = made(ledger)
    assert [one[11:16] for one in found["nightly"]] == [time_of_day]
    assert [one[11:16] for one in found["hourly"]] == [f"{hour:02}:00" for hour in range(6)]
