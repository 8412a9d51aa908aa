"""How long EC2's own limits make a launch take."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrator.preflight.estimate import launch_calls, launch_span


@pytest.mark.parametrize(
    ("workers", "seconds"),
    [(1, 0), (500, 0), (501, 0.5), (1000, 2.5), (2000, 500)],
)
def test_batches_of_a_hundred_are_launched_within_the_documented_buckets(workers: int, seconds: float) -> None:
    """The table of the launch research: 2.5 s for a thousand; above, the bucket of instances decides."""
    calls = launch_calls([workers], batch=100)

    assert launch_span(calls, workers) == timedelta(seconds=seconds)


def test_one_by_one_a_thousand_take_minutes() -> None:
    """What a launch of one worker a call would take."""
    assert launch_span(1000, 1000) == timedelta(seconds=497.5)


def test_each_spec_needs_calls_of_its_own() -> None:
    """Workers that differ cannot share a call."""
    assert launch_calls([1, 1, 150], batch=100) == 4
