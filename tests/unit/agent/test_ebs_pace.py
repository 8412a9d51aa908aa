"""The pace falls when AWS throttles and grows back, and never goes above its cap."""

from __future__ import annotations

import pytest

from agent.ebs import Retries
from agent.ebs_pace import Pace


class Time:
    """A clock that waiting moves."""

    def __init__(self) -> None:
        """Begin at zero."""
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


def test_calls_are_spread_at_the_cap() -> None:
    """A hundred calls at ten a second take ten seconds, but for a short beginning."""
    time = Time()
    pace = Pace(10, pause=time.pause, clock=time)

    for _ in range(100):
        pace.take()

    assert time.now == pytest.approx(9.9, abs=0.2)


def test_an_idle_time_does_not_become_a_burst() -> None:
    """What was not used is not saved up."""
    time = Time()
    pace = Pace(10, pause=time.pause, clock=time)
    time.now += 3600

    for _ in range(100):
        pace.take()

    assert time.now - 3600 > 9.5


def test_throttling_halves_the_rate_once_for_a_burst() -> None:
    """Thirty-two threads that are refused together are one event; a second later it is another."""
    time = Time()
    pace = Pace(400, pause=time.pause, clock=time)

    for _ in range(32):
        pace.throttled()
    once = pace.rate
    time.now += 1.5
    pace.throttled()

    assert (once, pace.rate) == (200, 100)


def test_the_rate_grows_back_to_the_cap_in_twenty_seconds_of_success() -> None:
    """A twentieth of the cap in each second, whatever the rate."""
    time = Time()
    pace = Pace(100, pause=time.pause, clock=time)
    for _ in range(20):
        pace.throttled()
        time.now += 2
    slow = pace.rate
    began = time.now

    while pace.rate < 100:
        pace.take()
        pace.succeeded()

    assert slow == 5
    assert time.now - began == pytest.approx(19, abs=1.5)
    pace.succeeded()
    assert pace.rate == 100


def test_pauses_between_attempts_double_up_to_a_limit_and_have_jitter() -> None:
    """From anything to nothing below it, so that many workers do not come back together."""
    retries = Retries(first=0.2, most=10)

    assert [retries.pause(attempt, 1.0) for attempt in (1, 2, 3, 6, 7, 40)] == pytest.approx(
        [0.2, 0.4, 0.8, 6.4, 10, 10]
    )
    assert retries.pause(3, 0.0) == 0


def test_many_workers_that_begin_at_their_share_press_no_harder_than_one() -> None:
    """A hundred that began at a hundredth grow together as fast as one alone."""
    time = Time()
    alone, one_of_many = Pace(1000, pause=time.pause, clock=time), Pace(1000, first=10, pause=time.pause, clock=time)
    for pace in (alone, one_of_many):
        pace.throttled()
    grown = []
    for pace, share in ((alone, 1000), (one_of_many, 10)):
        before = pace.rate
        for _ in range(round(before)):
            pace.succeeded()
        grown.append((pace.rate - before) / share)

    assert one_of_many.rate < 10
    assert grown[0] == pytest.approx(grown[1], rel=0.05)


def test_a_small_share_grows_to_the_cap_when_the_others_have_gone() -> None:
    """Within minutes."""
    time = Time()
    pace = Pace(500, first=10, pause=time.pause, clock=time)

    while pace.rate < 500:
        pace.take()
        pace.succeeded()

    assert 60 < time.now < 120
