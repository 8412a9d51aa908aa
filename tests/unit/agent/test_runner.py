"""A worker's life with its job, moment by moment, to the end."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.agents import (
    BEGINNING,
    SUCCESS,
    HeldJob,
    Life,
    boot_with,
    life_with,
    order,
)

from agent.clock import Event
from agent.jobs.context import JobFailed
from agent.protocol import JobResult

# --- while the job works ---


def test_reports_progress_at_every_heartbeat() -> None:
    """Each heartbeat carries how far the job is."""
    life = life_with(ends_at=70)
    life.clock.at(30, lambda: _progress(life, 5, 9))

    life.live()

    beats = [report.progress for report in life.channel.of("progress")]
    assert [(beat.done, beat.total) for beat in beats if beat] == [(0, 0), (5, 9), (5, 9)]


def _progress(life: Life, done: int, total: int) -> None:
    assert life.job.run is not None
    life.job.run.note(done, total)


def test_stops_when_it_is_asked_to() -> None:
    """The stop flag ends the job as stopped, within half a heartbeat."""
    life = life_with(ends_at=None)
    life.clock.at(100, lambda: setattr(life.channel, "stop", True))

    status = life.live()

    assert status == 0
    assert life.result == JobResult(outcome="stopped", reason="stopped on request")
    assert 100 <= life.clock.passed <= 110


def test_a_job_that_succeeds_although_it_was_asked_to_stop_has_succeeded() -> None:
    """What is whole is not thrown away."""
    life = life_with(ends_at=105, job=HeldJob(obedient=False))
    life.clock.at(90, lambda: setattr(life.channel, "stop", True))

    life.live()

    assert life.result == SUCCESS


def test_stops_at_the_orders_deadline() -> None:
    """Past its deadline the job is stopped and has failed."""
    life = life_with(order("held", now=BEGINNING, deadline=timedelta(seconds=95)), ends_at=None)

    life.live()

    assert life.clock.passed == pytest.approx(95)
    assert life.result.outcome == "failed"
    assert "deadline, 2026-11-23T02:01:35.000Z" in (life.result.reason or "")


def test_does_not_begin_an_order_whose_deadline_has_passed() -> None:
    """An order found too late is not begun."""
    life = life_with(order("held", now=BEGINNING, deadline=timedelta(seconds=-1)))

    life.live()

    assert life.result.outcome == "failed"
    assert life.job.messages == []


def test_stops_when_no_report_gets_through_for_long() -> None:
    """The silence rule: nobody hears the agent, so it stops working."""
    life = life_with(ends_at=None)
    life.fails_between(1, 100_000, "send")

    status = life.live()

    assert status == 0
    assert "no report of the worker got through for 6" in (life.result.reason or "")
    assert life.channel.kept is not None
    assert life.channel.of("result") == []


def test_goes_on_when_reports_get_through_again_before_silence_is_over() -> None:
    """A queue that was away for a while does not end a job."""
    life = life_with(ends_at=1500)
    life.fails_between(100, 650, "send")
    life.fails_between(700, 1250, "send")

    life.live()

    assert life.result == SUCCESS


def test_a_stop_flag_that_cannot_be_read_is_not_a_stop() -> None:
    """S3 away: the job goes on, and the next look asks again."""
    life = life_with(ends_at=200)
    life.fails_between(1, 150, "stop_asked")

    life.live()

    assert life.result == SUCCESS


def test_ends_without_a_job_that_does_not_stop() -> None:
    """A job that ignores the stop gets its time of grace and no more."""
    life = life_with(ends_at=None, job=HeldJob(obedient=False))
    life.clock.at(100, lambda: setattr(life.channel, "stop", True))

    status = life.live()

    assert status == 0
    assert life.result.outcome == "stopped"
    assert 190 <= life.clock.passed <= 200


def test_stops_the_job_when_the_system_tells_it_to_end() -> None:
    """SIGTERM while a job works: the job stops, the result says that it failed and why."""
    life = life_with(ends_at=None)
    life.clock.at(33, lambda: life.mailbox.put(Event.TOLD_TO_END))

    status = life.live()

    assert status == 0
    assert life.clock.passed == pytest.approx(33)
    assert life.result.outcome == "failed"
    assert "told the agent to end" in (life.result.reason or "")


def test_after_being_told_to_end_it_tries_once_to_tell_the_result() -> None:
    """The machine is going down: there is no time for trying again."""
    life = life_with(ends_at=None)
    life.clock.at(33, lambda: life.mailbox.put(Event.TOLD_TO_END))
    life.fails_between(30, 100_000, "send")
    life.fails_between(30, 100_000, "keep")

    status = life.live()

    assert status == 1
    assert life.clock.passed == pytest.approx(33)
    assert life.channel.tried[-2:] == ["keep", "send"]


# --- how jobs end ---


def test_a_job_that_fails_tells_reason_and_remedy() -> None:
    """`JobFailed` carries words for a person."""
    life = life_with(ends_at=None)
    life.clock.at(5, lambda: life.job.end(JobFailed("no such key", "Make one")))

    status = life.live()

    assert status == 0
    assert life.result == JobResult(outcome="failed", reason="no such key", remedy="Make one")


def test_a_job_that_breaks_is_a_failure_that_names_the_error_and_not_its_text() -> None:
    """An unforeseen error's text may quote a secret: class name only."""
    life = life_with(ends_at=None)
    life.clock.at(5, lambda: life.job.end(RuntimeError("token=canary")))

    life.live()

    assert life.result.outcome == "failed"
    assert life.result.reason == "internal error in job ec2-backup: RuntimeError"


def test_a_job_that_answers_nonsense_has_failed() -> None:
    """Only a `JobResult` is a result."""
    life = life_with(ends_at=None)
    life.clock.at(5, lambda: life.job.end("done"))  # type: ignore[arg-type]  # that is the point

    life.live()

    assert life.result.outcome == "failed"


def test_sentences_of_a_result_are_bounded() -> None:
    """A report must fit into a message."""
    life = life_with(ends_at=None)
    life.clock.at(5, lambda: life.job.end(JobFailed("x" * 100_000)))

    life.live()

    assert len(life.result.reason or "") == 2000


# --- the end ---


def test_a_result_object_alone_is_enough_after_a_while() -> None:
    """The queue is away: the object is there, and the agent tries a minute longer."""
    life = life_with()
    life.fails_between(4, 100_000, "send")

    status = life.live()

    assert status == 0
    assert life.channel.kept is not None
    assert 60 <= life.clock.passed - 5 <= 66


def test_a_result_report_alone_is_enough_after_a_while() -> None:
    """The bucket cannot be written: the report is there, and the agent tries a minute longer."""
    life = life_with()
    life.fails_between(4, 100_000, "keep")

    status = life.live()

    assert status == 0
    assert len(life.channel.of("result")) == 1
    assert 60 <= life.clock.passed - 5 <= 66


def test_tries_to_tell_the_result_for_as_long_as_it_may_be_silent() -> None:
    """Nothing gets through: the agent gives up after the time of silence, and says so by its exit status."""
    life = life_with()
    life.fails_between(4, 100_000, "keep")
    life.fails_between(4, 100_000, "send")

    status = life.live()

    assert status == 1
    assert 600 <= life.clock.passed - 5 <= 606


def test_tells_the_result_once_the_way_is_free_again() -> None:
    """Both ways are away for minutes; the result is told as soon as they are back."""
    life = life_with()
    life.fails_between(4, 300, "keep")
    life.fails_between(4, 300, "send")

    status = life.live()

    assert status == 0
    assert life.clock.passed <= 310
    assert life.result == SUCCESS


def test_durations_are_those_of_the_boot_document() -> None:
    """Boot, heartbeat and silence come from the user data."""
    life = life_with(ends_at=10, machine=boot_with(heartbeat_seconds=2, boot_seconds=5))

    life.live()

    assert len(life.channel.of("progress")) == 4
