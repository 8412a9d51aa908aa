"""What a backup holds in memory does not grow with the volume."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from typing import Final

import pytest
from support.block_devices import FakeEbs, block, block_id
from support.data_jobs import GIB, Bench, volume

from agent.ebs import BLOCK, Listed, Page
from agent.jobs.backup_reading import Source
from agent.repository.known import KnownBlocks
from agent.repository.maps import SEGMENT

TIB: Final = 1024 * GIB
#: Content that any number of blocks share.
_POOL: Final = [(block_id(one), one) for one in (block("text", seed) for seed in range(8))]


class Endless(FakeEbs):
    """A volume of any size with one block in each GiB, made when it is asked for."""

    def __init__(self, size: int) -> None:
        """Take the volume's size in bytes."""
        super().__init__()
        self._count = size // GIB

    def blocks(self, snapshot: str, start: int = 0) -> Iterator[Page]:
        """List the snapshot, a thousand blocks a page."""
        assert (snapshot, start) == ("snap-1", 0)
        for first in range(0, self._count, 1000):
            numbers = range(first, min(self._count, first + 1000))
            yield Page([Listed(number * SEGMENT + number % SEGMENT, "token") for number in numbers], 0)

    def read(self, snapshot: str, index: int, token: str) -> tuple[bytes, bytes]:
        """Read a block."""
        del snapshot, token
        return _POOL[index % len(_POOL)]


def peak(size: int, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Back up a volume of so many bytes; return the most bytes that Python held, and the most map segments open."""
    most, announce = [0], Source.__init__

    def counted(self: Source, *arguments: object, **more: object) -> None:
        announce(self, *arguments, **more)  # type: ignore[arg-type]  # handed on as they came
        inner = self.map.announce

        def noted(number: int, blocks: int) -> None:
            inner(number, blocks)
            most[0] = max(most[0], len(self.map._open))

        monkeypatch.setattr(self.map, "announce", noted)

    monkeypatch.setattr(Source, "__init__", counted)
    bench = Bench(ebs=Endless(size))
    gc.collect()
    tracemalloc.start()
    try:
        result = bench.backup("rp-1", volume("snap-1", size=size))
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        monkeypatch.undo()
    assert result.detail["blocksRead"] == size // GIB
    return held, most[0]


def test_a_volume_of_four_tebibytes_takes_hardly_more_than_one_of_a_quarter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a reference for each GiB of the map, everything under way is bounded by queue and threads."""
    small, _ = peak(TIB // 4, monkeypatch)
    large, opened = peak(4 * TIB, monkeypatch)

    references = 4 * TIB // GIB * 512
    assert large - small < 8 * 1024 * 1024 + references
    assert opened < 200


def test_the_table_of_known_blocks_holds_a_byte_for_some_dozens() -> None:
    """The rest is on disk, and only as much of it as was written."""
    blocks = 16 * TIB // BLOCK

    table = KnownBlocks(blocks + 4 * 1024 * 1024)

    assert len(table._counts) <= 2 * 1024 * 1024
    assert table.find(bytes(32)) is None
