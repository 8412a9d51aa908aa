"""Launching: batches, ladders, quotas, propagation, and what is left over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from support import install as values
from support.expectations import assert_nothing_left, record, statuses
from support.fakes.premises import network_of
from support.install import HOME, A
from support.scenarios import hurry
from support.stage import Stage

from orchestrator import tags
from orchestrator.errors import AccessDenied, NoAddresses, NoCapacity, NotVisibleYet, Throttled, WrongRequest
from orchestrator.ledger import batches, journal


def submitted(stage: Stage, count: int, **request: object) -> str:
    """Submit a backup of so many instances of one account."""
    hurry(stage)
    return stage.submit(*[stage.instance(A) for _ in range(count)], **request)


def workers(stage: Stage, session: str) -> list:  # type: ignore[type-arg]
    """Return the session's instances."""
    return [one for one in stage.world.instances.values() if one.tags.get(tags.SESSION) == session]


def test_resources_that_wait_together_are_launched_and_ended_together(stage: Stage) -> None:
    """Twenty workers: one RunInstances, hardly more than one TerminateInstances, no look at each one's snapshots."""
    session = submitted(stage, 20)

    stage.run(session)

    assert statuses(stage, session) == ["success"] * 20
    assert stage.world.script.count("launch") == 1
    assert stage.world.script.count("terminate") <= 4
    assert stage.world.script.count("snapshots") <= 3
    assert_nothing_left(stage, session)


def test_the_first_waits_a_moment_for_those_who_come_with_it(stage: Stage) -> None:
    """One look at launches and one at endings, each after a moment; nobody else asks for one meanwhile."""
    session = submitted(stage, 20)

    stage.run(session)

    looks = {kind: [one.after for one, _ in stage.delivered if one.kind == kind] for kind in ("launch", "terminate")}
    assert looks["launch"] == [stage.install.gather]
    assert stage.install.gather in looks["terminate"]


def test_requests_gather_while_no_call_can_be_made(stage: Stage) -> None:
    """No batch is opened that others could not join: two sessions' requests are still in the queue, then two calls."""
    for _ in range(5):
        stage.limiter.take(HOME, "eu-west-1", "RunInstances")
    sessions = [submitted(stage, 2) for _ in range(2)]

    stage.turn()
    with stage.ledger.read() as tx:
        opened = [batches.open_of_session(tx, one) for one in sessions]

    assert opened == [[], []]
    stage.run(*sessions)
    assert stage.world.script.count("launch") == 2


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


def at_once(stage: Stage, session: str | None = None) -> int:
    """Return how many workers of a session, or of all, are alive."""
    return len(
        [
            one
            for one in stage.world.alive(**{tags.INSTALL: "test"})
            if session in (None, one.tags.get(tags.SESSION)) and stage.world.state_of(one) in ("pending", "running")
        ]
    )


def watched(stage: Stage, *sessions: str) -> int:
    """Run sessions to their end; return how many workers were alive at most."""
    most = [0]

    def look() -> bool:
        most.append(at_once(stage))
        return all(stage.session(one).status.is_final for one in sessions)

    stage.run_until(look, look_often=True)
    return max(most)


def limited(make_stage: Callable[..., Stage], workers: int, **more: Any) -> Stage:
    """Return a stage whose backup account allows so many workers at once."""
    document = values.document()
    document["accounts"][0]["limits"] = {"workers": workers}
    return make_stage(document=document, **more)


def test_a_limit_of_workers_holds_at_every_moment(make_stage: Callable[..., Stage]) -> None:
    """Seven resources, three workers: the others wait for their turn, and say so."""
    stage = limited(make_stage, 3)
    session = submitted(stage, 7)
    stage.run_until(lambda: at_once(stage) == 3)
    reasons = {one.reason for one in stage.resources(session) if one.status == "waiting-for-capacity"}

    most = watched(stage, session)

    assert most == 3
    assert reasons == {"account backup has at most 3 workers at once in eu-west-1; it waits for one to end"}
    assert statuses(stage, session) == ["success"] * 7
    assert {one.reason for one in stage.resources(session)} == {None}
    assert_nothing_left(stage, session)


def test_a_limit_of_vcpus_holds_at_every_moment(make_stage: Callable[..., Stage]) -> None:
    """A worker has c5.large, two vCPUs: five are room for two workers."""
    document = values.document()
    document["accounts"][0]["limits"] = {"vcpus": 5}
    stage = make_stage(document=document)
    session = submitted(stage, 5)
    stage.run_until(lambda: at_once(stage) == 2)
    reasons = {one.reason for one in stage.resources(session) if one.status == "waiting-for-capacity"}

    most = watched(stage, session)

    assert most == 2
    assert reasons == {"account backup has at most 5 vCPUs of workers at once in eu-west-1; it waits for some to end"}
    assert statuses(stage, session) == ["success"] * 5
    assert_nothing_left(stage, session)


def test_what_the_quota_leaves_is_shared_and_no_launch_is_refused(stage: Stage) -> None:
    """Nine vCPUs, two for each worker: four at once, said so, and EC2 is asked for no more than it gives."""
    stage.world.vcpu_quotas[HOME] = 9
    session = submitted(stage, 6)
    stage.run_until(lambda: at_once(stage) == 4)
    reasons = {one.reason for one in stage.resources(session) if one.status == "waiting-for-capacity"}

    assert watched(stage, session) == 4
    (reason,) = reasons
    assert (reason or "").startswith("the quota of account backup leaves workers 9 vCPUs in eu-west-1")
    assert statuses(stage, session) == ["success"] * 6
    assert_nothing_left(stage, session)


def test_workers_go_where_there_are_addresses(stage: Stage) -> None:
    """Two in the first subnet, one in the second: three at once, the others wait for an address."""
    network = network_of(stage.world, HOME, "eu-west-1")
    free = {"subnet-backup-1": 2, "subnet-backup-2": 1}
    stage.world.networks[HOME, "eu-west-1"] = replace(
        network, subnets=tuple(replace(one, free_addresses=free.get(one.id, 0)) for one in network.subnets)
    )
    session = submitted(stage, 5)
    stage.run_until(lambda: at_once(stage) == 3)
    reasons = {one.reason for one in stage.resources(session) if one.status == "waiting-for-capacity"}

    assert Counter(one.subnet for one in workers(stage, session)) == free
    assert reasons == {"no free address in subnet-backup-1, subnet-backup-2; it waits for one"}
    stage.run(session)
    assert statuses(stage, session) == ["success"] * 5


def test_what_there_is_room_for_is_asked_once_a_minute_and_the_rate_once(make_stage: Callable[..., Stage]) -> None:
    """Six resources one after the other, two minutes each."""
    stage = limited(make_stage, 1)
    session = submitted(stage, 6)
    stage.agents.manners.work = timedelta(minutes=2)
    begun = stage.clock.now()

    stage.run(session)

    minutes = (stage.clock.now() - begun) / timedelta(minutes=1)
    assert 5 <= stage.world.script.count("free_addresses") <= minutes + 1
    assert stage.world.script.count("launch_rate") == 1


def test_a_launch_goes_on_when_nobody_may_see_what_there_is_room_for(stage: Stage) -> None:
    """EC2 decides then."""
    for call in ("room_for_vcpus", "free_addresses", "launch_rate"):
        stage.world.script.fail(call, AccessDenied("not allowed"), times=None)
    session = submitted(stage, 2)

    stage.run(session)

    assert statuses(stage, session) == ["success"] * 2


def test_a_small_session_is_not_kept_waiting_by_a_large_one(make_stage: Callable[..., Stage]) -> None:
    """Twenty-four resources came first; the two of the small session are done long before them."""
    stage = limited(make_stage, 4)
    large = submitted(stage, 24)
    stage.run_until(lambda: at_once(stage, large) == 4)
    small = submitted(stage, 2)

    stage.run(small)

    assert statuses(stage, small) == ["success"] * 2
    assert statuses(stage, large).count("success") <= 12
    stage.run(large)
    assert statuses(stage, large) == ["success"] * 24


def test_a_turn_that_takes_hours_is_no_failure(make_stage: Callable[..., Stage]) -> None:
    """Waiting for one's own turn is not bound by the time that a launch may take."""
    stage = limited(make_stage, 1)
    session = submitted(stage, 4)
    stage.agents.manners.work = timedelta(hours=2)

    stage.run(session)

    assert statuses(stage, session) == ["success"] * 4


def test_a_limit_for_each_session_leaves_room_for_others(make_stage: Callable[..., Stage]) -> None:
    """Two workers for each; the reason names it."""
    stage = make_stage(install=values.install(session_workers=2))
    session = submitted(stage, 5)
    stage.run_until(lambda: at_once(stage) == 2)
    reasons = {one.reason for one in stage.resources(session) if one.status == "waiting-for-capacity"}

    assert watched(stage, session) == 2
    assert reasons == {"a session has at most 2 workers at once; it waits for one of its own to end"}


def test_a_pool_without_capacity_is_not_asked_again_by_anybody(stage: Stage) -> None:
    """The second session goes straight to the next rung; instances are made once for each resource."""
    stage.world.capacity["c5.large", "subnet-backup-1"] = 0
    first = submitted(stage, 2)
    stage.run_until(lambda: at_once(stage, first) == 2)
    asked = stage.world.script.count("launch")
    second = submitted(stage, 2)

    stage.run(first, second)

    assert stage.world.script.count("launch") - asked == 1
    assert {one.subnet for one in workers(stage, second)} == {"subnet-backup-2"}
    assert len(workers(stage, first)) + len(workers(stage, second)) == 4


def test_a_subnet_without_addresses_is_left_for_all_types(stage: Stage) -> None:
    """One refusal is enough to know."""
    stage.world.script.fail("launch", NoAddresses("InsufficientFreeAddressesInSubnet", remedy="Add a subnet"))
    session = submitted(stage, 1)

    stage.run(session)

    assert [one.subnet for one in workers(stage, session)] == ["subnet-backup-2"]


def test_a_profile_that_is_not_visible_is_asked_for_by_one_batch_alone(stage: Stage) -> None:
    """Two batches wait; one asks until EC2 sees the profile, then both are launched."""
    session = submitted(stage, 120)
    stage.world.timing.profile = timedelta(minutes=1)

    stage.run(session)

    assert statuses(stage, session) == ["success"] * 120
    assert stage.world.script.count("launch") <= 15


def test_three_workers_that_do_not_start_are_enough(stage: Stage) -> None:
    """Ten resources one after the other: the fourth is not tried, and every one says why."""
    stage.agents.manners.boots = False
    stage.world.quota[HOME] = 1
    session = submitted(stage, 10)

    stage.run(session)

    assert statuses(stage, session) == ["failed"] * 10
    assert len(workers(stage, session)) == 3
    reasons = sorted({(one.reason or "").split(" (")[0].split(" i-")[0] for one in stage.resources(session)})
    assert reasons == [
        "no more workers are launched: 3 of them did not start; the last one: worker",
        "worker",
    ]
    assert_nothing_left(stage, session)


def test_the_console_of_a_worker_that_did_not_start_is_kept(stage: Stage) -> None:
    """In the session's log, because the instance is gone by the time somebody looks."""
    stage.agents.manners.boots = False
    session = submitted(stage, 1)
    stage.run_until(lambda: at_once(stage, session) == 1)
    (one,) = workers(stage, session)
    stage.world.consoles[one.id] = "cloud-init: no route to host"

    stage.run(session)

    with stage.ledger.read() as tx:
        lines = [line.text for line in journal.read(tx, session)]
    assert f"console of {one.id}: cloud-init: no route to host" in lines


def test_launches_stay_within_awss_rate(stage: Stage) -> None:
    """A bucket of calls that is empty delays the launch; nothing is refused and nothing fails."""
    for _ in range(5):
        assert not stage.limiter.take(HOME, "eu-west-1", "RunInstances")
    session = submitted(stage, 2)

    stage.run(session)

    assert statuses(stage, session) == ["success"] * 2
    assert stage.world.script.count("launch") == 1


def test_throttling_for_minutes_slows_and_fails_nothing(stage: Stage) -> None:
    """Whatever is called is refused for its rate for five minutes."""
    session = submitted(stage, 3)
    for call in ("make_snapshots", "launch", "terminate", "snapshots"):
        stage.world.script.fail(call, Throttled("RequestLimitExceeded"), times=4)

    stage.run(session)

    assert statuses(stage, session) == ["success"] * 3
    assert_nothing_left(stage, session)
