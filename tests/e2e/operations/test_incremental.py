"""Incrementals on a whole stack: what changed is read and nothing else, and every point restores by itself."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
from support.changing import Changing
from support.stack import HOME, INSTALL, REGION, Stack

from console.demo.eye import BLOCK

_CHANCE = Random(20261125)  # noqa: S311 - content, not a secret


def text(label: str) -> bytes:
    """Return a block that compresses well and equals no other."""
    line = f"{label} {_CHANCE.random()} lorem ipsum dolor sit amet\n".encode()
    return (line * (BLOCK // len(line) + 1))[:BLOCK]


def backup(stack: Stack, source: Changing, mode: str, **options: Any) -> dict[str, Any]:
    """Back the instance up; return its part of the record."""
    record = stack.wait(
        stack.start(
            {
                "operation": "ec2-backup",
                "mode": mode,
                "resources": [{"account": source.account, "region": REGION, "id": source.instance}],
                "options": options,
            }
        )
    )
    assert record["status"] == "success", record
    assert record["receipt"]["remaining"] == []
    return {**record["resources"][0]["result"], "kept": {one["id"] for one in record["receipt"]["kept"]}}


def restored(stack: Stack, source: Changing, *points: str) -> list[dict[str, dict[int, bytes]]]:
    """Restore points in one session; return for each what is on the new volumes, by source volume."""
    resources = [{"account": source.account, "region": REGION, "id": one} for one in points]
    record = stack.wait(stack.start({"operation": "ec2-restore-volume", "resources": resources}))
    assert record["status"] == "success", record
    return [
        {
            volume["volumeId"]: stack.eye.blocks(source.account, volume["newVolumeId"])
            for volume in one["result"]["volumes"]
        }
        for one in record["resources"]
    ]


@pytest.mark.parametrize("modes", [("backup", "production", "backup")], ids=["all"])
def test_an_incremental_reads_what_changed_and_any_point_restores_without_the_others(
    stack: Stack, tmp_path: Path, modes: tuple[str, str, str]
) -> None:
    """One percent of the blocks changed, in either mode; what the first point holds outlives the later ones."""
    source = Changing.launch(stack.eye, min(stack.instances()), tmp_path, user_data="#cloud-config\n")
    first, second = source.volumes
    source.write(first, {index: text("first") for index in range(0, 600, 3)})
    source.write(second, {index: text("second") for index in (0, 2047)})
    full = backup(stack, source, modes[0])
    before = {one: source.digests(one) for one in source.volumes}

    source.write(first, {0: text("changed"), 597: bytes(BLOCK), 1000: text("new")})
    incremental = backup(stack, source, modes[1])
    after = {one: source.digests(one) for one in source.volumes}

    assert (full["kind"], full["blocksRead"]) == ("full", 202)
    assert (incremental["kind"], incremental["blocksRead"], incremental["blocksStored"]) == ("incremental", 3, 2)
    assert [one["kind"] for one in incremental["volumes"]] == ["incremental", "incremental"]
    there = {one.name for one in stack.left() if one.kind == "snapshot"}
    assert incremental["kept"] <= there
    assert not full["kept"] & there
    points = [full["restorePoint"], incremental["restorePoint"]]
    assert restored(stack, source, *points) == [before, after]

    source.write(second, {5: text("third")})
    third = backup(stack, source, modes[2])
    assert (third["kind"], third["blocksRead"]) == ("incremental", 1)
    s3, prefix = stack.eye.client(HOME, "s3"), f"rp/{source.account}/{REGION}/{source.instance}/"
    for one in (incremental, third):
        s3.delete_object(Bucket=f"daywork-repository-{INSTALL}", Key=prefix + one["restorePoint"])
    assert restored(stack, source, full["restorePoint"]) == [before]
