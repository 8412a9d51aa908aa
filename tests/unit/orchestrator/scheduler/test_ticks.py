"""When a schedule is due: daylight saving both ways, jitter, what was missed, what finds a session running."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings, strategies as st

from orchestrator.scheduler.policy import Missed, Overlap, Schedule
from orchestrator.scheduler.ticks import MOST_OWED, Followed, coming, follow, put_off, ticks

BERLIN = ZoneInfo("Europe/Berlin")


def berlin(cron: str, after: datetime, count: int) -> list[str]:
    """Return the next ticks of a schedule in Berlin as its clocks show them, with their distance to UTC."""
    found = islice(ticks(Schedule(cron=cron, timezone="Europe/Berlin"), after), count)
    return [moment.astimezone(BERLIN).strftime("%d %H:%M %z") for moment in found]


def test_a_time_of_day_stays_a_time_of_day() -> None:
    """Two in the morning is two in the morning in summer and in winter."""
    assert berlin("0 4 * * *", datetime(2026, 10, 24, 12, tzinfo=UTC), 2) == ["25 04:00 +0100", "26 04:00 +0100"]
    assert berlin("0 4 * * *", datetime(2026, 3, 27, 12, tzinfo=UTC), 2) == ["28 04:00 +0100", "29 04:00 +0200"]


def test_a_time_that_daylight_saving_skips_runs_when_the_clock_has_moved_on() -> None:
    """On 29 March 2026 there is no half past two."""
    assert berlin("30 2 * * *", datetime(2026, 3, 28, 12, tzinfo=UTC), 2) == ["29 03:00 +0200", "30 02:30 +0200"]


def test_a_time_that_comes_twice_runs_once() -> None:
    """On 25 October 2026 half past two comes twice: the first one counts, wherever one begins to look."""
    assert berlin("30 2 * * *", datetime(2026, 10, 24, 12, tzinfo=UTC), 2) == ["25 02:30 +0200", "26 02:30 +0100"]
    between = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)
    assert berlin("30 2 * * *", between, 1) == ["26 02:30 +0100"]


def test_steps_run_on_through_both_changes() -> None:
    """Every half an hour is every half an hour."""
    autumn = berlin("*/30 * * * *", datetime(2026, 10, 25, 0, 0, tzinfo=UTC), 4)
    assert autumn == ["25 02:30 +0200", "25 02:00 +0100", "25 02:30 +0100", "25 03:00 +0100"]
    spring = berlin("*/30 * * * *", datetime(2026, 3, 29, 0, 15, tzinfo=UTC), 3)
    assert spring == ["29 01:30 +0100", "29 03:00 +0200", "29 03:30 +0200"]


def test_a_moment_is_not_later_than_itself() -> None:
    """The tick that has been seen does not come again."""
    assert berlin("0 2 * * *", datetime(2026, 11, 23, 1, 0, tzinfo=UTC), 1) == ["24 02:00 +0100"]


@given(
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]),
    cron=st.sampled_from(["30 2 * * *", "*/15 * * * *", "0 */3 * * *", "15 1,2,3 * * 0", "59 23 * * *"]),
    after=st.integers(0, 365 * 24 * 60).map(
        lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    ),
)
def test_ticks_are_later_and_later(zone: str, cron: str, after: datetime) -> None:
    """Whatever the zone and its changes; and looking again after each gives the same line."""
    schedule = Schedule(cron=cron, timezone=zone)

    line = list(islice(ticks(schedule, after), 6))

    assert all(one < other for one, other in zip([after, *line], line, strict=False))
    again = [next(ticks(schedule, one)) for one in [after, *line[:-1]]]
    assert again == line


def test_jitter_is_the_same_for_the_same_tick_and_within_its_bound() -> None:
    """Policies of different names spread."""
    schedule = Schedule(cron="0 2 * * *", jitter=600)
    tick = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)

    spread = {put_off(schedule, f"policy-{number}", tick) - tick for number in range(50)}

    assert put_off(schedule, "a", tick) == put_off(schedule, "a", tick)
    assert all(timedelta(0) <= one <= timedelta(seconds=600) for one in spread)
    assert len(spread) > 25
    assert coming(schedule, "a", tick - timedelta(hours=1)) == put_off(schedule, "a", tick)


SEEN = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


def hour(number: int) -> datetime:
    """Return a full hour of the day."""
    return SEEN.replace(hour=number)


#: rule for missed ticks, minutes since the last look, the hours of which sessions are owed then
MISSED: list[tuple[str, int, list[int]]] = [
    ("run-once", 59, []),
    ("run-once", 60, [3]),
    ("run-once", 61, [3]),
    ("run-once", 63, [3]),
    ("run-once", 200, [5]),
    ("run-once", 181, [5]),
    ("run-all", 61, [3]),
    ("run-all", 63, [3]),
    ("run-all", 181, [3, 4, 5]),
    ("run-all", 200, [3, 4, 5]),
    ("skip", 61, [3]),
    ("skip", 63, []),
    ("skip", 200, []),
    ("skip", 181, [5]),
]


@pytest.mark.parametrize("overlap", ["skip", "queue"])
@pytest.mark.parametrize(("missed", "minutes", "hours"), MISSED)
def test_what_is_owed_follows_the_rule_for_missed_ticks(
    missed: str, minutes: int, hours: list[int], overlap: str
) -> None:
    """The latest tick is punctual for two minutes; of several that have come the earlier ones are missed."""
    schedule = Schedule.model_validate({"cron": "0 * * * *", "missed": missed, "overlap": overlap})

    followed = follow(schedule, "nightly", Followed(SEEN), SEEN + timedelta(minutes=minutes), running=None)

    assert followed.owed == tuple(map(hour, hours))
    assert followed.seen == hour(2 + minutes // 60)
    assert (followed.note is None) == (len(hours) <= 1 and minutes in (59, 60, 61))


#: rules, minutes since the last look, what was owed before, the hours of what is owed then; a session runs meanwhile
RUNNING: list[tuple[str, str, int, list[int], list[int]]] = [
    # seen in time: left out, or one that waits, or with run-all each
    ("run-once", "skip", 60, [], []),
    ("run-once", "queue", 60, [], [3]),
    ("run-once", "queue", 60, [2], [3]),
    ("run-all", "skip", 60, [1, 2], [1, 2]),
    ("run-all", "queue", 60, [1, 2], [1, 2, 3]),
    ("skip", "queue", 60, [2], [3]),
    # missed: what makes up for it waits, whatever becomes of ticks seen in time
    ("run-once", "skip", 200, [], [5]),
    ("run-once", "queue", 200, [2], [5]),
    ("run-all", "skip", 200, [2], [2, 3, 4, 5]),
    ("skip", "skip", 200, [], []),
    ("skip", "skip", 181, [], []),
    ("skip", "queue", 181, [], [5]),
    ("skip", "queue", 200, [2], [2]),
]


@pytest.mark.parametrize(("missed", "overlap", "minutes", "before", "hours"), RUNNING)
def test_a_running_session_is_waited_for_or_leaves_the_tick_out(
    missed: str, overlap: str, minutes: int, before: list[int], hours: list[int]
) -> None:
    """And somebody can read which session it was."""
    schedule = Schedule.model_validate({"cron": "0 * * * *", "missed": missed, "overlap": overlap})
    owed = tuple(map(hour, before))

    followed = follow(schedule, "nightly", Followed(SEEN, owed), SEEN + timedelta(minutes=minutes), running="s-1")

    assert followed.owed == tuple(map(hour, hours))
    assert followed.note is not None
    assert ("s-1" in followed.note) == (minutes in (60, 181))


def test_looking_without_a_new_tick_forgets_nothing() -> None:
    """What is owed stays owed."""
    schedule = Schedule(cron="0 * * * *")
    before = Followed(hour(5), (hour(4),))

    assert follow(schedule, "nightly", before, hour(5) + timedelta(minutes=5), running="s-1") == before


def test_an_outage_of_many_ticks_owes_a_bounded_number_at_a_time() -> None:
    """The others are looked at when there is room, and none is lost."""
    schedule = Schedule(cron="* * * * *", missed=Missed.RUN_ALL)
    now = SEEN + timedelta(minutes=MOST_OWED + 500)

    first = follow(schedule, "nightly", Followed(SEEN), now, running=None)
    full = follow(schedule, "nightly", first, now, running="s-1")
    second = follow(schedule, "nightly", Followed(first.seen, first.owed[700:]), now, running=None)

    assert (len(first.owed), first.owed[0]) == (MOST_OWED, SEEN + timedelta(minutes=1))
    assert full.owed == first.owed
    assert second.owed == tuple(SEEN + timedelta(minutes=number) for number in range(701, MOST_OWED + 501))


@pytest.mark.parametrize("rule", ["run-once", "skip"])
def test_an_outage_of_months_is_settled_in_several_looks(monkeypatch: pytest.MonkeyPatch, rule: str) -> None:
    """And is one run, or none, all the same."""
    monkeypatch.setattr("orchestrator.scheduler.ticks.MOST_SEEN", 1000)
    schedule = Schedule.model_validate({"cron": "* * * * *", "missed": rule})
    now = SEEN + timedelta(minutes=4000, seconds=150)
    looks = [Followed(SEEN)]

    while (latest := follow(schedule, "nightly", looks[-1], now, running=None)) != looks[-1]:
        looks.append(Followed(latest.seen, latest.owed))

    last = SEEN + timedelta(minutes=4002)
    assert looks[-1] == Followed(last, (last,))
    assert [one.owed for one in looks[:-1]] == [()] * 5


@settings(deadline=None, max_examples=50)
@given(
    missed=st.sampled_from(list(Missed)),
    overlap=st.sampled_from(list(Overlap)),
    jitter=st.sampled_from([0, 90]),
    looks=st.lists(st.tuples(st.integers(1, 900), st.booleans()), max_size=25),
)
def test_whoever_looks_whenever_runs_each_tick_at_most_once(
    missed: Missed, overlap: Overlap, jitter: int, looks: list[tuple[int, bool]]
) -> None:
    """In order, never before its time, never while another one runs; and run-all with queue runs all of them."""
    schedule = Schedule(cron="*/2 * * * *", missed=missed, overlap=overlap, jitter=jitter)
    now, state, ran = SEEN, Followed(SEEN), list[datetime]()

    for pause, is_running in [*looks, *[(60, False)] * 10]:
        now += timedelta(seconds=pause)
        before, state = state, follow(schedule, "nightly", state, now, running="s-1" if is_running else None)
        assert state.seen >= before.seen
        if state.owed and not is_running:
            assert put_off(schedule, "nightly", state.owed[0]) <= now
            ran.append(state.owed[0])
            state = Followed(state.seen, state.owed[1:])

    assert ran == sorted(set(ran))
    if (missed, overlap) == (Missed.RUN_ALL, Overlap.QUEUE):
        assert ran == list(takewhile(lambda tick: tick <= ran[-1], ticks(schedule, SEEN)))
