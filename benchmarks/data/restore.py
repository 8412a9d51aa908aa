"""Row: a restore of the incremental's point."""

from __future__ import annotations

import subprocess
from pathlib import Path

from benchmarks.data.lab import ACCOUNT, INSTANCE, REGION, VOLUME
from benchmarks.data.measuring import Run
from benchmarks.data.peers import borg, restic
from benchmarks.data.row import Reach, Row, Turn


def _compare(turn: Turn, restored: Path) -> None:
    subprocess.run(["cmp", restored, turn.lab.images / "snap-1.img"], check=True)
    restored.unlink()


def _agent(turn: Turn) -> Run:
    name = f"snap-restored-{turn.repository}"
    target = turn.lab.images / f"{name}.img"
    with target.open("wb") as file:
        file.truncate(turn.lab.size)
    job = {
        "repository": turn.lab.repository(turn.repository),
        "data": {"region": REGION},
        "source": {"account": ACCOUNT, "region": REGION, "id": INSTANCE},
        "restorePoint": "rp-1",
        "volumes": [{"volumeId": VOLUME, "snapshotId": name, "sizeBytes": turn.lab.size}],
    }
    run = turn.lab.agent("ec2-restore-volume", job)
    _compare(turn, target)
    return run


def _restic(turn: Turn) -> Run:
    target = turn.scratch / "restored"
    run = restic(turn, "restore", "latest", "--target", str(target))
    _compare(turn, next(target.rglob("volume.img")))
    return run


def _borg(turn: Turn) -> Run:
    target = turn.scratch / "restored"
    target.mkdir()
    run = borg(turn, "extract", archive="rp-1", folder=target)
    _compare(turn, target / "volume.img")
    return run


ROW = Row(
    name="restore",
    what="restore of one volume",
    agent=_agent,
    restic=_restic,
    borg=_borg,
    after=("full", "incremental"),
    reach=(Reach("restic", "cpu", 0.5), Reach(None, "memory", 512)),
)
