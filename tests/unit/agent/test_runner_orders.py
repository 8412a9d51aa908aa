"""A worker's life before its job: who it is, its order, and what it does while there is none."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from support.agents import (
    INSTANCE,
    ORDER,
    SESSION,
    SUCCESS,
    USER_ID,
    Life,
    MemoryChannel,
    MemoryMachine,
    life_with,
)

from agent.channel import ChannelError
from agent.clock import Event
from agent.imds import MetadataAbsent
from agent.protocol import Order, ProtocolError

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
