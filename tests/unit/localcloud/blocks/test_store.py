"""The store, compared with a plain dictionary for each content."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import threading
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from localcloud.blocks.layers import BLOCK
from localcloud.blocks.maps import changed
from localcloud.blocks.store import Content, Sealed, Store

#: Few places, so that writes meet: neighbours, the border of two files, and the end of 16 TiB.
PLACES = (0, 1, 2, 3, 900, 2_097_151, 2_097_152, 33_554_431)


def block(version: int) -> bytes:
    """Return the data of a version; version 0 is zeros."""
    return version.to_bytes(8, "big") * (BLOCK // 8)


def put(content: Content, index: int, data: bytes) -> None:
    """Write a block with its digest."""
    content.write(index, data, sha256(data).digest())


def space(directory: Path) -> int:
    """Return the bytes that blocks take on the disk; digests do not count."""
    files = [path for path in directory.rglob("*") if path.is_file() and path.name != "sums"]
    return sum(path.stat().st_blocks * 512 for path in files)


class StoreMachine(RuleBasedStateMachine):
    """Volumes and snapshots come, are written, copied and go; the model knows which version each block has."""

    volumes: Bundle[Content] = Bundle("volumes")
    snapshots: Bundle[Content] = Bundle("snapshots")

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.store = Store(self.directory / "blocks")
        self.model: dict[Content, dict[int, tuple[int, int]]] = {}
        #: What volumes had when they were frozen last: kept until they are frozen again.
        self.frozen: dict[Content, dict[int, tuple[int, int]]] = {}
        self.writes = itertools.count(1)

    def teardown(self) -> None:
        """Remove the files."""
        shutil.rmtree(self.directory)

    @rule(target=volumes)
    def make_volume(self) -> Content:
        """An empty volume."""
        volume = self.store.create()
        self.model[volume] = {}
        return volume

    @rule(volume=volumes, indexes=st.sets(st.sampled_from(PLACES), min_size=1), zeros=st.booleans())
    def write(self, volume: Content, indexes: set[int], *, zeros: bool) -> None:
        """A write is a new version, be its data new or not."""
        for index in sorted(indexes):
            number = next(self.writes)
            version = 0 if zeros else number
            put(volume, index, block(version))
            self.model[volume][index] = (number, version)

    @rule(target=snapshots, volume=volumes)
    def snapshot(self, volume: Content) -> Content:
        """A snapshot holds what its volume holds, and stays so."""
        snapshot = self.store.snapshot(volume)
        self.model[snapshot] = self.frozen[volume] = dict(self.model[volume])
        return snapshot

    @rule(target=volumes, snapshot=snapshots)
    def make_volume_from(self, snapshot: Content) -> Content:
        """A volume made from a snapshot holds its bytes and is of its lineage."""
        volume = self.store.create(snapshot)
        assert volume.lineage == snapshot.lineage
        self.model[volume] = dict(self.model[snapshot])
        self.frozen[volume] = self.model[snapshot]
        return volume

    @rule(target=snapshots, content=consumes(snapshots))
    def drop_snapshot(self, content: Content) -> Any:
        """A dropped snapshot is gone."""
        self.store.drop(content)
        del self.model[content]
        return multiple()

    @rule(target=volumes, content=consumes(volumes))
    def drop_volume(self, content: Content) -> Any:
        """A dropped volume is gone."""
        self.store.drop(content)
        del self.model[content]
        self.frozen.pop(content, None)
        with pytest.raises(Sealed):
            put(content, 0, block(1))
        return multiple()

    @rule(content=snapshots)
    def read(self, content: Content) -> None:
        """Lists hold exactly what was written, in order, with its data and digest."""
        expected = self.model[content]
        assert content.blocks.indexes.tolist() == sorted(expected)
        for index, (_, version) in expected.items():
            assert self.store.read(content, index) == block(version)
            assert self.store.digest(content, index) == sha256(block(version)).digest()

    @rule(first=snapshots, second=snapshots)
    def compare(self, first: Content, second: Content) -> None:
        """Changed blocks are those of another write, in both directions, with which side has them."""
        before, after = self.model[first], self.model[second]
        expected = sorted(index for index in before | after if before.get(index) != after.get(index))

        indexes, in_first, in_second = changed(first.blocks, second.blocks)

        assert indexes.tolist() == expected
        assert in_first.tolist() == [index in before for index in expected]
        assert in_second.tolist() == [index in after for index in expected]

    @invariant()
    def no_space_is_lost(self) -> None:
        """The disk holds each version once that some content holds, and nothing else."""
        holdings = [*self.model.values(), *self.frozen.values()]
        versions = {version for held in holdings for _, version in held.values() if version}
        assert space(self.directory) == len(versions) * BLOCK


TestStore = StoreMachine.TestCase
TestStore.settings = settings(
    max_examples=12,
    stateful_step_count=25,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def test_a_dropped_snapshot_gives_back_what_only_it_had(tmp_path: Path) -> None:
    """Of a layer that others need in part, the other part is given back, and no more than that."""
    store = Store(tmp_path / "blocks")
    volume = store.create()
    for index in (1, 2, 3):
        put(volume, index, block(index))
    first = store.snapshot(volume)
    put(volume, 1, block(11))
    second = store.snapshot(volume)
    put(volume, 2, block(12))
    third = store.snapshot(volume)

    store.drop(first)
    after_first = space(tmp_path)
    store.drop(second)

    # Versions 1 and 2 of block 1 and 2 were needed by the first and by the second one last.
    assert (after_first, space(tmp_path)) == (4 * BLOCK, 3 * BLOCK)
    assert [store.read(third, index) for index in (1, 2, 3)] == [block(11), block(12), block(3)]


def test_what_somebody_needs_is_kept(tmp_path: Path) -> None:
    """Each of two volumes goes on needing another part of a dropped snapshot."""
    store = Store(tmp_path / "blocks")
    origin = store.create()
    for index in (1, 2, 3):
        put(origin, index, block(index))
    snapshot = store.snapshot(origin)
    volumes = [store.create(snapshot) for _ in range(2)]
    for index, volume in enumerate(volumes, start=1):
        put(volume, index, block(10 + index))
        volume.freeze()

    store.drop(origin)
    store.drop(snapshot)

    held = [[store.read(volume, index) for index in (1, 2, 3)] for volume in volumes]
    assert held == [[block(11), block(2), block(3)], [block(1), block(12), block(3)]]


def test_what_a_volume_overwrites_is_given_back_when_nobody_else_has_it(tmp_path: Path) -> None:
    """A volume that outlives its snapshots does not keep what they alone had shown."""
    store = Store(tmp_path / "blocks")
    volume = store.create()
    put(volume, 1, block(1))
    put(volume, 2, block(2))
    store.drop(store.snapshot(volume))
    put(volume, 1, block(11))

    store.drop(store.snapshot(volume))

    assert space(tmp_path) == 2 * BLOCK


def test_nothing_is_left_when_all_contents_are_dropped(tmp_path: Path) -> None:
    """The last content takes its layers with it."""
    store = Store(tmp_path / "blocks")
    volume = store.create()
    put(volume, 3, block(1))
    snapshot = store.snapshot(volume)
    put(volume, 3, block(2))

    store.drop(volume)
    store.drop(snapshot)
    store.drop(snapshot)

    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_snapshot_of_an_unchanged_volume_shares_its_map(tmp_path: Path) -> None:
    """Nothing is copied when nothing was written since the last snapshot."""
    store = Store(tmp_path / "blocks")
    volume = store.create()
    put(volume, 3, block(1))

    first, second = store.snapshot(volume), store.snapshot(volume)

    assert first.blocks is second.blocks


def test_writing_waits_while_a_content_is_still(tmp_path: Path) -> None:
    """Several volumes can be snapshot at one moment: none is written between the first and the last one."""
    store = Store(tmp_path / "blocks")
    volume = store.create()
    began = threading.Event()

    def write() -> None:
        began.set()
        put(volume, 1, block(1))

    writer = threading.Thread(target=write)
    with volume.still():
        writer.start()
        began.wait()
        before = store.snapshot(volume)
        also = store.snapshot(volume)
    writer.join()

    assert before.blocks.indexes.tolist() == also.blocks.indexes.tolist() == []
    assert store.snapshot(volume).blocks.indexes.tolist() == [1]


def test_a_repeated_write_leaves_data_and_digest_together(tmp_path: Path) -> None:
    """Two writers of the same block: one of them wins whole."""
    store = Store(tmp_path / "blocks")
    volume = store.create()

    def write(start: int) -> None:
        for version in range(start, start + 20):
            put(volume, 0, block(version))

    writers = [threading.Thread(target=write, args=(start,)) for start in (100, 200)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    snapshot = store.snapshot(volume)
    assert sha256(store.read(snapshot, 0)).digest() == store.digest(snapshot, 0)


def test_a_copy_is_of_another_lineage(tmp_path: Path) -> None:
    """Copies hold the same bytes, but changed blocks between them are not told."""
    store = Store(tmp_path / "blocks")
    volume = store.create()
    put(volume, 3, block(1))
    snapshot = store.snapshot(volume)

    copy = store.create(snapshot, same_lineage=False)

    assert copy.lineage != snapshot.lineage == volume.lineage
    assert store.read(copy, 3) == block(1)
