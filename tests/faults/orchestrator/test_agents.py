"""Agents that are silent, crash, lie, or speak before anybody expects them to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from support.expectations import assert_nothing_left, record, statuses
from support.install import install
from support.scenarios import begin
from support.stage import Stage

from agent.protocol import JobResult, result_key
from orchestrator.errors import Ambiguous
from orchestrator.services import Deadlines

FALSE = JobResult(outcome="success", detail={"restorePoint": "rp-false"})


def lives(stage: Stage) -> list:  # type: ignore[type-arg]
    """Return the agents' memories, the oldest first."""
    return list(stage.agents.lives.values())


def ordered(stage: Stage) -> bool:
    """Whether two agents have their orders."""
    return len(lives(stage)) == 2 and all(life.order is not None for life in lives(stage))


def reasons(stage: Stage, session: str) -> str:
    """Return all reasons in one text."""
    return " | ".join(one.reason or "" for one in stage.resources(session))


def test_an_agent_that_never_reports_is_given_up_after_its_boot_time(stage: Stage) -> None:
    """The instance runs and nothing is heard of it."""
    session = begin(stage, "backup-backup")
    stage.agents.manners.boots = False

    stage.run(session)

    assert statuses(stage, session) == ["failed"] * 2
    assert "did not report within 0:05:00" in reasons(stage, session)
    assert_nothing_left(stage, session)


def test_an_agent_that_falls_silent_at_work_is_given_up_after_two_minutes(stage: Stage) -> None:
    """It reads its order and is not heard of again."""
    session = begin(stage, "backup-backup")
    stage.agents.manners.silent_at_work = True
    stage.run_until(lambda: ordered(stage))
    silent = stage.clock.now()

    stage.run(session)

    assert statuses(stage, session) == ["failed"] * 2
    assert "was not heard of for 0:02:00" in reasons(stage, session)
    assert stage.clock.now() - silent < timedelta(minutes=6)
    assert_nothing_left(stage, session)


def test_a_worker_that_dies_at_work_fails_its_resource_at_once(stage: Stage) -> None:
    """The instance shuts down in the middle of its job."""
    session = begin(stage, "backup-backup")
    stage.agents.manners.dies_at_work = True
    stage.run_until(lambda: ordered(stage))
    dead = stage.clock.now()

    stage.run(session)

    assert "before its job ended" in reasons(stage, session)
    assert stage.clock.now() - dead < timedelta(minutes=4)
    assert_nothing_left(stage, session)


def test_a_long_job_is_waited_for_as_long_as_its_agent_reports(stage: Stage) -> None:
    """An hour of progress reports, far longer than any silence is borne."""
    session = begin(stage, "production-backup")
    stage.agents.manners.work, stage.agents.manners.heartbeat = timedelta(hours=1), timedelta(minutes=1)

    stage.run(session)

    assert statuses(stage, session) == ["success"] * 2
    assert_nothing_left(stage, session)


def test_a_job_that_never_ends_is_given_up_after_its_deadline(make_stage: Callable[..., Stage]) -> None:
    """It reports and reports."""
    stage = make_stage(install=install(deadlines=Deadlines(job=timedelta(minutes=40))))
    session = begin(stage, "backup-backup")
    stage.agents.manners.work, stage.agents.manners.heartbeat = timedelta(days=9), timedelta(minutes=1)
    begun = stage.clock.now()

    stage.run(session)

    assert "the job did not end within 0:40:00" in reasons(stage, session)
    assert timedelta(minutes=40) < stage.clock.now() - begun < timedelta(minutes=50)
    assert_nothing_left(stage, session)


@pytest.mark.parametrize("lost", ["loses_reports", "loses_object"])
def test_either_the_report_or_the_object_is_enough(stage: Stage, lost: str) -> None:
    """One of the two ways of telling the result does not work."""
    session = begin(stage, "backup-backup")
    setattr(stage.agents.manners, lost, True)
    stage.agents.manners.ends = True

    stage.run(session)

    assert statuses(stage, session) == ["success"] * 2
    assert_nothing_left(stage, session)


def test_a_result_object_is_found_although_the_worker_lives_and_says_nothing(stage: Stage) -> None:
    """No report gets through and the instance does not end."""
    session = begin(stage, "backup-backup")
    stage.agents.manners.loses_reports = True

    stage.run(session)

    assert statuses(stage, session) == ["success"] * 2
    assert_nothing_left(stage, session)


def test_an_agent_that_fails_says_why(stage: Stage) -> None:
    """Reason and remedy of the job are the resource's."""
    session = begin(stage, "backup-backup")
    stage.agents.manners.outcome = "failed"

    stage.run(session)

    shown = record(stage, session)
    assert shown["status"] == "failed"
    assert {(one["reason"], one["remedy"]) for one in shown["resources"]} == {
        ("a block could not be read", "Try again")
    }
    assert_nothing_left(stage, session)


def test_a_warning_of_the_agent_is_the_resources(stage: Stage) -> None:
    """It is done, and something was odd."""
    session = begin(stage, "backup-backup")
    stage.agents.manners.outcome = "warning"

    stage.run(session)

    assert record(stage, session)["status"] == "warning"
    assert reasons(stage, session) == "something was odd | something was odd"
    assert_nothing_left(stage, session)


def test_an_agent_that_could_not_start_says_why_before_it_has_an_order(stage: Stage) -> None:
    """Its result comes with fence 0; it may say that it failed, and nothing else."""
    session = begin(stage, "backup-backup")
    stage.agents.manners.ready = timedelta(hours=1)
    stage.run_until(lambda: len(lives(stage)) == 2)
    for life in lives(stage):
        stage.agents.send(life, "result", result=JobResult(outcome="failed", reason="no disk", remedy="Get one"))

    stage.run(session)

    assert reasons(stage, session) == "no disk | no disk"
    assert_nothing_left(stage, session)


def test_nobody_can_speak_for_another_worker(stage: Stage) -> None:
    """A report whose sender is not the worker it names is dropped, whoever sent it."""
    session = begin(stage, "backup-backup")
    stage.agents.manners.work = timedelta(minutes=3)
    stage.run_until(lambda: ordered(stage))
    first, second = lives(stage)

    true = stage.agents.report(second, "result", result=FALSE)
    second.sequence -= 1
    stage.agents.post(true, first.instance.user_id)
    stage.agents.post(stage.agents.forged(true, user_id=first.instance.user_id), first.instance.user_id)
    stage.agents.post(stage.agents.forged(true, instance_id=first.instance.id), second.instance.user_id)
    stage.agents.post(true, "AROAFOREIGN:i-0123456789abcdef0")
    stage.elapse(timedelta(minutes=1))

    assert statuses(stage, session) == ["running"] * 2
    stage.run(session)
    assert "rp-false" not in str(record(stage, session))
    assert_nothing_left(stage, session)


def test_a_result_under_another_fence_does_not_count(stage: Stage) -> None:
    """An answer to an order that was never given, in the queue and beside the order, and then the true one."""
    session = begin(stage, "backup-backup")
    stage.agents.manners.work = timedelta(minutes=1)
    stage.run_until(lambda: ordered(stage))
    for life in lives(stage):
        wrong = stage.agents.forged(stage.agents.report(life, "result", result=FALSE), fence=life.order.fence + 7)
        stage.agents.post(wrong, life.instance.user_id)
        stage.world.bucket[result_key(session, life.instance.user_id)] = wrong.to_json()
    stage.elapse(timedelta(seconds=20))
    assert statuses(stage, session) == ["running"] * 2

    stage.run(session)

    assert statuses(stage, session) == ["success"] * 2
    assert "rp-false" not in str(record(stage, session))
    assert_nothing_left(stage, session)


def test_a_success_before_any_order_does_not_count(stage: Stage) -> None:
    """Fence 0 is nobody's order."""
    session = begin(stage, "backup-backup")
    stage.agents.manners.work = timedelta(minutes=1)
    stage.run_until(lambda: len(lives(stage)) == 2)
    for life in lives(stage):
        stage.agents.send(life, "result", result=FALSE)

    stage.run(session)

    assert "rp-false" not in str(record(stage, session))
    assert_nothing_left(stage, session)


def test_a_report_that_is_played_again_does_not_count(stage: Stage) -> None:
    """Old numbers are old: a progress report sent again later is no heartbeat."""
    session = begin(stage, "backup-backup")
    stage.agents.manners.silent_at_work = True
    stage.run_until(lambda: ordered(stage))
    silent, old = stage.clock.now(), [stage.agents.report(life, "progress") for life in lives(stage)]
    for _ in range(12):
        for report in old:
            stage.agents.post(report, report.user_id)
        stage.elapse(timedelta(seconds=30))

    stage.run(session)

    assert statuses(stage, session) == ["failed"] * 2
    assert stage.clock.now() - silent < timedelta(minutes=12)
    assert_nothing_left(stage, session)


def test_a_report_of_another_session_does_not_count(stage: Stage) -> None:
    """The worker is known and the session it names is not its own."""
    session = begin(stage, "backup-backup")
    stage.agents.manners.ready = timedelta(hours=1)
    stage.run_until(lambda: len(lives(stage)) == 2)
    for life in lives(stage):
        stage.agents.post(
            stage.agents.forged(stage.agents.report(life, "ready"), session="s-other"), life.instance.user_id
        )

    stage.run(session)

    assert "did not report" in reasons(stage, session)
    assert_nothing_left(stage, session)


def test_a_report_that_comes_before_the_answer_of_the_launch_is_not_lost(stage: Stage) -> None:
    """RunInstances has no answer for a minute; the agents are ready long before."""
    session = begin(stage, "backup-backup")

    stage.world.script.fail("launch", Ambiguous("no answer"), times=12, after=True)
    stage.agents.manners.heartbeat = timedelta(hours=1)

    stage.run(session)

    assert statuses(stage, session) == ["success"] * 2
    assert stage.world.script.count("launch") == 13
    assert_nothing_left(stage, session)


def test_reports_after_the_end_change_nothing(stage: Stage) -> None:
    """A late result of a worker whose session has ended."""
    session = begin(stage, "backup-backup")
    stage.run(session)
    before = record(stage, session)

    for life in lives(stage):
        stage.agents.send(life, "result", result=FALSE)
    stage.elapse(timedelta(minutes=5))

    after = record(stage, session)
    assert after["resources"] == before["resources"]
    assert after["receipt"] == before["receipt"]
    assert not stage.world.queue
    assert_nothing_left(stage, session)
