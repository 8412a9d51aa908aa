"""A worker's life, moment by moment."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from support.agents import (
    BEGINNING,
    INSTANCE,
    SESSION,
    USER_ID,
    HeldJob,
    Life,
    MemoryChannel,
    MemoryMachine,
    boot_with,
    order,
)

from agent.channel import ChannelError
from agent.clock import Event
from agent.imds import MetadataAbsent
from agent.jobs.context import JobFailed
from agent.protocol import JobResult, Order, ProtocolError

SUCCESS = JobResult(outcome="success", detail={"restorePoint": "rp-1"})
ORDER = order("held", now=BEGINNING)


def life_with(given: Order | Exception = ORDER, *, ends_at: float | None = 5.0, **parts: object) -> Life:
    """Return a life whose order is there from the start, and whose job succeeds after some seconds."""
    life = Life(**parts)  # type: ignore[arg-type]
    life.channel.given = given
    if ends_at is not None:
        life.clock.at(ends_at, lambda: life.job.end(SUCCESS))
    return life


# --- before there is a job ---


def test_says_that_it_is_ready_does_its_order_and_tells_the_result_on_both_ways() -> None:
    """The plain life: ready, order, job, result object and result report."""
    life = life_with()

    status = life.live()

    assert status == 0
    assert [report.kind for report in life.channel.sent] == ["ready", "result"]
    assert life.result == SUCCESS
    assert life.channel.kept == life.channel.sent[-1]
    assert [message.restore_point for message in life.job.messages] == [ORDER.job["restorePoint"]]


def test_says_who_it_is_in_every_report_and_the_fence_once_it_has_an_order() -> None:
    """A report names session, instance, user id and version; the fence is the order's."""
    life = life_with()

    life.live()

    ready, result = life.channel.sent
    assert {(one.session, one.instance_id, one.user_id, one.agent_version) for one in (ready, result)} == {
        (SESSION, INSTANCE, USER_ID, "0.0")
    }
    assert (ready.fence, result.fence) == (0, ORDER.fence)


def test_numbers_of_reports_grow_also_over_a_restart() -> None:
    """An agent that restarts goes on with higher numbers than before."""
    first = life_with(ends_at=100)
    first.live()
    second = life_with(ends_at=200)
    second.clock.wait(second.mailbox, 101)

    second.live()

    numbers = [report.sequence for report in [*first.channel.sent, *second.channel.sent]]
    assert all(before < after for before, after in pairwise(numbers))


def test_waits_for_its_order_asking_less_and_less_often() -> None:
    """403 and 404 mean "not yet"; the pauses grow to five seconds."""
    life = Life()
    life.order_at(60, ORDER)
    life.clock.at(70, lambda: life.job.end(SUCCESS))

    life.live()

    assert life.result == SUCCESS
    assert 12 <= life.channel.tried.count("order") <= 25


def test_says_ready_again_while_there_is_no_order() -> None:
    """The first ready may come before the control plane knows the instance, so it is repeated."""
    life = Life()
    life.order_at(70, ORDER)
    life.clock.at(80, lambda: life.job.end(SUCCESS))

    life.live()

    assert len(life.channel.of("ready")) == 4


def test_says_ready_soon_again_when_it_did_not_get_through() -> None:
    """A role is not visible to SQS at once: the agent tries again."""
    life = life_with(ends_at=30)
    life.channel.given = None
    life.order_at(20, ORDER)
    life.fails_between(0, 12, "send")
    life.channel.failing["send"] = ChannelError("cannot send a report: AccessDenied")

    life.live()

    assert len(life.channel.of("ready")) == 1
    assert life.result == SUCCESS


def test_ends_itself_when_no_order_comes_and_says_why() -> None:
    """After the boot time it reports failure by report alone: an object nobody ordered would be left behind."""
    life = Life()

    status = life.live()

    assert status == 1
    assert life.clock.passed == pytest.approx(300)
    assert life.result.outcome == "failed"
    assert "no order came within 300 s" in (life.result.reason or "")
    assert "AccessDenied" in (life.result.reason or "")
    assert life.channel.kept is None


def test_waits_for_a_role_that_is_not_visible_yet() -> None:
    """Credentials may appear only after a while; the agent asks who it is until then."""
    life = life_with(ends_at=60)
    life.channel.failing["who_am_i"] = ChannelError("cannot ask who I am: the metadata service has no role")
    life.clock.at(40, lambda: life.channel.failing.pop("who_am_i"))

    status = life.live()

    assert status == 0
    assert life.result == SUCCESS


def test_gives_up_a_role_that_never_appears_within_the_boot_time() -> None:
    """Without credentials nobody can be told; the exit status and the console say it."""
    life = life_with()
    life.channel.failing["who_am_i"] = ChannelError("cannot ask who I am: the instance has no role")

    status = life.live()

    assert status == 1
    assert life.clock.passed == pytest.approx(300)
    assert life.channel.sent == []


def test_refuses_credentials_that_are_not_its_instances_own() -> None:
    """The order's name must be the instance's own: anything else would read somebody else's order."""
    life = life_with(channel=MemoryChannel(user_id="AROAEXAMPLE:somebody"))

    status = life.live()

    assert status == 1
    assert life.channel.tried == ["who_am_i"]


@pytest.mark.parametrize("text", ["#!/bin/sh\necho hello\n", "#daywork-boot:no base64!", "#daywork-boot:e30="])
def test_ends_at_once_on_an_instance_without_a_boot_document(text: str) -> None:
    """User data of somebody else, or of no use, is no reason to wait."""
    life = life_with(machine=MemoryMachine(text=text))

    status = life.live()

    assert status == 1
    assert life.clock.passed == 0
    assert life.channel.tried == []


def test_waits_for_user_data_that_cannot_be_read_yet() -> None:
    """The metadata service may be busy while an instance starts."""
    life = life_with(ends_at=20)
    life.machine.failing = MetadataAbsent("the metadata service cannot be reached")
    life.clock.at(10, lambda: setattr(life.machine, "failing", None))

    status = life.live()

    assert status == 0


def test_ends_when_the_system_tells_it_to_while_it_waits() -> None:
    """SIGTERM before an order: one report that says so, no result object."""
    life = Life()
    life.clock.at(10, lambda: life.mailbox.put(Event.TOLD_TO_END))

    status = life.live()

    assert status == 1
    assert life.clock.passed == pytest.approx(10)
    assert "told the agent to end" in (life.result.reason or "")
    assert life.channel.kept is None


# --- orders ---


def test_does_not_do_an_order_again_that_has_its_result() -> None:
    """After a restart it finds the result object of its order, and tells it again."""
    before = life_with()
    before.live()
    life = life_with(channel=MemoryChannel(kept=before.channel.kept))

    status = life.live()

    assert status == 0
    assert life.job.messages == []
    assert life.result == SUCCESS


def test_does_an_order_whose_result_object_answers_another_fence() -> None:
    """A result of an earlier order is not this one's."""
    before = life_with(replace(ORDER, fence=3))
    before.live()
    life = life_with(channel=MemoryChannel(kept=before.channel.kept))

    life.live()

    assert len(life.job.messages) == 1


def test_asks_until_it_knows_whether_the_order_has_been_done() -> None:
    """A bucket that cannot be read for a moment is no reason to do a job twice."""
    before = life_with()
    before.live()
    life = life_with(channel=MemoryChannel(kept=before.channel.kept))
    life.channel.failing["result"] = ChannelError("cannot read the control bucket: ReadTimeoutError")
    life.clock.at(30, lambda: life.channel.failing.pop("result"))

    life.live()

    assert life.job.messages == []


@pytest.mark.parametrize(
    ("given", "fence", "words"),
    [
        (ProtocolError("Order: protocol 2 is not 1"), 0, "protocol 2 is not 1"),
        (replace(ORDER, job={**ORDER.job, "surprise": 1}), 7, "unknown field 'surprise'"),
        (replace(ORDER, deadline="tomorrow"), 7, "'tomorrow' is not RFC 3339"),
        (replace(ORDER, session="s-2"), 7, "not the session of the user data"),
        (replace(ORDER, job_name="ec2-restore-volume", job={}), 7, "'ec2-restore-volume' is not known"),
    ],
)
def test_fails_an_order_that_it_does_not_understand(given: Order | Exception, fence: int, words: str) -> None:
    """Wrong version, unknown field, wrong session: the result says which field, and that versions must agree."""
    life = life_with(given)

    status = life.live()

    assert status == 0
    assert life.result.outcome == "failed"
    assert words in (life.result.reason or "")
    assert "protocol 1" in (life.result.remedy or "")
    assert {report.fence for report in life.channel.of("result")} == {fence}
    assert life.job.messages == []


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
