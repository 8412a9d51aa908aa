"""Two of everything: messages delivered twice, one after the other and at the same time; messages that never come."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.expectations import assert_nothing_left, statuses
from support.scenarios import SCENARIOS, begin
from support.stage import Stage

from orchestrator.ledger import journal

EACH = pytest.mark.parametrize("scenario", SCENARIOS)

#: Calls that make something, once for each resource or once for each session.
ONCE = ("create_role", "make_snapshots", "start_snapshot", "make_volume", "launch", "delete_role")


def made(stage: Stage) -> dict[str, int]:
    """Count the calls that make something."""
    return {call: stage.world.script.count(call) for call in ONCE if stage.world.script.count(call)}


@EACH
def test_a_second_delivery_of_every_message_does_nothing(stage: Stage, scenario: str) -> None:
    """Each message comes twice in a row."""
    stage.twice = True
    session = begin(stage, scenario)

    stage.run(session)

    assert statuses(stage, session) == ["success"] * 2
    assert_nothing_left(stage, session)
    assert made(stage) == made_once(scenario)


@EACH
def test_everything_at_the_same_time_does_nothing_twice(stage: Stage, scenario: str) -> None:
    """In the middle of each call the same message comes again, and watch, reconcile and the listener run."""
    stage.nested = True
    session = begin(stage, scenario)

    stage.run(session)

    assert statuses(stage, session) == ["success"] * 2
    assert_nothing_left(stage, session)
    assert made(stage) == made_once(scenario)


@EACH
def test_a_session_is_released_once_when_chord_and_reconciler_come_together(stage: Stage, scenario: str) -> None:
    """Release has one effect: one end in the log, one removal of the role."""
    stage.nested = stage.twice = True
    session = begin(stage, scenario)

    stage.run(session)

    with stage.ledger.read() as tx:
        lines = [line.text for line in journal.read(tx, session)]
    assert sum(line.startswith("session ended") for line in lines) == 1
    assert sum("removed" in line for line in lines) == (1 if scenario.startswith("backup") else 0)


@EACH
def test_a_queue_that_is_emptied_again_and_again_loses_nothing(stage: Stage, scenario: str) -> None:
    """Every message that waits longer than a moment is lost."""
    session = begin(stage, scenario)

    def lose() -> bool:
        stage.messages.clear()
        return stage.session(session).status.is_final

    stage.messages.clear()
    stage.run_until(lose)

    assert statuses(stage, session) == ["success"] * 2
    assert_nothing_left(stage, session)


@EACH
def test_a_chord_that_never_calls_back_is_released_by_the_reconciler(stage: Stage, scenario: str) -> None:
    """The callback does not come."""
    stage.chord = False
    session = begin(stage, scenario)

    stage.run(session)

    assert statuses(stage, session) == ["success"] * 2
    assert_nothing_left(stage, session)


@EACH
def test_a_broker_that_is_away_delays_and_breaks_nothing(stage: Stage, scenario: str) -> None:
    """Again and again nothing can be published for a while."""
    session = begin(stage, scenario)
    for _ in range(8):
        stage.dispatch.is_down = True
        stage.elapse(timedelta(seconds=20))
        stage.dispatch.is_down = False
        stage.elapse(timedelta(seconds=20))

    stage.run(session)

    assert statuses(stage, session) == ["success"] * 2
    assert_nothing_left(stage, session)


def made_once(scenario: str) -> dict[str, int]:
    """Return how often a session of two resources may make something."""
    of_mode = {"create_role": 1, "delete_role": 1, "launch": 1} if scenario.startswith("backup") else {"launch": 2}
    of_job = {"make_snapshots": 2} if scenario.endswith("backup") else {"start_snapshot": 3, "make_volume": 3}
    return {**of_mode, **of_job}
