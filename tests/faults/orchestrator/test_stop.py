"""A stop at any moment is accepted, ends the session soon, and leaves nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.expectations import assert_nothing_left, record, statuses
from support.fakes.script import Call
from support.scenarios import EVERYWHERE, begin
from support.stage import Stage

from orchestrator.model.status import ResourceStatus

#: From a stop to the session's end, beyond what AWS and an agent take: intents without an answer are looked for.
SOON = timedelta(minutes=6)


@pytest.mark.parametrize(("scenario", "operation"), EVERYWHERE)
def test_a_stop_in_the_middle_of_any_call_is_kept(stage: Stage, scenario: str, operation: str) -> None:
    """The stop comes while the call runs, and again a moment later."""
    session = begin(stage, scenario)
    before, asked = stage.world.script.on_call, []

    def on_call(call: Call) -> None:
        assert before is not None
        before(call)
        if call.operation == operation and len(asked) < 2:
            asked.append(stage.clock.now())
            stage.stop(session)

    stage.world.script.on_call = on_call
    stage.run(session)

    assert asked
    assert stage.clock.now() - asked[0] <= SOON
    assert set(statuses(stage, session)) <= {"success", "stopped"}
    assert_nothing_left(stage, session)


@pytest.mark.parametrize("phase", [status for status in ResourceStatus if not status.is_final])
@pytest.mark.parametrize("scenario", ["backup-backup", "production-restore"])
def test_a_stop_in_any_phase_stops_the_resources_that_are_not_done(
    stage: Stage, scenario: str, phase: ResourceStatus
) -> None:
    """One stop for each status that a resource can show; the teardown goes on."""
    if phase in (ResourceStatus.WAITING_FOR_CAPACITY, ResourceStatus.WAITING_FOR_SOURCE, ResourceStatus.READY):
        pytest.skip("has tests of its own, or is over in no time")
    stage.world.timing.boot = timedelta(seconds=30)
    session = begin(stage, scenario)
    stage.run_until(lambda: phase in statuses(stage, session), look_often=True)

    stage.stop(session)
    stage.run(session)

    done = "success" if phase is ResourceStatus.TEARING_DOWN else "stopped"
    assert done in statuses(stage, session)
    assert_nothing_left(stage, session)


def test_a_stop_reaches_resources_that_wait_for_their_snapshots(stage: Stage) -> None:
    """The snapshots take hours; the stop does not wait for them, and they are deleted."""
    session = begin(stage, "backup-backup")
    stage.world.timing.snapshot = timedelta(hours=5)
    stage.run_until(lambda: statuses(stage, session) == ["waiting-for-source"] * 2)

    stage.stop(session)
    stage.run(session)

    assert statuses(stage, session) == ["stopped"] * 2
    assert record(stage, session)["status"] == "stopped"
    assert_nothing_left(stage, session)


def test_a_stop_reaches_resources_that_wait_for_capacity(stage: Stage) -> None:
    """There is no machine to be had; the stop ends the waiting."""
    session = begin(stage, "backup-backup")
    stage.world.quota["111111111111"] = 0
    stage.run_until(lambda: "launch" in {call.operation for call in stage.world.script.calls})

    stage.stop(session)
    stage.run(session)

    assert statuses(stage, session) == ["stopped"] * 2
    assert_nothing_left(stage, session)


def test_an_agent_that_does_not_obey_is_terminated_all_the_same(stage: Stage) -> None:
    """The agent goes on working; after its two minutes the worker is gone."""
    session = begin(stage, "backup-backup")
    stage.agents.manners.obeys = False
    stage.agents.manners.work = timedelta(hours=2)
    stage.run_until(lambda: statuses(stage, session) == ["running"] * 2)
    asked = stage.clock.now()

    stage.stop(session)
    stage.run(session)

    assert statuses(stage, session) == ["stopped"] * 2
    assert stage.clock.now() - asked < timedelta(minutes=5)
    assert_nothing_left(stage, session)


def test_a_job_that_ends_before_it_sees_the_stop_is_a_success(stage: Stage) -> None:
    """What is done is done."""
    session = begin(stage, "backup-backup")
    stage.agents.manners.obeys = False
    stage.agents.manners.work = timedelta(seconds=40)
    stage.run_until(lambda: statuses(stage, session) == ["running"] * 2)

    stage.stop(session)
    stage.run(session)

    assert statuses(stage, session) == ["success"] * 2
    assert record(stage, session)["status"] == "success"
    assert_nothing_left(stage, session)


def test_a_stop_before_planning_creates_nothing(stage: Stage) -> None:
    """The message that starts the session comes after the stop."""
    session = begin(stage, "backup-backup")

    stage.stop(session)
    stage.run(session)

    assert statuses(stage, session) == ["stopped"] * 2
    assert record(stage, session)["receipt"]["created"] == []
    assert_nothing_left(stage, session)


def test_a_stop_after_the_end_changes_nothing(stage: Stage) -> None:
    """Neither the status nor anything in the record, however often it is asked."""
    session = begin(stage, "backup-backup")
    stage.run(session)
    before = record(stage, session)

    stage.stop(session)
    stage.stop(session)
    stage.elapse(timedelta(minutes=5))

    assert record(stage, session) == before
    assert before["status"] == "success"
    assert_nothing_left(stage, session)
