"""Retention and health checks on a whole stack: what is due goes, what is damaged is named and mended."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

from support.changing import Changing
from support.guard import Guard
from support.stack import HOME, INSTALL, REGION, Stack

from console.demo.eye import BLOCK

_BUCKET = f"daywork-repository-{INSTALL}"
_CHANCE = Random(20261126)  # noqa: S311 - content, not a secret


def run(stack: Stack, operation: str, account: str, resource: str, **request: Any) -> dict[str, Any]:
    """Run a session over one resource; return its record."""
    resources = [{"account": account, "region": REGION, "id": resource}]
    record = stack.wait(stack.start({"operation": operation, "resources": resources, **request}))
    assert record["receipt"]["remaining"] == [], record
    return record


def result(record: dict[str, Any], status: str = "success") -> dict[str, Any]:
    """Return the result of a session's one resource."""
    assert record["status"] == status, record
    found: dict[str, Any] = record["resources"][0]["result"]
    return found


def points(stack: Stack, source: Changing) -> dict[str, str]:
    """Return the status of a source's restore points, as the ledger knows them."""
    listed = json.loads(stack.daywork("restore-point", "list", "--output", "json"))["restorePoints"]
    return {one["id"]: one["status"] for one in listed if one["resource"].endswith(source.instance)}


def packs(stack: Stack) -> set[str]:
    """Return the packs of the repository."""
    pages = stack.eye.client(HOME, "s3").get_paginator("list_objects_v2").paginate(Bucket=_BUCKET, Prefix="packs/")
    return {one["Key"] for page in pages for one in page.get("Contents", [])}


def restored(stack: Stack, source: Changing, point: str) -> dict[str, dict[int, bytes]]:
    """Restore a point; return what is on the new volumes, by source volume, and remove these."""
    made = result(run(stack, "ec2-restore-volume", source.account, point))["volumes"]
    found = {one["volumeId"]: stack.eye.blocks(source.account, one["newVolumeId"]) for one in made}
    for one in made:
        stack.eye.client(source.account, "ec2").delete_volume(VolumeId=one["newVolumeId"])
    return found


def test_due_points_go_with_their_blocks_and_damage_is_named_and_mended(stack: Stack, tmp_path: Path) -> None:
    """Three points, of which two are due; then a bit flips in what is left, and the next backup makes it good."""
    source = Changing.launch(stack.eye, min(stack.instances()), tmp_path)
    first, second = source.volumes
    source.write(second, {3: _CHANCE.randbytes(BLOCK)})
    made, before = [], packs(stack)
    for _ in range(3):
        source.write(first, {index: _CHANCE.randbytes(BLOCK) for index in (0, 7, 2000)})
        made.append(result(run(stack, "ec2-backup", source.account, source.instance))["restorePoint"])
    wanted = {one: source.digests(one) for one in source.volumes}
    both = packs(stack) - before

    retained = result(run(stack, "ec2-retention", source.account, source.instance, options={"keep": {"last": 1}}))
    again = result(run(stack, "ec2-retention", source.account, source.instance, options={"keep": {"last": 1}}))

    assert (retained["due"], retained["deleted"], sorted(retained["points"])) == (2, 2, made[:2])
    assert points(stack, source) == {made[2]: "complete"}
    assert again["bytesFreed"] > 0, "what the first run has marked, the second one deletes"
    left = both & packs(stack)
    assert 0 < len(left) < len(both)
    assert restored(stack, source, made[2]) == wanted

    s3, (pack, *_) = stack.eye.client(HOME, "s3"), sorted(left)
    content = bytearray(s3.get_object(Bucket=_BUCKET, Key=pack)["Body"].read())
    content[1000] ^= 1
    s3.put_object(Bucket=_BUCKET, Key=pack, Body=bytes(content))
    checked = run(stack, "ec2-health-check", HOME, made[2])
    assert result(checked, "warning")["blocksDamaged"] >= 1
    assert pack in checked["resources"][0]["reason"]
    assert points(stack, source) == {made[2]: "damaged"}

    mending = result(run(stack, "ec2-backup", source.account, source.instance))
    assert (mending["kind"], mending["mended"]) == ("full", [made[2]])
    assert set(points(stack, source).values()) == {"complete"}
    assert restored(stack, source, made[2]) == wanted
    assert result(run(stack, "ec2-health-check", HOME, made[2]))["isDamaged"] is False
    own = ("RepositoryKeeping", "RepositoryRemoval", "RepositoryFindings")
    assert [one for one in Guard(stack).spare(()) if one.sid in own] == []
