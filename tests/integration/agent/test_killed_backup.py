"""A worker dies in the middle of a backup; the next attempt does not store again what is stored."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.block_devices import Content
from support.data_jobs import volume
from support.doomed_backup import BLOCKS, READ, WORKER, bench
from support.servers import wait_for

from agent.repository.layout import INDEX, PACKS


def test_what_a_killed_worker_has_stored_is_found_by_the_next(tmp_path: Path) -> None:
    """Its packs are in the index as they come; its lock does not stand in the way of who knows that it has ended."""
    places = [str(Path(__file__).parents[2]), *sys.path]
    doomed = subprocess.Popen(
        [sys.executable, "-m", "support.doomed_backup", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
    )
    made = bench(tmp_path)
    packs = READ // 33
    try:
        wait_for(lambda: len(list(made.objects.list(INDEX))) >= packs, seconds=30)
    finally:
        doomed.kill()
        doomed.wait()
    kept = len(list(made.objects.list(PACKS)))

    made.ended = (WORKER,)
    result = made.backup("rp-2", volume("snap-2"))

    assert kept >= packs
    assert result.detail["blocksRead"] == BLOCKS
    assert BLOCKS - READ <= result.detail["blocksStored"] <= BLOCKS - packs * 31
    assert made.points == ["rp-2"]
    expected: Content = made.ebs.snapshots["snap-2"]
    assert made.restored("rp-2") == expected


@pytest.mark.parametrize("seconds", [0.0, 3600.0])
def test_packs_are_indexed_at_once_only_after_a_while(tmp_path: Path, seconds: float) -> None:
    """A short backup writes one index segment, a long one some."""
    made = bench(tmp_path)
    made.checkpoint = seconds

    made.backup("rp-1", volume("snap-1"))

    segments, packs = len(list(made.objects.list(INDEX))), len(list(made.objects.list(PACKS)))
    assert packs > 2
    assert segments == (packs if seconds == 0 else 1)
