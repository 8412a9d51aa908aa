"""Statuses and the rule by which a session's follows from its resources'."""

from __future__ import annotations

import itertools

import pytest

from orchestrator.model.status import (
    RESOURCE_STEPS,
    ResourceStatus,
    SessionStatus,
    Step,
    is_past,
    may_follow,
    next_step,
    session_outcome,
)

R, S = ResourceStatus, SessionStatus


@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [
        ([], S.WARNING),
        ([R.SUCCESS], S.SUCCESS),
        ([R.SKIPPED], S.SUCCESS),
        ([R.SUCCESS, R.SKIPPED], S.SUCCESS),
        ([R.WARNING], S.WARNING),
        ([R.SUCCESS, R.WARNING], S.WARNING),
        ([R.FAILED], S.FAILED),
        ([R.FAILED, R.SKIPPED], S.FAILED),
        ([R.FAILED, R.STOPPED], S.FAILED),
        ([R.FAILED, R.SUCCESS], S.WARNING),
        ([R.FAILED, R.WARNING], S.WARNING),
        ([R.STOPPED], S.STOPPED),
        ([R.STOPPED, R.SUCCESS], S.STOPPED),
        ([R.STOPPED, R.SUCCESS, R.FAILED], S.STOPPED),
        ([R.STOPPED, R.SKIPPED], S.STOPPED),
    ],
)
def test_a_sessions_status_follows_from_its_resources(statuses: list[R], outcome: S) -> None:
    """OPERATIONS section 4."""
    assert session_outcome(statuses) == outcome


def test_every_set_of_final_statuses_has_a_final_outcome() -> None:
    """Order and number do not matter."""
    final = [status for status in R if status.is_final]
    for size in range(len(final) + 1):
        for some in itertools.permutations(final, size):
            assert session_outcome(some).is_final
            assert session_outcome(some) == session_outcome([*reversed(some), *some])


def test_nothing_follows_a_final_status() -> None:
    """Not even itself."""
    for before, after in itertools.product(R, R):
        assert may_follow(before, after) == (not before.is_final)
    for before, after in itertools.product([one for one in S if one.is_final], S):
        assert not may_follow(before, after)


def test_sessions_only_go_forward() -> None:
    """A session that is stopping does not run again."""
    assert may_follow(S.PENDING, S.RUNNING)
    assert may_follow(S.RUNNING, S.STOPPING)
    assert not may_follow(S.STOPPING, S.RUNNING)
    assert not may_follow(S.RUNNING, S.PENDING)


def test_steps_follow_each_other_in_the_order_of_the_chain() -> None:
    """Four links of a resource, two of a session."""
    assert [next_step(step) for step in RESOURCE_STEPS] == [*RESOURCE_STEPS[1:], Step.DONE]
    assert (next_step(Step.START), next_step(Step.RELEASE)) == (Step.RELEASE, Step.DONE)
    assert is_past(Step.TEARDOWN, Step.RUN_JOB)
    assert not is_past(Step.RUN_JOB, Step.RUN_JOB)
