"""Rows: a full backup, an incremental of 1 % changed blocks, and the memory that the largest volume takes."""

from __future__ import annotations

import os
from typing import Any

from benchmarks.data.lab import ACCOUNT, GIB, INSTANCE, REGION, VOLUME
from benchmarks.data.measuring import Run
from benchmarks.data.peers import borg, restic, volume
from benchmarks.data.row import Reach, Row, Turn
from benchmarks.image import BLOCK

#: GiB of the largest volume.
_HUGE = 16 * 1024


def _job(
    turn: Turn, point: str, snapshot: str, size: int, *, instance: str = INSTANCE, parent: str = "", previous: str = ""
) -> Run:
    """Write a restore point of a snapshot, compared with the one before if there is one."""
    read: dict[str, Any] = {"volumeId": VOLUME, "snapshotId": snapshot, "sizeBytes": size, "device": "/dev/xvda"}
    job: dict[str, Any] = {
        "repository": turn.lab.repository(turn.repository),
        "data": {"region": REGION},
        "resource": {"account": ACCOUNT, "region": REGION, "id": instance},
        "restorePoint": point,
        "createdAt": "2026-11-25T00:00:00.000Z",
        "volumes": [read],
        "compression": turn.contender.compression,
    }
    if parent:
        job["parent"] = parent
        read["previousSnapshotId"] = previous
    return turn.lab.agent("ec2-backup", job)


def _restic(turn: Turn, number: int) -> Run:
    place = volume(turn, f"snap-{number}")
    if not number:
        restic(turn, "init")
    return restic(turn, "backup", str(place))


def _borg(turn: Turn, number: int) -> Run:
    place = volume(turn, f"snap-{number}")
    if not number:
        borg(turn, "init", "--encryption=repokey-blake2")
    return borg(turn, "create", place.name, archive=f"rp-{number}", folder=place.parent)


def _huge(turn: Turn) -> Run:
    """Back up 16 TiB that hold 4 KiB in one block of each GiB: every map segment is written, most of it is holes."""
    image = turn.lab.images / f"snap-huge-{turn.repository}.img"
    with image.open("wb") as file:
        for gib in range(_HUGE):
            os.pwrite(file.fileno(), f"GiB {gib}".encode() * 400, gib * GIB + (gib * 37 % 2048) * BLOCK)
        file.truncate(_HUGE * GIB)
    try:
        return _job(turn, "rp-huge", image.stem, _HUGE * GIB, instance="i-huge")
    finally:
        image.unlink()


HUGE = Row(
    name="huge",
    what="full backup of a sparse volume of 16 TiB",
    agent=_huge,
    reach=(Reach(None, "memory", 512),),
    is_asked_for=True,
)
FULL = Row(
    name="full",
    what="full backup",
    agent=lambda turn: _job(turn, "rp-0", "snap-0", turn.lab.size),
    restic=lambda turn: _restic(turn, 0),
    borg=lambda turn: _borg(turn, 0),
    reach=(Reach("restic", "cpu", 0.45), Reach("borg", "wall", 0.75), Reach(None, "memory", 512)),
)
INCREMENTAL = Row(
    name="incremental",
    what="incremental, 1 % of the blocks changed",
    agent=lambda turn: _job(turn, "rp-1", "snap-1", turn.lab.size, parent="rp-0", previous="snap-0"),
    restic=lambda turn: _restic(turn, 1),
    borg=lambda turn: _borg(turn, 1),
    after=("full",),
    reach=(Reach("restic", "cpu", 0.1), Reach("borg", "cpu", 0.2), Reach(None, "memory", 512)),
)
