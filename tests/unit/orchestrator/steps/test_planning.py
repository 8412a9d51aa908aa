"""Planning: what is wrong fails alone, with reason and remedy, and nothing is made for it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from support.expectations import assert_nothing_left, record, statuses
from support.install import HOME, A, B
from support.scenarios import hurry, restore_point
from support.stage import Stage

from orchestrator.errors import Throttled

MAKING = {"create_role", "make_snapshots", "start_snapshot", "launch", "give"}


def made(stage: Stage) -> set[str]:
    """Return the calls that made something."""
    return {call.operation for call in stage.world.script.calls} & MAKING


@pytest.mark.parametrize("mode", ["backup", "production"])
def test_an_instance_that_does_not_exist_fails_alone(stage: Stage, mode: str) -> None:
    """The others of its account are backed up."""
    hurry(stage)
    session = stage.submit(f"{A}/eu-west-1/i-00000000000000bad", stage.instance(A), mode=mode)

    stage.run(session)

    bad, good = stage.resources(session)
    assert (str(bad.status), str(good.status)) == ("failed", "success")
    assert "i-00000000000000bad does not exist" in (bad.reason or "")
    assert bad.remedy
    assert_nothing_left(stage, session)


def test_a_wrong_external_id_fails_the_resources_of_its_account_alone(stage: Stage) -> None:
    """With the remedy, and without either id."""
    hurry(stage)
    stage.world.roles[A, "DayworkBackup"].external_id = "canary-another-one"
    session = stage.submit(stage.instance(A), stage.instance(A), stage.instance(B))

    stage.run(session)

    assert statuses(stage, session) == ["failed", "failed", "success"]
    assert "external id" in (stage.resources(session)[0].remedy or "")
    assert "canary" not in str(record(stage, session))
    assert_nothing_left(stage, session)


@pytest.mark.parametrize("mode", ["backup", "production"])
def test_a_session_of_which_all_is_refused_fails_and_makes_nothing(stage: Stage, mode: str) -> None:
    """Not even a role."""
    session = stage.submit(f"{A}/eu-west-1/i-00000000000000bad", f"{B}/eu-west-1/i-00000000000000bad", mode=mode)

    stage.run(session)

    shown = record(stage, session)
    assert shown["status"] == "failed"
    assert (shown["receipt"]["created"], made(stage)) == ([], set())
    assert_nothing_left(stage, session)


def test_a_deployment_role_that_cannot_be_assumed_fails_all_and_makes_nothing(stage: Stage) -> None:
    """It is asked for before anything is made."""
    stage.world.roles[HOME, "DayworkWorkerDeployment"].is_trusting = False
    session = stage.submit(stage.instance(A), stage.instance(B))

    stage.run(session)

    assert statuses(stage, session) == ["failed", "failed"]
    assert made(stage) == set()
    assert_nothing_left(stage, session)


def test_a_worker_role_without_a_profile_is_refused_with_the_remedy(stage: Stage) -> None:
    """Production mode needs it in an instance profile."""
    hurry(stage)
    del stage.world.profiles[A, "DayworkWorker"]
    stage.baseline = stage.iam()
    session = stage.submit(stage.instance(A), stage.instance(B), mode="production")

    stage.run(session)

    assert statuses(stage, session) == ["failed", "success"]
    assert "instance profile" in (stage.resources(session)[0].remedy or "")
    assert_nothing_left(stage, session)


def test_a_policy_that_aws_would_not_take_fails_the_session_before_the_role_is_made(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a session over hundreds of accounts would."""
    monkeypatch.setattr("orchestrator.statements.checked.__defaults__", (300,))
    session = stage.submit(stage.instance(A), stage.instance(B))

    stage.run(session)

    assert statuses(stage, session) == ["failed", "failed"]
    assert "fewer accounts" in (stage.resources(session)[0].remedy or "")
    assert made(stage) == set()
    assert_nothing_left(stage, session)


def test_resources_are_selected_by_all_of_their_tags(stage: Stage) -> None:
    """One named and selected at once is one resource."""
    hurry(stage)
    daily = stage.instance(A, tags={"backup": "daily", "team": "x"})
    stage.instance(A, tags={"backup": "weekly"})
    select = [{"account": "production-a", "region": "eu-west-1", "tags": {"backup": "daily"}}]
    session = stage.submit(daily, select=select)

    stage.run(session)

    assert [one.resource_id for one in stage.resources(session)] == [daily.split("/")[2]]
    assert_nothing_left(stage, session)


def test_nothing_selected_is_a_warning(stage: Stage) -> None:
    """And says so."""
    session = stage.submit(select=[{"account": A, "region": "eu-west-1", "tags": {"backup": "never"}}])

    stage.run(session)

    assert record(stage, session)["status"] == "warning"
    assert stage.session(session).reason == "nothing was selected"
    assert_nothing_left(stage, session)


def test_a_selection_that_failed_is_no_success(stage: Stage) -> None:
    """What could not be looked for stands in the record as a failed resource."""
    hurry(stage)
    stage.world.roles[B, "DayworkBackup"].is_trusting = False
    select = [{"account": B, "region": "eu-west-1", "tags": {"backup": "daily"}}]
    session = stage.submit(stage.instance(A), select=select)

    stage.run(session)

    assert record(stage, session)["status"] == "warning"
    assert [one.resource_id for one in stage.resources(session)][1] == "tags:backup=daily"
    assert_nothing_left(stage, session)


def test_one_accounts_throttling_holds_the_planning_up_for_minutes_and_no_longer(stage: Stage) -> None:
    """Then its resources fail and the others go on."""
    hurry(stage)
    stage.world.script.fail("instances", Throttled("Rate exceeded"), times=None, account=A)
    session = stage.submit(stage.instance(A), stage.instance(B))
    begun = stage.clock.now()

    stage.run(session)

    assert statuses(stage, session) == ["failed", "success"]
    assert stage.clock.now() - begun < timedelta(minutes=40)
    assert_nothing_left(stage, session)


# --- backup chains ------------------------------------------------------------------------------------------------


def test_two_sessions_never_write_one_chain_at_once(stage: Stage) -> None:
    """The second one waits, holding nothing, and goes on as soon as the first one is done."""
    hurry(stage)
    stage.agents.manners.work = timedelta(minutes=5)
    instance = stage.instance(A)
    first, second = stage.submit(instance), stage.submit(instance)
    stage.run_until(lambda: "running" in statuses(stage, first) + statuses(stage, second))

    waiting = second if statuses(stage, first) == ["running"] else first
    shown = stage.resources(waiting)[0]
    assert "is writing the same backup chain" in (shown.reason or "")
    assert len(list(stage.world.alive(daywork_install="test"))) == 1
    stage.run(first, second)

    assert statuses(stage, first) + statuses(stage, second) == ["success", "success"]
    times = sorted((record(stage, one)["startedAt"], record(stage, one)["endedAt"]) for one in (first, second))
    assert times
    assert_nothing_left(stage, first, second)


def test_a_stop_reaches_a_session_that_waits_for_a_chain(stage: Stage) -> None:
    """The one that writes is not disturbed."""
    hurry(stage)
    stage.agents.manners.work = timedelta(minutes=5)
    instance = stage.instance(A)
    first = stage.submit(instance)
    stage.run_until(lambda: statuses(stage, first) == ["running"])
    second = stage.submit(instance)
    stage.run_until(lambda: "writing the same" in (stage.resources(second)[0].reason or ""))

    stage.stop(second)
    stage.run(first, second)

    assert (statuses(stage, first), statuses(stage, second)) == (["success"], ["stopped"])
    assert_nothing_left(stage, first, second)


# --- restores -----------------------------------------------------------------------------------------------------


def restored(stage: Stage, session: str) -> list[Any]:
    """Return the volumes that a restore has made."""
    kept = record(stage, session)["receipt"]["kept"]
    return [stage.world.volumes[one["id"]] for one in kept if one["kind"] == "volume"]


def test_a_volume_under_another_accounts_key_comes_back_under_the_default_key(stage: Stage) -> None:
    """The source's key cannot be used in the target account; the volume is encrypted all the same."""
    hurry(stage)
    key = f"arn:aws:kms:eu-west-1:{A}:key/theirs"
    point = restore_point(stage, stage.instance(A, 8, encrypted=True, kms_key=key))
    session = stage.submit(f"{B}/eu-west-1/{point}", operation="ec2-restore-volume")

    stage.run(session)

    assert [(one.encrypted, one.kms_key) for one in restored(stage, session)] == [(True, None)]
    assert_nothing_left(stage, session)


def test_a_volume_goes_back_into_another_region_in_the_workers_zone(stage: Stage) -> None:
    """The source's zone is not there."""
    hurry(stage)
    point = restore_point(stage, stage.instance(A, 8))
    session = stage.submit(f"{B}/eu-central-1/{point}", operation="ec2-restore-volume")
    for name in list(stage.world.subnets):
        stage.world.subnets[name] = stage.world.subnets[name].replace("eu-west-1", "eu-central-1")

    stage.run(session)

    assert [one.zone for one in restored(stage, session)] == ["eu-central-1a"]
    assert_nothing_left(stage, session)


def test_restored_volumes_are_attached_under_free_names(stage: Stage) -> None:
    """The target's own root keeps its name."""
    hurry(stage)
    point = restore_point(stage, stage.instance(A, 8, 20))
    target = stage.instance(B, 8)
    options = {"attachTo": f"i-{int(target.rsplit('-', 1)[1], 16):017x}"}
    session = stage.submit(f"{B}/eu-west-1/{point}", operation="ec2-restore-volume", options=options)

    stage.run(session)

    assert statuses(stage, session) == ["success"]
    assert {one.attached_to for one in restored(stage, session)} == {options["attachTo"]}
    assert_nothing_left(stage, session)


def test_a_volume_that_cannot_be_attached_is_restored_with_a_warning(stage: Stage) -> None:
    """The target is gone by then; the data is not thrown away."""
    hurry(stage)
    point = restore_point(stage, stage.instance(A, 8))
    target = stage.instance(B, 8)
    name = target.split("/")[2]
    session = stage.submit(f"{B}/eu-west-1/{point}", operation="ec2-restore-volume", options={"attachTo": name})
    stage.run_until(lambda: "running" in statuses(stage, session))
    for volume in stage.world.volumes.values():
        volume.attached_to = None if volume.attached_to == name else volume.attached_to
    del stage.world.instances[name]

    stage.run(session)

    assert statuses(stage, session) == ["warning"]
    assert "restored but not attached" in (stage.resources(session)[0].reason or "")
    assert len(restored(stage, session)) == 1
    assert_nothing_left(stage, session)
