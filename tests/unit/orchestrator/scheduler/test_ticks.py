"""When a schedule is due: daylight saving both ways, jitter, what was missed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from orchestrator.scheduler.policy import Schedule
from orchestrator.scheduler.ticks import Due, coming, due, put_off, ticks

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


HOURLY_SEEN = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


def hour(number: int) -> datetime:
    """Return a full hour of the day."""
    return HOURLY_SEEN.replace(hour=number)


@pytest.mark.parametrize(
    ("missed", "minutes", "expected"),
    [
        ("run-once", 59, None),
        ("run-once", 60, Due(run=hour(3), seen=hour(3))),
        ("run-once", 200, Due(run=hour(5), seen=hour(5), was_missed=True)),
        ("run-all", 200, Due(run=hour(3), seen=hour(3), was_missed=True)),
        ("skip", 200, Due(run=None, seen=hour(5))),
        ("skip", 181, Due(run=hour(5), seen=hour(5))),
        ("run-all", 61, Due(run=hour(3), seen=hour(3))),
    ],
)
def test_what_is_due_follows_the_rule_for_missed_ticks(missed: str, minutes: int, expected: Due | None) -> None:
    """Punctual ones run; the others by the rule."""
    schedule = Schedule.model_validate({"cron": "0 * * * *", "missed": missed})

    assert due(schedule, "nightly", HOURLY_SEEN, HOURLY_SEEN + timedelta(minutes=minutes)) == expected
