"""Rows: a full backup, and an incremental of 1 % changed blocks."""

from __future__ import annotations

from typing import Any

from benchmarks.data.lab import ACCOUNT, INSTANCE, REGION, VOLUME
from benchmarks.data.measuring import Run
from benchmarks.data.peers import borg, restic, volume
from benchmarks.data.row import Reach, Row, Turn


def _backup(turn: Turn, number: int) -> Run:
    """Write restore point `rp-<number>` of `snap-<number>`, compared with the one before."""
    read: dict[str, Any] = {
        "volumeId": VOLUME,
        "snapshotId": f"snap-{number}",
        "sizeBytes": turn.lab.size,
        "device": "/dev/xvda",
    }
    job: dict[str, Any] = {
        "repository": turn.lab.repository(turn.repository),
        "data": {"region": REGION},
        "resource": {"account": ACCOUNT, "region": REGION, "id": INSTANCE},
        "restorePoint": f"rp-{number}",
        "createdAt": f"2026-11-2{number}T00:00:00.000Z",
        "volumes": [read],
        "compression": turn.contender.compression,
    }
    if number:
        job["parent"] = f"rp-{number - 1}"
        read["previousSnapshotId"] = f"snap-{number - 1}"
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


FULL = Row(
    name="full",
    what="full backup",
    agent=lambda turn: _backup(turn, 0),
    restic=lambda turn: _restic(turn, 0),
    borg=lambda turn: _borg(turn, 0),
    reach=(Reach("restic", "cpu", 0.45), Reach("borg", "wall", 0.75), Reach(None, "memory", 512)),
)
INCREMENTAL = Row(
    name="incremental",
    what="incremental, 1 % of the blocks changed",
    agent=lambda turn: _backup(turn, 1),
    restic=lambda turn: _restic(turn, 1),
    borg=lambda turn: _borg(turn, 1),
    after=("full",),
    reach=(Reach("restic", "cpu", 0.1), Reach("borg", "cpu", 0.2), Reach(None, "memory", 512)),
)
