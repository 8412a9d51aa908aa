"""Retention and health checks as sessions: what the ledger decides, orders, and knows afterwards."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from support import install as values
from support.expectations import assert_nothing_left, record, statuses
from support.install import HOME, A, B
from support.stage import Stage

from orchestrator.ledger import points, registry
from orchestrator.ledger.points import RestorePoint
from orchestrator.model.account import Registry


@pytest.fixture
def stage(make_stage: Callable[..., Stage]) -> Stage:
    """Return an installation."""
    return make_stage()


def backed_up(stage: Stage, times: int) -> tuple[str, list[str]]:
    """Back an instance up so often, a day apart; return it and the points, the oldest first."""
    source, made = stage.instance(A, 8), []
    for _ in range(times):
        session = stage.submit(source)
        stage.run(session)
        made.append(str(record(stage, session)["resources"][0]["result"]["restorePoint"]))
        stage.clock.pass_by(timedelta(days=1))
    return source, made


def listed(stage: Stage, source: str) -> dict[str, str]:
    """Return the status of each restore point of a source, as the ledger knows them."""
    with stage.ledger.read() as tx:
        found: list[RestorePoint] = points.of_resource(tx, *source.split("/"))
    return {one.id: one.status for one in found}


def retain(stage: Stage, source: str, **keep: int) -> str:
    """Submit a retention; return the session."""
    return stage.submit(source, operation="ec2-retention", mode="backup", options={"keep": keep})


def check(stage: Stage, point: str, **options: Any) -> str:
    """Submit a health check; return the session."""
    return stage.submit(f"{HOME}/eu-west-1/{point}", operation="ec2-health-check", mode="backup", options=options)


def order_of(stage: Stage, name: str) -> dict[str, Any]:
    """Return the newest order for a job."""
    return [one.order.job for one in stage.agents.lives.values() if one.order and one.order.job_name == name][-1]


def test_retention_orders_what_is_due_and_forgets_what_is_gone(stage: Stage) -> None:
    """The rule is applied once, in the control plane; the ledger follows what the worker has done."""
    source, made = backed_up(stage, 4)
    stage.agents.manners.result = {"due": 2, "deleted": 2, "points": made[:2], "bytesFreed": 7}

    session = retain(stage, source, last=2)
    stage.run(session)

    assert statuses(stage, session) == ["success"]
    job = order_of(stage, "ec2-retention")
    assert (job["due"], job["source"]["id"]) == (made[:2], source.rpartition("/")[2])
    assert (job["grace"], job["rest"], job["locked"]) == (24 * 3600, 3600, 0)
    assert list(listed(stage, source)) == [made[3], made[2]]
    assert record(stage, session)["resources"][0]["result"]["bytesFreed"] == 7
    assert_nothing_left(stage, session)


def test_what_the_worker_has_spared_stays_in_the_ledger(stage: Stage) -> None:
    """It is a warning, and the point is still known."""
    source, made = backed_up(stage, 2)
    stage.agents.manners.outcome = "warning"
    stage.agents.manners.result = {"due": 1, "deleted": 0, "points": [], "bytesFreed": 0}

    session = retain(stage, source, last=1)
    stage.run(session)

    assert statuses(stage, session) == ["warning"]
    assert set(listed(stage, source)) == set(made)


@pytest.mark.parametrize(
    ("operation", "statement"),
    [
        ("ec2-backup", "RepositoryLeases"),
        ("ec2-retention", "RepositoryRemoval"),
        ("ec2-health-check", "RepositoryFindings"),
    ],
)
def test_only_retention_may_delete_in_the_repository(stage: Stage, operation: str, statement: str) -> None:
    """By the policy of its session's temporary role; a check writes its findings alone, and neither sees a snapshot."""
    source, made = backed_up(stage, 1)
    session = {
        "ec2-backup": lambda: stage.submit(source),
        "ec2-retention": lambda: retain(stage, source, last=1),
        "ec2-health-check": lambda: check(stage, made[0]),
    }[operation]()

    stage.run_until(lambda: any(one.policy is not None and one.path != "/" for one in stage.world.roles.values()))

    (policy,) = [one.policy for one in stage.world.roles.values() if one.policy is not None and one.path != "/"]
    sids = {one["Sid"] for one in policy["Statement"]}
    assert statement in sids
    assert ("RepositoryRemoval" in sids) is (operation == "ec2-retention")
    assert ("Blocks" in sids) is (operation == "ec2-backup")
    stage.run(session)


def test_retention_waits_for_the_backup_of_the_same_chain(stage: Stage) -> None:
    """Two sessions never write one chain at once."""
    source, made = backed_up(stage, 2)
    running = stage.submit(source)
    stage.run_until(lambda: any(one.status == "running" for one in stage.resources(running)))
    stage.agents.manners.result = {"points": made[:1]}

    session = retain(stage, source, last=1)
    stage.run_until(lambda: "is writing the same backup chain" in str(stage.resources(session)[0].reason))
    stage.run(running)
    stage.run(session)

    assert statuses(stage, session) == ["success"]


def test_points_under_object_lock_are_not_due(make_stage: Callable[..., Stage]) -> None:
    """Nobody could delete those of the last three days; the worker is told how long the lock lasts."""
    document = values.document()
    document["repositories"][0] |= {"objectLock": {"days": 3}}
    stage = make_stage(document=document)
    source, made = backed_up(stage, 5)

    stage.run(retain(stage, source, last=1))

    job = order_of(stage, "ec2-retention")
    assert (job["due"], job["locked"]) == (made[:3], 3 * 24 * 3600)


def test_a_health_check_notes_what_a_point_is_worth(stage: Stage) -> None:
    """Damaged is a warning and the point's status; well again is complete; a sample clears nobody."""
    source, made = backed_up(stage, 2)
    stage.agents.manners.outcome = "warning"
    stage.agents.manners.result = {"isDamaged": True, "isComplete": True}
    session = check(stage, made[0])
    stage.run(session)
    assert statuses(stage, session) == ["warning"]
    assert listed(stage, source) == {made[0]: "damaged", made[1]: "complete"}

    stage.agents.manners.outcome = "success"
    stage.agents.manners.result = {"isDamaged": False, "isComplete": False}
    stage.run(check(stage, made[0], sample=5))
    assert order_of(stage, "ec2-health-check")["sample"] == 5
    assert listed(stage, source)[made[0]] == "damaged"

    stage.agents.manners.result = {"isDamaged": False, "isComplete": True}
    stage.run(check(stage, made[0]))
    assert set(listed(stage, source).values()) == {"complete"}


def test_a_backup_that_has_mended_points_makes_them_complete(stage: Stage) -> None:
    """The agent says which ones."""
    source, made = backed_up(stage, 1)
    with stage.ledger.write() as tx:
        points.judge(tx, made, points.DAMAGED)
    stage.agents.manners.result = {"mended": made}

    stage.run(stage.submit(source))

    assert set(listed(stage, source).values()) == {"complete"}


def test_a_repository_elsewhere_is_kept_by_its_keeper_alone(make_stage: Callable[..., Stage]) -> None:
    """Every other worker reaches it by the role that deletes nothing; without a keeper retention is refused."""
    document = values.document()
    document["repositories"][0] |= {"account": B, "role": values.arn(B, "DayworkRepository")}
    stage = make_stage(document=document)
    source, _ = backed_up(stage, 2)

    refused = retain(stage, source, last=1)
    stage.run(refused)
    (resource,) = record(stage, refused)["resources"]
    assert "has no role that may delete" in resource["reason"]

    document["repositories"][0] |= {"keeper": "DayworkRepositoryKeeper"}
    with stage.ledger.write() as tx:
        registry.apply(tx, Registry.model_validate(document))
    session = retain(stage, source, last=1)
    stage.run(session)
    assert statuses(stage, session) == ["success"]
    assert order_of(stage, "ec2-retention")["repository"]["roleArn"] == values.arn(B, "DayworkRepositoryKeeper")
    assert order_of(stage, "ec2-backup")["repository"]["roleArn"] == values.arn(B, "DayworkRepository")
