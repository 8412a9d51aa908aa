"""Automatic retry: only what failed, in the same session, with the same temporary role."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.expectations import assert_nothing_left, record, statuses
from support.fakes.agent import Manners
from support.install import A, B
from support.scenarios import hurry
from support.stage import Stage

from orchestrator import tags
from orchestrator.errors import AccessDenied


def begin(stage: Stage, attempts: int = 3, delay: int = 60) -> str:
    """Submit a backup of two instances that may be tried again."""
    hurry(stage)
    return stage.submit(
        stage.instance(A), stage.instance(B), retry={"attempts": attempts, "delay": delay}, mode="backup"
    )


def test_a_failed_resource_is_tried_again_with_a_new_worker_and_the_same_role(stage: Stage) -> None:
    """The first attempt of one resource fails; the second succeeds."""
    session = begin(stage)
    stage.run_until(lambda: len(stage.agents.lives) == 2)
    first = next(iter(stage.agents.lives))
    stage.agents.manners_of[first] = Manners(outcome="failed", work=timedelta(seconds=5))

    stage.run(session)

    shown = record(stage, session)
    assert shown["status"] == "success"
    assert sorted(one["attempts"] for one in shown["resources"]) == [1, 2]
    helped = next(one for one in shown["resources"] if one["attempts"] == 2)
    orders = {name: life.order.job["endedWorkers"] for name, life in stage.agents.lives.items() if life.order}
    assert orders.pop(helped["worker"]["instanceId"]) == [first]
    assert list(orders.values()) == [[], []]
    assert {step["attempt"] for step in helped["steps"]} == {1, 2}
    assert helped["worker"]["instanceId"] != first
    assert shown["attempt"] == 2
    (earlier,) = helped["earlier"]
    assert (earlier["attempt"], earlier["reason"], earlier["instanceId"]) == (1, "a block could not be read", first)
    assert earlier["endedAt"] < earlier["nextAt"] < helped["endedAt"]
    assert (helped["reason"], helped["remedy"]) == (None, None)
    assert stage.world.script.count("create_role") == 1
    assert len([one for one in stage.world.instances.values() if one.tags.get(tags.SESSION) == session]) == 3
    assert_nothing_left(stage, session)


def test_the_delay_is_kept_and_nothing_is_held_meanwhile(stage: Stage) -> None:
    """Ten minutes with no worker, no snapshot and no order of the failed attempt."""
    session = begin(stage, attempts=2, delay=600)
    stage.agents.manners.outcome = "failed"
    stage.run_until(lambda: all(one.attempt == 2 for one in stage.resources(session)))
    began = stage.clock.now()
    stage.agents.manners.outcome = "success"

    assert not list(stage.world.alive(daywork_session=session))
    assert not stage.world.snapshots
    assert not stage.world.bucket
    stage.run(session)

    assert statuses(stage, session) == ["success"] * 2
    assert stage.clock.now() - began >= timedelta(minutes=9)
    assert_nothing_left(stage, session)


def test_the_last_attempt_ends_it(stage: Stage) -> None:
    """Three failures of three allowed attempts."""
    session = begin(stage)
    stage.agents.manners.outcome = "failed"

    stage.run(session)

    shown = record(stage, session)
    assert shown["status"] == "failed"
    assert [one["attempts"] for one in shown["resources"]] == [3, 3]
    assert {one["reason"] for one in shown["resources"]} == {"a block could not be read"}
    assert_nothing_left(stage, session)


def test_a_stop_between_two_attempts_ends_the_session(stage: Stage) -> None:
    """The resource waits for its next attempt; it never begins, and the earlier reason is still told."""
    session = begin(stage, attempts=5, delay=3600)
    stage.agents.manners.outcome = "failed"
    stage.run_until(lambda: all(one.attempt == 2 for one in stage.resources(session)))

    stage.stop(session)
    stage.run(session)

    assert statuses(stage, session) == ["stopped"] * 2
    assert all("a block could not be read" in (one.reason or "") for one in stage.resources(session))
    assert_nothing_left(stage, session)


def test_messages_of_an_earlier_attempt_do_nothing(stage: Stage) -> None:
    """Everything is delivered twice, and every message of the past once more at the end of each attempt."""
    stage.twice = stage.nested = True
    session = begin(stage)
    stage.agents.manners.outcome = "failed"
    stage.run_until(lambda: any(one.attempt == 2 for one in stage.resources(session)))
    stage.agents.manners.outcome = "success"
    for message, _ in list(stage.delivered):
        stage.deliver(message)

    stage.run(session)

    assert statuses(stage, session) == ["success"] * 2
    assert_nothing_left(stage, session)


@pytest.mark.parametrize("mode", ["backup", "production"])
@pytest.mark.parametrize("operation", ["make_snapshots", "launch", "give"])
def test_what_aws_refused_in_the_first_attempt_is_tried_again(stage: Stage, operation: str, mode: str) -> None:
    """Refused for good, so that the steps themselves do not repeat it; the next attempt begins from the beginning."""
    hurry(stage)
    session = stage.submit(stage.instance(A), stage.instance(B), retry={"attempts": 2, "delay": 5}, mode=mode)
    stage.world.script.fail(operation, AccessDenied("no right"))

    stage.run(session)

    shown = record(stage, session)
    assert statuses(stage, session) == ["success"] * 2
    assert {one["reason"] for resource in shown["resources"] for one in resource["earlier"]} == {"no right"}
    assert shown["attempt"] == 2
    assert_nothing_left(stage, session)


def test_a_refused_resource_is_not_tried_again(stage: Stage) -> None:
    """Planning says no: there is nothing to try."""
    hurry(stage)
    session = stage.submit(f"{A}/eu-west-1/i-00000000000000bad", retry={"attempts": 3, "delay": 0})

    stage.run(session)

    assert [one.attempt for one in stage.resources(session)] == [1]
    assert statuses(stage, session) == ["failed"]
    assert_nothing_left(stage, session)


@pytest.mark.parametrize("mode", ["backup", "production"])
def test_the_next_sessions_worker_learns_which_one_cannot_hold_its_chain_any_more(stage: Stage, mode: str) -> None:
    """A worker that died has left its lock in the repository; who knows that it is dead need not wait for it."""
    hurry(stage)
    instance = stage.instance(A)
    stage.agents.manners.dies_at_work = True
    failed = stage.submit(instance, mode=mode)
    stage.run(failed)
    stage.agents.manners.dies_at_work = False

    session = stage.submit(instance, mode=mode)
    stage.run(session)

    (dead,) = [one["worker"]["instanceId"] for one in record(stage, failed)["resources"]]
    (order,) = [life.order for name, life in stage.agents.lives.items() if name != dead]
    assert order is not None
    assert order.job["endedWorkers"] == [dead]
    assert record(stage, session)["status"] == "success"
    assert_nothing_left(stage, failed, session)
