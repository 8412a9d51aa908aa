"""Restore drills: newest good points of what is selected, proved and removed. Points that are known to be damaged."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from support.expectations import assert_nothing_left, record, statuses
from support.install import OTHER_REGION, REGION, A, B
from support.scenarios import hurry, restore_point
from support.stage import Stage

from agent.protocol import Order, RestoreVolumeJob
from orchestrator.errors import Refused
from orchestrator.scheduler.policy import read_policy
from orchestrator.submission import check, submit

EVERYWHERE: list[dict[str, Any]] = [{"account": "*", "region": "*", "tags": {"backup": "daily"}}]
DRILL: dict[str, Any] = {"operation": "ec2-restore-volume", "select": EVERYWHERE}


def daily(stage: Stage, account: str = A, **changes: Any) -> str:
    """Add an instance with a restore point; return the point."""
    return restore_point(stage, stage.instance(account, 8, 20, tags={"backup": "daily"}), **changes)


def test_a_drill_leaves_neither_volumes_nor_snapshots(stage: Stage) -> None:
    """The result says what it was, and what was read back."""
    hurry(stage)
    point = daily(stage)
    stage.agents.manners.result = {"blocksCompared": 2}

    session = stage.submit(f"{B}/{REGION}/{point}", operation="ec2-restore-volume", options={"drill": True})
    stage.run(session)

    shown = record(stage, session)
    assert statuses(stage, session) == ["success"]
    assert shown["resources"][0]["result"] | {"drill": True, "blocksCompared": 2} == shown["resources"][0]["result"]
    assert shown["receipt"]["kept"] == []
    assert {one["kind"] for one in shown["receipt"]["removed"]} >= {"volume", "snapshot"}
    assert_nothing_left(stage, session)


def test_the_agent_of_a_drill_is_asked_to_read_back(stage: Stage) -> None:
    """That of any other restore is not."""
    hurry(stage)
    point = daily(stage)

    asked = []
    for options in ({"drill": True}, {}):
        session = stage.submit(f"{A}/{REGION}/{point}", operation="ec2-restore-volume", options=options)
        stage.run(session)
        order = next(life.order for life in reversed(stage.agents.lives.values()) if life.order is not None)
        assert isinstance(order, Order)
        asked.append(RestoreVolumeJob.from_dict(order.job).read_back)

    assert asked == [True, False]


def test_a_drill_selects_instances_and_takes_their_newest_good_points(stage: Stage) -> None:
    """In every account; neither older points nor damaged ones, nor instances without any."""
    hurry(stage)
    newest = [daily(stage), daily(stage, B)]
    daily(stage, status="damaged")
    stage.instance(A, tags={"backup": "daily"})
    stage.clock.pass_by(timedelta(days=1))

    session = stage.submit(**DRILL, options={"drill": True})
    stage.run(session)

    assert sorted(one.resource_id for one in stage.resources(session)) == sorted(newest)
    assert statuses(stage, session) == ["success", "success"]
    assert_nothing_left(stage, session)


def test_a_sample_is_drawn_from_all_that_is_selected(stage: Stage) -> None:
    """So many over all accounts; another session draws anew."""
    hurry(stage)
    known = {daily(stage, account) for account in (A, B) for _ in range(4)}

    drawn = []
    for _ in range(6):
        session = stage.submit(**DRILL, options={"drill": True, "sample": 2})
        stage.run(session)
        drawn.append({one.resource_id for one in stage.resources(session)})

    assert all(len(one) == 2 and one <= known for one in drawn)
    assert len({frozenset(one) for one in drawn}) > 1


def test_a_policy_can_schedule_a_drill(stage: Stage) -> None:
    """Its run is a session like any other."""
    hurry(stage)
    points = {daily(stage), daily(stage, B), daily(stage, B)}
    policy = read_policy(
        {
            "name": "drill",
            "operation": "ec2-restore-volume",
            "select": EVERYWHERE,
            "options": {"drill": True, "sample": 2},
            "schedule": {"cron": "0 12 * * sun"},
        }
    )
    request = policy.request("2026-11-29T12:00:00Z")
    with stage.ledger.read() as tx:
        check(tx, request)

    session = submit(stage.ledger, request, dispatch=stage.dispatch).session_id
    stage.run(session)

    assert statuses(stage, session) == ["success"] * 2
    assert {one.resource_id for one in stage.resources(session)} < points
    assert_nothing_left(stage, session)


def test_a_restore_works_in_another_region_account_zone_and_type(stage: Stage) -> None:
    """Snapshots and volumes stand where it is restored to."""
    hurry(stage)
    point = daily(stage)

    session = stage.submit(
        f"{B}/{OTHER_REGION}/{point}",
        operation="ec2-restore-volume",
        options={"availabilityZone": f"{OTHER_REGION}b", "type": "io2"},
    )
    stage.run(session)

    shown = record(stage, session)
    assert statuses(stage, session) == ["success"], shown["resources"][0]["reason"]
    kept = [stage.world.volumes[one["id"]] for one in shown["receipt"]["kept"]]
    assert {(one.account, one.region, one.zone, one.type) for one in kept} == {
        (B, OTHER_REGION, f"{OTHER_REGION}b", "io2")
    }
    assert_nothing_left(stage, session)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "have no tags to select by"),
        ({"sample": 2}, "sample belongs to a drill"),
        ({"drill": True, "attachTo": "i-0123456789abcdef0"}, "a drill attaches nothing"),
    ],
)
def test_what_makes_no_sense_is_refused_when_it_is_submitted(stage: Stage, options: dict[str, Any], said: str) -> None:
    """With the field and the remedy."""
    with pytest.raises(Refused) as caught:
        stage.submit(**DRILL, options=options)

    assert said in " ".join(one.reason for one in caught.value.problems or [caught.value])


def test_a_damaged_point_is_restored_only_where_that_is_accepted(stage: Stage) -> None:
    """Refused by name before anything is made, with the way round it."""
    hurry(stage)
    point = daily(stage, status="damaged")
    wanted = f"{A}/{REGION}/{point}"

    refused = stage.submit(wanted, operation="ec2-restore-volume")
    stage.run(refused)
    accepted = stage.submit(wanted, operation="ec2-restore-volume", options={"damaged": "accept"})
    stage.run(accepted)

    (resource,) = record(stage, refused)["resources"]
    assert resource["status"] == "failed"
    assert f"{point} is damaged" in resource["reason"]
    assert "damaged to accept" in resource["remedy"]
    assert record(stage, refused)["receipt"]["created"] == []
    assert statuses(stage, accepted) == ["success"]
    assert_nothing_left(stage, accepted)
