"""Blocks go through writer, maps and packs and come back the same, each distinct one stored once."""

from __future__ import annotations

from threading import Event

import pytest
import zstandard
from hypothesis import given, settings, strategies as st
from support.block_devices import block, block_id
from support.repositories import CHAIN, Watched, fails_at, flip, memory_repository

from agent.crew import Crew
from agent.repository.dedupe import load_known
from agent.repository.errors import Damaged, Missing, Unreachable
from agent.repository.head import Volume
from agent.repository.known import KnownBlocks
from agent.repository.layout import MARKS, Chain, pack_key, time_id
from agent.repository.mapping import MapObjects, VolumeMap
from agent.repository.maps import SEGMENT
from agent.repository.pack import BLOCK, OVERHEAD
from agent.repository.reader import by_pack, load_pack
from agent.repository.repository import Repository
from agent.repository.seal import pack_document, seal
from agent.repository.writer import Stored, Writer

Place = tuple[bytes, int]


def store(repository: Repository, blocks: list[bytes], *, chain: Chain = CHAIN, pack_size: int = 2 * BLOCK) -> Stored:
    """Store blocks with what the index knows."""
    with Crew(Event()) as crew:
        known = load_known(repository, chain, crew, budget=1000, expected=1000)
        writer = Writer(repository, chain, crew, known=known, pack_size=pack_size)
        for data in blocks:
            writer.store(block_id(data), data)
        return writer.finish()


def opened(repository: Repository, place: Place, data: bytes) -> bytes:
    """Read a block back from its place."""
    pack = load_pack(repository, place[0], [place[1]])
    return pack.open(place[1], block_id(data)[:4], zstandard.ZstdDecompressor())[1]


def test_equal_blocks_are_stored_once_within_a_backup_and_between_backups() -> None:
    """The second backup of the same blocks stores nothing."""
    repository = memory_repository()
    blocks = [block("noise", 1), block("text", 1), block("noise", 1), block("text", 2), block("text", 1)]

    first = store(repository, blocks)
    second = store(repository, blocks)

    assert first.blocks == 3
    assert second == Stored(blocks=0, bytes=0)


def test_other_chains_blocks_are_found_too() -> None:
    """The same operating system on two machines is stored once."""
    repository = memory_repository()
    store(repository, [block("text", 1), block("text", 2)])

    other = Chain(account="333333333333", region="eu-west-1", resource="i-2")
    again = store(repository, [block("text", 2), block("text", 3)], chain=other)

    assert again.blocks == 1


def test_blocks_of_packs_that_are_marked_for_deletion_are_stored_again() -> None:
    """What retention is about to delete is not relied upon."""
    objects = Watched()
    repository = memory_repository(objects)
    store(repository, [block("text", 1)])
    pack_id = bytes.fromhex(objects.keys("packs")[0].rpartition("/")[2])
    key_id, data_key = repository.ring.current()
    place = f"{MARKS}/{time_id()}"
    objects.create(place, seal(pack_document({"packs": pack_id}), place=place, key_id=key_id, data_key=data_key))

    again = store(repository, [block("text", 1)])

    assert again.blocks == 1


def test_many_threads_with_the_same_block_store_it_once() -> None:
    """Those that come while it is being stored wait for its place."""
    repository = memory_repository()
    data = block("noise", 7)
    places: list[Place] = []
    with Crew(Event()) as crew:
        writer = Writer(repository, CHAIN, crew, known=KnownBlocks(10))
        crew.start(16, lambda: places.append(writer.store(block_id(data), data)), name="writer").wait()
        stored = writer.finish()

    assert stored.blocks == 1
    assert len(places) == 16
    assert len(set(places)) == 1
    assert opened(repository, places[0], data) == data


def test_full_packs_are_uploaded_and_the_last_one_at_the_end() -> None:
    """No pack is larger than its size and what a pack needs beside its blobs; index rows come with the packs."""
    objects = Watched()
    repository = memory_repository(objects)

    stored = store(repository, [block("noise", number) for number in range(5)], pack_size=2 * (BLOCK + OVERHEAD))

    sizes = [entry.size for entry in objects.list("packs")]
    assert len(sizes) == 3
    assert max(sizes) < 2 * (BLOCK + OVERHEAD) + 1000
    assert sum(sizes) == stored.bytes
    assert len(objects.keys("index")) == 1


def test_a_pack_that_cannot_be_uploaded_fails_the_writer() -> None:
    """Whoever finishes hears it, and no index segment tells of a pack that is not there."""
    objects = Watched()
    repository = memory_repository(objects)
    repository.ring.current()
    objects.before = fails_at("packs/")

    with pytest.raises(Unreachable, match="packs/"):
        store(repository, [block("noise", number) for number in range(20)])

    assert objects.keys("index") == []


def test_what_a_failed_writer_has_uploaded_can_be_salvaged() -> None:
    """The next attempt does not store it again."""
    repository = memory_repository()
    blocks = [block("noise", number) for number in range(4)]
    with Crew(Event()) as crew:
        writer = Writer(repository, CHAIN, crew, known=KnownBlocks(10), pack_size=BLOCK + OVERHEAD)
        for data in blocks:
            writer.store(block_id(data), data)
        writer._full.close()
        writer._uploaders.wait()
    writer.salvage()

    again = store(repository, blocks)

    assert again.blocks == 1  # the pack that was still open


Rows = dict[int, Place]


def mapped(repository: Repository, rows: Rows, ids: dict[int, bytes]) -> Volume:
    """Write the map of a volume whose blocks are at these places."""
    objects = MapObjects(repository, CHAIN)
    building = VolumeMap("vol-1", objects)
    for number in sorted({index // SEGMENT for index in rows}):
        building.announce(number, sum(index // SEGMENT == number for index in rows))
    for index, (pack_id, slot) in rows.items():
        building.put(index, pack_id, slot, ids[index])
    objects.flush()
    return Volume(
        volume_id="vol-1",
        snapshot_id="snap-1",
        size_bytes=0,
        device="a",
        blocks=building.added,
        segments=building.references(),
    )


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(st.integers(0, 20 * SEGMENT), st.tuples(st.integers(0, 5), st.integers(0, 900)), max_size=200),
    st.integers(1, 50),
)
def test_walking_by_pack_meets_every_block_once(wanted: dict[int, tuple[int, int]], window: int) -> None:
    """Whatever the window; within one, each pack comes once, with slots, indices and checks that belong together."""
    repository = memory_repository()
    rows = {index: (bytes([pack]) * 20, slot) for index, (pack, slot) in wanted.items()}
    ids = {index: block_id(index.to_bytes(8, "big")) for index in rows}
    volume = mapped(repository, rows, ids)

    walked = list(by_pack(repository, CHAIN, volume, window=window))

    seen = {
        int(index): (one.pack_id, int(slot), check.tobytes())
        for one in walked
        for index, slot, check in zip(one.indices, one.slots, one.checks, strict=True)
    }
    assert seen == {index: (*place, ids[index][:4]) for index, place in rows.items()}
    assert sum(len(one.slots) for one in walked) == len(rows) == volume.blocks
    whole = list(by_pack(repository, CHAIN, volume))
    assert len(whole) == len({one.pack_id for one in whole})


def test_map_segments_gather_in_objects_of_a_certain_size() -> None:
    """A large volume makes a few map objects, not one for each GiB, and every segment is found in its own."""
    objects = Watched()
    repository = memory_repository(objects)
    maps = MapObjects(repository, CHAIN, size=1000)
    building = VolumeMap("vol-1", maps)
    for number in range(40):
        building.announce(number, 1)
        building.put(number * SEGMENT, bytes(20), number, bytes(32))
    maps.flush()
    volume = Volume(
        volume_id="vol-1", snapshot_id="s", size_bytes=0, device="a", blocks=40, segments=building.references()
    )

    walked = list(by_pack(repository, CHAIN, volume))

    sizes = [entry.size for entry in objects.list("map")]
    assert all(1000 <= size < 1300 for size in sizes[:-1])
    assert 2 < len(sizes) < 20
    assert walked[0].slots.tolist() == list(range(40))


def test_a_map_is_not_given_out_while_blocks_are_missing() -> None:
    """A head can never point to half a map."""
    building = VolumeMap("vol-1", MapObjects(memory_repository(), CHAIN))
    building.announce(0, 2)
    building.drop(1)

    with pytest.raises(RuntimeError, match="1 map segments are not complete"):
        building.references()


def stored_one(repository: Repository, *blocks: bytes) -> list[Place]:
    """Store blocks in one pack; returns their places."""
    with Crew(Event()) as crew:
        writer = Writer(repository, CHAIN, crew, known=KnownBlocks(10))
        places = [writer.store(block_id(data), data) for data in blocks]
        writer.finish()
    return places


def test_few_slots_of_a_pack_are_read_without_the_rest() -> None:
    """One block of a pack costs its blob and the footer, many blocks one read of all."""
    objects = Watched()
    repository = memory_repository(objects)
    blocks = [block("noise", number) for number in range(20)]
    places = stored_one(repository, *blocks)
    objects.read.clear()

    assert opened(repository, places[3], blocks[3]) == blocks[3]
    assert objects.read == []

    pack = load_pack(repository, places[0][0], [slot for _, slot in places])
    found = [
        pack.open(slot, block_id(data)[:4], zstandard.ZstdDecompressor())
        for (_, slot), data in zip(places, blocks, strict=True)
    ]
    assert found == [(block_id(data), data) for data in blocks]
    assert objects.read == [pack_key(places[0][0])]


def test_a_map_that_points_to_another_block_is_found_out() -> None:
    """Even when that block itself is in order."""
    repository = memory_repository()
    first, second = block("text", 1), block("text", 2)
    places = stored_one(repository, first, second)

    with pytest.raises(Damaged, match="another block"):
        opened(repository, places[0], second)
    with pytest.raises(Damaged, match="which has 2"):
        load_pack(repository, places[0][0], [2])


@pytest.mark.parametrize("place", [10, -100, -5])
def test_a_flipped_bit_in_a_stored_pack_is_found_out(place: int) -> None:
    """In a blob, in the footer, in the tail."""
    objects = Watched()
    repository = memory_repository(objects)
    data = block("noise", 1)
    places = stored_one(repository, data)
    objects.replace(pack_key(places[0][0]), lambda content: flip(content, place if place != -5 else -28))

    with pytest.raises(Damaged, match="packs/"):
        opened(repository, places[0], data)


def test_swapped_packs_are_found_out() -> None:
    """Each pack opens under its own name only."""
    objects = Watched()
    repository = memory_repository(objects)
    first, second = block("noise", 1), block("noise", 2)
    one, two = stored_one(repository, first), stored_one(repository, second)
    objects.swap(pack_key(one[0][0]), pack_key(two[0][0]))

    with pytest.raises(Damaged):
        opened(repository, one[0], first)


def test_a_pack_that_is_gone_is_named() -> None:
    """By its key."""
    objects = Watched()
    repository = memory_repository(objects)
    places = stored_one(repository, block("text", 1))
    objects.delete(pack_key(places[0][0]))

    with pytest.raises(Missing, match="packs/"):
        opened(repository, places[0], block("text", 1))
