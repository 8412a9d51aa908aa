"""Whole sessions when nothing goes wrong."""

from __future__ import annotations

import pytest
from support.expectations import assert_nothing_left, record, statuses
from support.install import A, B
from support.stage import Stage

MODES = pytest.mark.parametrize("mode", ["backup", "production"])


def restore_point(stage: Stage, *sizes: int, **volume: object) -> str:
    """Back an instance up; return the restore point."""
    session = stage.submit(stage.instance(A, *sizes, **volume))
    stage.run(session)
    return str(record(stage, session)["resources"][0]["result"]["restorePoint"])


@MODES
def test_a_backup_over_several_accounts_leaves_restore_points_and_nothing_else(stage: Stage, mode: str) -> None:
    """Two accounts, three instances, both modes."""
    wanted = [stage.instance(A, 8, 20), stage.instance(A, 8), stage.instance(B, 8)]

    session = stage.submit(*wanted, mode=mode)
    stage.run(session)

    assert statuses(stage, session) == ["success"] * 3
    assert_nothing_left(stage, session)


@MODES
def test_a_restore_leaves_its_volumes_and_nothing_else(stage: Stage, mode: str) -> None:
    """Two volumes of a restore point into another account."""
    point = restore_point(stage, 8, 20)

    session = stage.submit(f"{B}/eu-west-1/{point}", operation="ec2-restore-volume", mode=mode)
    stage.run(session)

    assert statuses(stage, session) == ["success"]
    kept = record(stage, session)["receipt"]["kept"]
    assert [one["kind"] for one in kept] == ["volume", "volume"]
    assert {stage.world.volumes[one["id"]].size_gib for one in kept} == {8, 20}
    assert_nothing_left(stage, session)
