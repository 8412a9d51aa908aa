"""Launching: batches, ladders, quotas, propagation, and what is left over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from support.expectations import assert_nothing_left, record, statuses
from support.install import HOME, A
from support.scenarios import hurry
from support.stage import Stage

from orchestrator import tags
from orchestrator.errors import AccessDenied, NoCapacity, NotVisibleYet, WrongRequest


def submitted(stage: Stage, count: int, **request: object) -> str:
    """Submit a backup of so many instances of one account."""
    hurry(stage)
    return stage.submit(*[stage.instance(A) for _ in range(count)], **request)


def workers(stage: Stage, session: str) -> list:  # type: ignore[type-arg]
    """Return the session's instances."""
    return [one for one in stage.world.instances.values() if one.tags.get(tags.SESSION) == session]


def test_resources_that_wait_together_are_launched_and_ended_together(stage: Stage) -> None:
    """Twenty workers: one RunInstances, and hardly more than one TerminateInstances."""
    session = submitted(stage, 20)

    stage.run(session)

    assert statuses(stage, session) == ["success"] * 20
    assert stage.world.script.count("launch") == 1
    assert stage.world.script.count("terminate") <= 4
    assert_nothing_left(stage, session)


def test_a_type_that_is_not_to_be_had_gives_way_to_the_next_subnet_and_type(stage: Stage) -> None:
    """The ladder: first type in both subnets, then the second type."""
    session = submitted(stage, 2)
    for subnet in ("subnet-backup-1", "subnet-backup-2"):
        stage.world.capacity["c5.large", subnet] = 0

    stage.run(session)

    assert {one.type for one in workers(stage, session)} == {"c5a.large"}
    assert statuses(stage, session) == ["success"] * 2
    assert_nothing_left(stage, session)


def test_a_partial_launch_serves_the_first_and_the_rest_is_launched_elsewhere(stage: Stage) -> None:
    """Two of five are to be had in the first place."""
    session = submitted(stage, 5)
    stage.world.capacity["c5.large", "subnet-backup-1"] = 2

    stage.run(session)

    assert statuses(stage, session) == ["success"] * 5
    assert [one.subnet for one in workers(stage, session)].count("subnet-backup-1") == 2
    assert_nothing_left(stage, session)


def test_a_quota_is_waited_for_and_resources_follow_each_other(stage: Stage) -> None:
    """Two workers at once: five resources come one after the other."""
    session = submitted(stage, 5)
    stage.world.quota[HOME] = 2

    stage.run(session)

    assert statuses(stage, session) == ["success"] * 5
    assert_nothing_left(stage, session)


def test_a_launch_that_never_succeeds_is_given_up_and_says_what_ec2_said(stage: Stage) -> None:
    """Half an hour without any capacity."""
    session = submitted(stage, 1)
    stage.world.script.fail(
        "launch", NoCapacity("launch: InsufficientInstanceCapacity", remedy="Add types"), times=None
    )
    begun = stage.clock.now()

    stage.run(session)

    assert statuses(stage, session) == ["failed"]
    assert "InsufficientInstanceCapacity" in (stage.resources(session)[0].reason or "")
    assert stage.resources(session)[0].remedy
    assert timedelta(minutes=30) <= stage.clock.now() - begun < timedelta(minutes=45)
    assert_nothing_left(stage, session)


def test_a_profile_that_ec2_does_not_see_yet_is_waited_for(stage: Stage) -> None:
    """Three minutes of propagation; no second role is made."""
    session = submitted(stage, 2)
    stage.world.timing.profile = timedelta(minutes=3)

    stage.run(session)

    assert statuses(stage, session) == ["success"] * 2
    assert stage.world.script.count("create_role") == 1
    assert_nothing_left(stage, session)


@pytest.mark.parametrize(
    "error", [WrongRequest("bad image", remedy="Name another"), AccessDenied("no", remedy="Allow")]
)
def test_a_wrong_launch_fails_at_once_with_the_remedy(stage: Stage, error: WrongRequest | AccessDenied) -> None:
    """Nothing is gained by trying again."""
    session = submitted(stage, 2)
    stage.world.script.fail("launch", error, times=None)

    stage.run(session)

    assert {(one.reason, one.remedy) for one in stage.resources(session)} == {(error.reason, error.remedy)}
    assert stage.world.script.count("launch") == 1
    assert_nothing_left(stage, session)


def test_a_profile_that_never_appears_fails_after_five_minutes(stage: Stage) -> None:
    """It is no propagation any more."""
    session = submitted(stage, 1)
    stage.world.script.fail("launch", NotVisibleYet("EC2 does not see the profile yet"), times=None)
    begun = stage.clock.now()

    stage.run(session)

    assert statuses(stage, session) == ["failed"]
    assert stage.clock.now() - begun < timedelta(minutes=12)
    assert_nothing_left(stage, session)


def test_an_instance_that_comes_after_its_resource_was_stopped_is_terminated(stage: Stage) -> None:
    """The answer of the launch is lost, the session stopped, and the launch repeated with its token."""
    from orchestrator.errors import Ambiguous

    session = submitted(stage, 3)
    stage.world.script.fail("launch", Ambiguous("no answer"), after=True)
    stage.run_until(lambda: len(workers(stage, session)) == 3)

    stage.stop(session)
    stage.run(session)

    assert statuses(stage, session) == ["stopped"] * 3
    assert len(workers(stage, session)) == 3
    assert_nothing_left(stage, session)


def test_tags_and_user_data_hold_what_they_should_and_no_secret(stage: Stage) -> None:
    """Every worker carries install, session and the account's tags; user data is equal for all."""
    session = submitted(stage, 3)

    stage.run(session)

    found = workers(stage, session)
    assert len({one.user_data for one in found}) == 1
    assert found[0].tags == {
        "Name": "daywork-worker",
        "cost-center": "backup-",
        "session": session,
        tags.INSTALL: "test",
        tags.SESSION: session,
    }


def test_production_workers_stand_in_their_own_account_with_its_own_profile(stage: Stage) -> None:
    """No temporary role, no worker in the backup account."""
    session = submitted(stage, 2, mode="production")

    stage.run(session)

    assert {(one.account, one.profile) for one in workers(stage, session)} == {(A, "DayworkWorker")}
    assert "role" not in {one["kind"] for one in record(stage, session)["receipt"]["created"]}
    assert_nothing_left(stage, session)


def test_settings_are_copied_into_the_session(make_stage: Callable[..., Stage]) -> None:
    """The registry changes after planning: the session goes on as it was planned."""
    from orchestrator.ledger import registry
    from orchestrator.model.account import Registry

    stage = make_stage()
    session = submitted(stage, 1)
    stage.run_until(lambda: stage.resources(session)[0].plan is not None, look_often=True)
    for one in stage.document["accounts"]:
        one["workerConfigurations"] = [{**net, "subnets": ["subnet-new"]} for net in one["workerConfigurations"]]
    with stage.ledger.write() as tx:
        registry.apply(tx, Registry.model_validate(stage.document))

    stage.run(session)

    assert {one.subnet for one in workers(stage, session)} == {"subnet-backup-1"}
    assert_nothing_left(stage, session)
