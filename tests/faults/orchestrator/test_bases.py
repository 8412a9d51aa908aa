"""Incrementals: what a backup compares with, when it may not, and what becomes of the snapshots that it kept."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from support.expectations import assert_nothing_left, record, statuses
from support.fakes.script import Died
from support.install import A, document
from support.stage import Stage

from agent.protocol import BackupJob
from orchestrator.errors import AccessDenied
from orchestrator.ledger import points, registry, schema
from orchestrator.ledger.points import RestorePoint
from orchestrator.model.account import Registry
from orchestrator.sweeper.sweep import sweep

_RESTORE_POINTS = schema.restore_points


def instance_id(resource: str) -> str:
    """Return the id in `ACCOUNT/REGION/ID`."""
    return resource.rsplit("/", 1)[-1]


def backup(stage: Stage, resource: str, **request: Any) -> str:
    """Run a backup of one instance to its end; return the session's id."""
    session = stage.submit(resource, **request)
    stage.run(session)
    return session


def job(stage: Stage, session: str) -> BackupJob:
    """Return the last order that a worker of a session was given."""
    orders = [one.order for one in stage.agents.lives.values() if one.order is not None]
    return BackupJob.from_dict([one.job for one in orders if one.session == session][-1])


def listed(stage: Stage, resource: str) -> list[RestorePoint]:
    """Return an instance's restore points, the newest first."""
    account, region, name = resource.split("/")
    with stage.ledger.read() as tx:
        return points.of_resource(tx, account, region, name)


def kept(stage: Stage, session: str) -> set[str]:
    """Return what a session's receipt says is kept."""
    return {one["id"] for one in record(stage, session)["receipt"]["kept"]}


def said(stage: Stage, session: str) -> str:
    """Return a session's log."""
    table = schema.log_lines
    with stage.ledger.read() as tx:
        return "\n".join(row.text for row in tx.rows(sa.select(table.c.text).where(table.c.session_id == session)))


def passes(stage: Stage) -> None:
    """Let the sweeper look, mark and remove."""
    for _ in range(3):
        sweep(stage.services)
        stage.clock.pass_by(timedelta(seconds=70))


@pytest.mark.parametrize("mode", ["backup", "production"])
def test_the_second_backup_compares_with_the_snapshots_of_the_first_and_takes_their_place(
    stage: Stage, mode: str
) -> None:
    """One base at a time: that of the newest point; each receipt says what is kept now."""
    resource = stage.instance(A, 8, 20)
    first = backup(stage, resource, mode=mode)
    before = kept(stage, first)

    second = backup(stage, resource, mode=mode)

    assert len(before) == 2
    newest, oldest = listed(stage, resource)
    asked = job(stage, second)
    assert (asked.parent, newest.parent, newest.kind) == (oldest.id, None, "incremental")
    assert {one.volume_id: one.previous_snapshot_id for one in asked.volumes} == oldest.record["snapshots"]
    assert before == set(oldest.record["snapshots"].values())
    assert kept(stage, second) == set(newest.record["snapshots"].values()) == set(stage.world.snapshots)
    assert kept(stage, first) == set()
    assert before <= {one["id"] for one in record(stage, first)["receipt"]["removed"]}
    assert_nothing_left(stage, first, second)


def _lost(stage: Stage, _: str) -> None:
    stage.world.snapshots.clear()


def _grown(stage: Stage, resource: str) -> None:
    instance = stage.world.instances[instance_id(resource)]
    instance.volumes = tuple(one.model_copy(update={"size_gib": 30}) for one in instance.volumes)


def _damaged(stage: Stage, _: str) -> None:
    with stage.ledger.write() as tx:
        tx.execute(sa.update(_RESTORE_POINTS).values(status="damaged"))


def _strange(stage: Stage, _: str) -> None:
    for one in stage.world.snapshots.values():
        one.tags["daywork:install"] = "another"


def _nothing(_stage: Stage, _resource: str) -> None:
    """Change nothing."""


@pytest.mark.parametrize(
    ("change", "options", "why"),
    [
        (_lost, {}, "does not exist any more"),
        (_strange, {}, "does not exist any more"),
        (_grown, {}, "its size has changed from 8 to 30 GiB"),
        (_damaged, {}, "is damaged"),
        (_nothing, {"full": True}, "a full backup was asked for"),
    ],
)
def test_a_volume_whose_base_is_of_no_use_is_read_whole_and_the_log_says_why(
    stage: Stage, change: Callable[[Stage, str], None], options: dict[str, Any], why: str
) -> None:
    """The session succeeds all the same, and what it kept is the next one's base."""
    resource = stage.instance()
    backup(stage, resource)
    change(stage, resource)

    second = backup(stage, resource, options=options)

    asked = job(stage, second)
    assert (asked.parent, [one.previous_snapshot_id for one in asked.volumes]) == (None, [None])
    assert "is read whole: " in said(stage, second)
    assert why in said(stage, second)
    assert statuses(stage, second) == ["success"]
    third = backup(stage, resource)
    assert job(stage, third).parent == listed(stage, resource)[1].id


def test_a_new_volume_is_read_whole_beside_others_that_are_not(stage: Stage) -> None:
    """Each volume by itself."""
    resource = stage.instance(A, 8)
    backup(stage, resource)
    instance, other = stage.world.instances[instance_id(resource)], stage.world.add_instance(A, "eu-west-1", 5)
    added = other.volumes[0].model_copy(update={"device": "/dev/sdx"})
    instance.volumes = (*instance.volumes, added)

    second = backup(stage, resource)

    asked = job(stage, second)
    assert asked.parent is not None
    assert [one.previous_snapshot_id is None for one in asked.volumes] == [False, True]
    assert f"volume {added.volume_id} is read whole: it is not part of restore point" in said(stage, second)


def test_another_repository_has_a_base_of_its_own(stage: Stage) -> None:
    """A point is compared with points that stand beside it."""
    described = document()
    described["repositories"].append(
        {**described["repositories"][0], "name": "second", "url": "s3://daywork-repository/second"}
    )
    with stage.ledger.write() as tx:
        registry.apply(tx, Registry.model_validate(described))
    resource = stage.instance()
    first = backup(stage, resource, repository="main")
    other = backup(stage, resource, repository="second")

    third = backup(stage, resource, repository="main")

    assert job(stage, other).parent is None
    assert kept(stage, other) == set(listed(stage, resource)[1].record["snapshots"].values())
    assert job(stage, third).parent == listed(stage, resource)[2].id
    assert kept(stage, first) == set()
    passes(stage)
    assert set(stage.world.snapshots) == kept(stage, third) | kept(stage, other)


@pytest.mark.parametrize("end", ["failed", "stopped"])
def test_a_session_that_lists_no_point_leaves_the_base_as_it_was(stage: Stage, end: str) -> None:
    """The next one compares with it."""
    resource = stage.instance()
    first = backup(stage, resource)
    before = kept(stage, first)
    if end == "failed":
        stage.agents.manners.outcome = "failed"
        second = backup(stage, resource)
    else:
        second = stage.submit(resource)
        stage.run_until(lambda: statuses(stage, second) == ["running"], look_often=True)
        stage.stop(second)
        stage.run(second)
    stage.agents.manners.outcome = "success"

    assert statuses(stage, second) == [end]
    assert kept(stage, second) == set()
    assert kept(stage, first) == before == set(stage.world.snapshots)
    third = backup(stage, resource)
    assert job(stage, third).parent == listed(stage, resource)[1].id
    assert_nothing_left(stage, first, second, third)


def test_an_older_base_that_aws_will_not_remove_fails_nothing_and_is_swept(stage: Stage) -> None:
    """The log says so; the sweeper knows by its tags that a newer point has taken its place."""
    assert sweep(stage.services).distrust is None
    resource = stage.instance()
    first = backup(stage, resource)
    stage.world.script.fail("absent_snapshot", AccessDenied("delete: UnauthorizedOperation"))

    second = backup(stage, resource)

    assert statuses(stage, second) == ["success"]
    assert "is not removed yet" in said(stage, second)
    assert len(stage.world.snapshots) == 2
    passes(stage)
    assert set(stage.world.snapshots) == kept(stage, second)
    assert kept(stage, first) == set()


def test_the_sweeper_leaves_a_base_alone_and_takes_it_when_its_point_is_gone(stage: Stage) -> None:
    """Whatever a receipt says: without the point nothing will ever compare with it."""
    assert sweep(stage.services).distrust is None
    resource = stage.instance()
    session = backup(stage, resource)
    passes(stage)
    assert set(stage.world.snapshots) == kept(stage, session) != set()

    with stage.ledger.write() as tx:
        tx.execute(sa.delete(_RESTORE_POINTS))
    passes(stage)

    assert stage.world.snapshots == {}
    assert kept(stage, session) == set()
    assert "its restore point" in said(stage, session) or "swept: snapshot" in said(stage, session)


def test_a_base_of_a_session_that_the_ledger_has_lost_is_kept_and_compared_with(stage: Stage) -> None:
    """Its point, entered again from the repository, says that it is one; a later one is superseded as any other."""
    assert sweep(stage.services).distrust is None
    resource = stage.instance()
    first = backup(stage, resource)
    before = kept(stage, first)
    with stage.ledger.write() as tx:
        tx.execute(sa.delete(schema.cloud_things))
        tx.execute(sa.delete(schema.sessions))
    passes(stage)
    assert set(stage.world.snapshots) == before != set()

    second = backup(stage, resource)

    assert job(stage, second).parent == listed(stage, resource)[1].id
    assert set(stage.world.snapshots) == kept(stage, second)


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("operation", ["absent_snapshot", "snapshots", "user_data"])
def test_a_death_while_bases_change_costs_time_and_nothing_else(
    stage: Stage,
    operation: str,
    is_after: bool,  # noqa: FBT001 - a parameter of the matrix
) -> None:
    """One point, one base, nothing besides."""
    resource = stage.instance(A, 8, 20)
    first = backup(stage, resource)
    for nth in (1, 3):
        stage.world.script.fail(operation, Died(), nth=nth, after=is_after)

    second = backup(stage, resource)

    assert stage.deaths
    assert job(stage, second).parent == listed(stage, resource)[1].id
    assert kept(stage, second) == set(stage.world.snapshots)
    assert_nothing_left(stage, first, second)


def test_user_data_is_recorded_and_its_refusal_costs_nothing_else(stage: Stage) -> None:
    """A role that may not read it is told in the log."""
    resource = stage.instance()
    stage.world.instances[instance_id(resource)].user_data = "#cloud-config"
    first = backup(stage, resource)
    stage.world.script.fail("user_data", AccessDenied("read the user data: UnauthorizedOperation"))

    second = backup(stage, resource)

    newest, oldest = listed(stage, resource)
    assert oldest.record["configuration"]["userData"] == "I2Nsb3VkLWNvbmZpZw=="
    assert job(stage, first).configuration["userData"] == "I2Nsb3VkLWNvbmZpZw=="
    assert "userData" not in newest.record["configuration"]
    assert "is not recorded: read the user data" in said(stage, second)
    assert statuses(stage, second) == ["success"]
