"""Whose turn it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from orchestrator.fleet.admission import Queue, Vcpus, share

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def queue(session: str, count: int, minutes: int = 0) -> Queue:
    """Return a session that has waited since so many minutes after noon."""
    return Queue(session=session, count=count, since=NOON + timedelta(minutes=minutes))


def test_without_a_limit_everybody_gets_what_it_wants() -> None:
    """No ceiling is configured."""
    assert share([queue("a", 500), queue("b", 5)], {}) == {"a": 500, "b": 5}


def test_a_small_session_does_not_wait_for_a_large_ones_end() -> None:
    """Twenty workers, all with the large one: each that ends goes to the small one until both have as many."""
    large, small = queue("large", 480), queue("small", 5, minutes=10)

    assert share([large, small], {"large": 19}, limit=20) == {"large": 0, "small": 1}
    assert share([large, small], {"large": 10}, limit=20) == {"large": 0 + 5, "small": 5}


def test_of_two_that_have_as_many_the_one_that_waits_longer_is_first() -> None:
    """One worker is free."""
    assert share([queue("late", 3, minutes=1), queue("early", 3)], {}, limit=1) == {"late": 0, "early": 1}


def test_a_limit_of_a_session_holds_beside_that_of_the_account() -> None:
    """The rest is not given to anybody who may not have it."""
    assert share([queue("a", 9), queue("b", 9)], {"a": 2}, limit=20, of_session=4) == {"a": 2, "b": 4}


def test_vcpus_are_shared_as_fairly_as_workers() -> None:
    """The large session came first; it does not take all that is free."""
    large, small = replace(queue("large", 480), vcpus=2), replace(queue("small", 3, minutes=10), vcpus=2)

    assert share([large, small], {}, vcpus=Vcpus(free=8, most=40)) == {"large": 2, "small": 2}


def test_small_workers_do_not_overtake_a_large_one_whose_turn_it_is() -> None:
    """It waits until there is room for it; one that would never fit waits alone."""
    large, small = replace(queue("large", 1), vcpus=16), replace(queue("small", 9, minutes=1), vcpus=2)

    assert share([large, small], {"small": 1}, vcpus=Vcpus(free=8, most=20)) == {"large": 0, "small": 0}
    assert share([large, small], {"small": 1}, vcpus=Vcpus(free=8, most=10)) == {"large": 0, "small": 4}


def test_a_limit_that_was_lowered_below_what_runs_gives_nothing() -> None:
    """Running workers are left alone."""
    assert share([queue("a", 9)], {"b": 30}, limit=20, of_session=3) == {"a": 0}
