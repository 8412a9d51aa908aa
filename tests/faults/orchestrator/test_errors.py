"""Each class of error, at each call, in each kind of session: it ends, and nothing is left."""

from __future__ import annotations

import pytest
from support.expectations import assert_nothing_left, statuses
from support.scenarios import EVERYWHERE, begin
from support.stage import Stage

from orchestrator.errors import AccessDenied, Ambiguous, CloudError, Throttled

#: Calls whose refusal for good cannot be the end of the session's resources: removal is tried again.
REMOVALS = frozenset(
    {
        "terminate",
        "workers",
        "absent",
        "absent_snapshot",
        "keys",
        "remove_role_from_profile",
        "delete_profile",
        "delete_role_policy",
        "delete_role",
        "temporary_names",
    }
)
RETRYABLE = [Throttled("Rate exceeded"), Ambiguous("no answer")]


@pytest.mark.parametrize("error", RETRYABLE, ids=["throttled", "no-answer"])
@pytest.mark.parametrize(("scenario", "operation"), EVERYWHERE)
def test_refusals_for_a_while_cost_time_and_nothing_else(
    stage: Stage, scenario: str, operation: str, error: CloudError
) -> None:
    """Three calls in a row have no effect."""
    session = begin(stage, scenario)
    stage.world.script.fail(operation, error, times=3)

    stage.run(session)

    assert statuses(stage, session) == ["success"] * 2
    assert_nothing_left(stage, session)


@pytest.mark.parametrize(("scenario", "operation"), EVERYWHERE)
def test_a_lost_answer_leads_to_nothing_twice(stage: Stage, scenario: str, operation: str) -> None:
    """The first call and the third have their effect, and their answers are lost."""
    session = begin(stage, scenario)
    stage.world.script.fail(operation, Ambiguous("no answer"), after=True)
    stage.world.script.fail(operation, Ambiguous("no answer"), nth=3, after=True)

    stage.run(session)

    assert statuses(stage, session) == ["success"] * 2
    assert_nothing_left(stage, session)


@pytest.mark.parametrize(("scenario", "operation"), EVERYWHERE)
def test_a_refusal_fails_what_it_concerns_and_leaves_nothing(stage: Stage, scenario: str, operation: str) -> None:
    """One call is refused for good: at most what it was for fails, with the reason that AWS gave."""
    session = begin(stage, scenario)
    stage.world.script.fail(operation, AccessDenied("no right"))

    stage.run(session)

    if operation in REMOVALS:
        assert statuses(stage, session) == ["success"] * 2
    assert all(one.reason is None or "no right" in one.reason for one in stage.resources(session))
    assert_nothing_left(stage, session)


@pytest.mark.parametrize(("scenario", "operation"), EVERYWHERE)
def test_a_mistake_of_our_own_is_tried_again_and_leaves_nothing(stage: Stage, scenario: str, operation: str) -> None:
    """Calls raise what no adapter should raise."""
    session = begin(stage, scenario)
    stage.world.script.fail(operation, KeyError("a mistake"), times=2)

    stage.run(session)

    assert statuses(stage, session) == ["success"] * 2
    assert_nothing_left(stage, session)
