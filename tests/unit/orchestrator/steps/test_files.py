"""Files out of points and snapshots: nothing is made but a worker, which may read them and write its own folder."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from support.expectations import assert_nothing_left, record, statuses
from support.install import HOME, REGION, A, arn
from support.scenarios import restore_point
from support.stage import Stage

from agent.protocol import RestoreFilesJob
from orchestrator import tags
from orchestrator.model.plan import Access

PATHS = {"paths": ["/etc"]}


def ordered(stage: Stage, *resources: str, mode: str = "backup", **options: Any) -> tuple[str, list[RestoreFilesJob]]:
    """Run a session; return it and what its workers were told."""
    session = stage.submit(*resources, operation="ec2-restore-files", mode=mode, options=PATHS | options)
    stage.run(session)
    assert statuses(stage, session) == ["success"], [one["reason"] for one in record(stage, session)["resources"]]
    lives = [life for life in stage.agents.lives.values() if life.boot.session == session and life.order]
    return session, [RestoreFilesJob.from_dict(life.order.job) for life in lives if life.order is not None]


def snapshot(stage: Stage, **marks: str) -> str:
    """Make a snapshot that is none of ours; return it."""
    name = stage.instance(A, 8).split("/")[2]
    compute = stage.services.cloud.compute(Access(account=A, region=REGION, role=arn(A, "DayworkBackup")))
    (made,) = compute.make_snapshots(name, exclude_volumes=[], exclude_boot=False, tags=marks, description="")
    stage.clock.pass_by(timedelta(minutes=5))
    return str(made.snapshot_id)


def test_files_of_a_point_are_read_from_the_repository_into_a_folder_of_the_session(stage: Stage) -> None:
    """The order names the point and its source; the result says where the files are; nothing else was made."""
    instance = stage.instance(A, 8, 20)
    point = restore_point(stage, instance)

    session, (job,) = ordered(stage, f"{HOME}/{REGION}/{point}", form="tree")

    assert (job.point is not None, job.snapshot, job.form, job.paths) == (True, None, "tree", ("/etc",))
    assert job.point is not None
    assert (job.point.restore_point, job.point.source.id) == (point, instance.split("/")[2])
    assert job.output.url == f"s3://{stage.services.install.control_bucket}/restored/{session}"
    found = record(stage, session)["resources"][0]["result"]
    assert found["output"].startswith(job.output.url)
    assert_nothing_left(stage)


@pytest.mark.parametrize("mode", ["backup", "production"])
def test_files_of_a_snapshot_need_nothing_but_the_right_to_read_it(stage: Stage, mode: str) -> None:
    """Through the data role of its account, or with the account's own role; the snapshot stays."""
    marks = {tags.FILES: stage.services.install.id} if mode == "backup" else {}
    made = snapshot(stage, **marks)
    external_id = stage.world.roles[A, "DayworkBackup"].external_id
    stage.world.add_role(A, "DayworkFiles", profile=True, external_id=external_id)

    _, (job,) = ordered(stage, f"{A}/{REGION}/{made}", mode=mode)

    assert (job.point, job.snapshot is not None) == (None, True)
    assert job.snapshot is not None
    assert job.snapshot.snapshot_id == made
    assert job.snapshot.data.role_arn == (arn(A, "DayworkData") if mode == "backup" else None)
    assert made in stage.world.snapshots


def test_without_paths_the_order_says_where_requests_are_and_for_how_long(stage: Stage) -> None:
    """Half an hour without one, unless the installation says something else."""
    point = restore_point(stage, stage.instance(A, 8))

    session, (job,) = ordered(stage, f"{HOME}/{REGION}/{point}", paths=[])

    assert (job.paths, job.idle_seconds) == ((), 1800)
    assert job.orders is not None
    assert job.orders.url == f"s3://{stage.services.install.control_bucket}/orders/{session}"
