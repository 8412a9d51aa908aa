"""Indexes of file systems as sessions: where the worker stands, what it is ordered, and one at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.expectations import assert_nothing_left, record, statuses
from support.install import REGION, A
from support.stage import Stage

from orchestrator.ports import FileSystemView, MountTargetView

FILE_SYSTEM = "fs-00000001"
BACKUP = "arn:aws:backup:eu-west-1:222222222222:recovery-point:1"


@pytest.fixture
def stage(make_stage: Callable[..., Stage]) -> Stage:
    """Return an installation whose account A has a file system with mount targets in two zones."""
    stage = make_stage()
    targets = tuple(
        MountTargetView(
            id=f"fsmt-{number}", subnet="subnet-theirs", availability_zone=f"{REGION}{zone}", vpc="vpc-fake",
            state="available", address=f"10.0.{number}.4", security_groups=("sg-mount",),
        )
        for number, zone in enumerate("ba")
    )  # fmt: skip
    stage.world.file_systems[A, REGION] = {
        FILE_SYSTEM: FileSystemView(id=FILE_SYSTEM, state="available", size_bytes=5000, mount_targets=targets)
    }
    return stage


def index(stage: Stage, **options: Any) -> str:
    """Submit an index of the file system; return the session."""
    return stage.submit(f"{A}/{REGION}/{FILE_SYSTEM}", operation="efs-index", mode="production", options=options)


def order_of(stage: Stage) -> dict[str, Any]:
    """Return the newest order."""
    return [one.order.job for one in stage.agents.lives.values() if one.order][-1]


def test_a_file_system_is_indexed_by_a_worker_of_its_account(stage: Stage) -> None:
    """With the options, by the mount target of the worker's own zone first; nothing is left of it."""
    session = index(stage, path="/srv", excludePaths=["/srv/tmp"], recoveryPoint=BACKUP)
    stage.run(session)

    shown = record(stage, session)
    (one,) = shown["resources"]
    assert (shown["status"], one["result"]["index"][:3], one["result"]["files"]) == ("success", "ix-", 3)
    given = order_of(stage)
    zone = one["worker"]["availabilityZone"]
    assert given["mountTargets"][0] == {"b": {"id": "fsmt-0", "address": "10.0.0.4"}}.get(
        zone[-1], {"id": "fsmt-1", "address": "10.0.1.4"}
    )
    assert len(given["mountTargets"]) == 2
    assert (given["path"], given["excludePaths"], given["recoveryPoint"]) == ("/srv", ["/srv/tmp"], BACKUP)
    assert (given["index"], given["sizeBytes"]) == (one["result"]["index"], 5000)
    assert_nothing_left(stage, session)


def test_its_worker_may_mount_and_others_may_not(make_stage: Callable[..., Stage], stage: Stage) -> None:
    """The start script of a worker that mounts says so; that of a backup does not."""
    object.__setattr__(stage.install, "agent_start", "mounts='@AGENT_MOUNTS@'\n")
    session = index(stage)
    stage.run(session)
    backup = stage.submit(stage.instance(A, 8))
    stage.run(backup)

    texts = {one.boot.session: one.instance.user_data for one in stage.agents.lives.values()}
    assert "mounts='yes'" in texts[session]
    assert "mounts='no'" in texts[backup]


def test_a_second_session_leaves_a_file_system_that_is_being_indexed(stage: Stage) -> None:
    """It does not wait: the resource is skipped, naming the session that is at it. Afterwards it is free again."""
    first, second = index(stage), index(stage)
    stage.run(first, second)
    third = index(stage)
    stage.run(third)

    assert statuses(stage, first) + statuses(stage, second) == ["success", "skipped"]
    assert first in record(stage, second)["resources"][0]["reason"]
    assert statuses(stage, third) == ["success"]
    assert_nothing_left(stage, first, second, third)


def test_a_worker_that_dies_is_replaced_and_the_index_is_the_same(stage: Stage) -> None:
    """The second attempt is ordered to write the same index."""
    stage.agents.manners.dies_at_work = True
    session = stage.submit(
        f"{A}/{REGION}/{FILE_SYSTEM}", operation="efs-index", mode="production", retry={"attempts": 2, "delay": 1}
    )
    stage.run_until(lambda: any(one.is_over for one in stage.agents.lives.values()))
    stage.agents.manners.dies_at_work = False
    stage.run(session)

    orders = {one.order.job["index"] for one in stage.agents.lives.values() if one.order}
    assert statuses(stage, session) == ["success"]
    assert len(stage.agents.lives) == 2
    assert len(orders) == 1, "a second attempt finds what the first one has finished"
    assert_nothing_left(stage, session)
