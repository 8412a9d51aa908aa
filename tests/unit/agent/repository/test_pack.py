"""Packs give back what was put in, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings, strategies as st
from support.block_devices import block, block_id

from agent.repository.errors import Damaged
from agent.repository.layout import pack_key
from agent.repository.pack import (
    BLOCK,
    END,
    MOST_SLOTS,
    OVERHEAD,
    RAW,
    ZSTD,
    OpenPack,
    PackReader,
    PackTable,
    read_table,
)

KEY_ID, DATA_KEY = b"\x0a\x0b\x0c\x0d", bytes(range(32))


def find_key(_key_id: bytes) -> bytes:
    """Know the one key."""
    return DATA_KEY


def filled(blocks: list[bytes]) -> tuple[PackTable, bytes]:
    """Return a pack of these blocks, compressed where that helps."""
    pack = OpenPack(key_id=KEY_ID, data_key=DATA_KEY)
    for data in blocks:
        content = zstandard.compress(data, 1)
        flag, content = (ZSTD, content) if len(content) < BLOCK else (RAW, data)
        place = pack.reserve(block_id(data), flag, len(content))
        assert place is not None
        pack.fill(place, block_id(data), flag, content)
        pack.done()
    pack.close()
    assert pack.is_whole
    table, content = pack.sealed()
    return table, bytes(content)


def opened(table: PackTable, content: bytes, slot: int) -> bytes:
    """Return the block in a slot."""
    blob = content[int(table.offsets[slot]) : int(table.offsets[slot + 1])]
    return PackReader(table, find_key).open(slot, blob, zstandard.ZstdDecompressor())


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["noise", "text"]), st.integers(0, 50)), min_size=1, max_size=6))
def test_blocks_come_back_from_the_pack_alone(kinds: list[tuple[str, int]]) -> None:
    """The pack's own footer says what it holds and where."""
    blocks = [block(kind, seed) for kind, seed in kinds]
    table, content = filled(blocks)

    read = read_table(table.pack_id, content, find_key)

    assert [read.block_id(slot) for slot in range(read.slots)] == [block_id(data) for data in blocks]
    assert [opened(read, content, slot) for slot in range(read.slots)] == blocks
    np.testing.assert_array_equal(read.lengths, table.lengths)


def test_compressible_blocks_shrink_and_noise_costs_seventeen_bytes() -> None:
    """What does not compress is stored as it is."""
    table, _ = filled([block("text"), block("noise")])

    assert table.flags.tolist() == [ZSTD, RAW]
    assert table.lengths[0] < BLOCK // 10
    assert table.lengths[1] == BLOCK + OVERHEAD


def test_the_last_bytes_are_enough_to_know_a_pack() -> None:
    """A footer is read without the blobs, also the largest."""
    pack = OpenPack(key_id=KEY_ID, data_key=DATA_KEY)
    ids = [block_id(number.to_bytes(4, "big")) for number in range(MOST_SLOTS)]
    for one in ids:
        place = pack.reserve(one, RAW, 10)
        assert place is not None
        pack.fill(place, one, RAW, b"0123456789")
        pack.done()
    refused = pack.reserve(ids[0], RAW, 10)
    table, content = pack.sealed()

    read = read_table(table.pack_id, content[-END:], find_key)

    assert refused is None
    assert [read.block_id(slot) for slot in range(read.slots)] == ids


def test_a_pack_is_whole_only_when_every_reserved_slot_is_filled() -> None:
    """A pack that is closed while a thread still encrypts is not uploaded."""
    pack = OpenPack(key_id=KEY_ID, data_key=DATA_KEY)
    pack.reserve(block_id(b"1"), RAW, 1)
    pack.close()

    before = pack.is_whole
    pack.done()

    assert (before, pack.is_whole) == (False, True)


def test_a_full_pack_takes_no_more() -> None:
    """A pack ends at its size; an empty one takes any block."""
    pack = OpenPack(key_id=KEY_ID, data_key=DATA_KEY, size=10)

    assert pack.reserve(block_id(b"1"), RAW, BLOCK) == (0, 0)
    assert pack.reserve(block_id(b"2"), RAW, 1) is None


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_flipped_bit_in_a_blob_goes_unseen(data: st.DataObject) -> None:
    """Whichever bit of a blob's content changes, opening it names pack and slot."""
    table, content = filled([block("text", 1), block("text", 2)])
    slot = data.draw(st.integers(0, 1))
    # The first byte repeats the flag for readers without a footer; the footer's counts.
    at = data.draw(st.integers(int(table.offsets[slot]) + 1, int(table.offsets[slot + 1]) - 1))
    changed = bytearray(content)
    changed[at] ^= 1 << data.draw(st.integers(0, 7))

    with pytest.raises(Damaged, match=rf"{pack_key(table.pack_id)} is damaged in slot {slot}"):
        opened(table, bytes(changed), slot)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_flipped_bit_in_footer_or_tail_goes_unseen(data: st.DataObject) -> None:
    """Nor behind the blobs; only the reserved fields of the tail carry nothing."""
    table, content = filled([block("text", 1)])
    reserved = {*range(len(content) - 22, len(content) - 20), *range(len(content) - 8, len(content))}
    places = [at for at in range(int(table.offsets[-1]), len(content)) if at not in reserved]
    at = data.draw(st.sampled_from(places))
    changed = bytearray(content)
    changed[at] ^= 1 << data.draw(st.integers(0, 7))

    with pytest.raises(Damaged, match="is damaged"):
        read_table(table.pack_id, changed, find_key)


def test_blobs_cannot_change_places() -> None:
    """A blob of another slot, or of another pack, does not open."""
    table, content = filled([block("noise", 1), block("noise", 2)])
    other, other_content = filled([block("noise", 1)])
    reader = PackReader(table, find_key)
    middle = int(table.offsets[1])

    with pytest.raises(Damaged):
        reader.open(0, content[middle : int(table.offsets[2])], zstandard.ZstdDecompressor())
    with pytest.raises(Damaged):
        reader.open(0, other_content[: int(other.offsets[1])], zstandard.ZstdDecompressor())


def test_a_pack_in_another_packs_place_is_found_out() -> None:
    """Packs cannot be swapped."""
    one, _ = filled([block("text", 1)])
    _, other = filled([block("text", 2)])

    with pytest.raises(Damaged, match=pack_key(one.pack_id)):
        read_table(one.pack_id, other, find_key)


@pytest.mark.parametrize("keep", [0, 10, 31, 200])
def test_a_cut_pack_is_damaged(keep: int) -> None:
    """A pack that lost its end is not read."""
    table, content = filled([block("text", 1)])

    with pytest.raises(Damaged):
        read_table(table.pack_id, content[:keep], find_key)


def test_pack_ids_are_never_the_same() -> None:
    """Equal blocks give packs of other names, and other bytes."""
    one, first = filled([block("text", 1)])
    two, second = filled([block("text", 1)])

    assert one.pack_id != two.pack_id
    assert first != second
    assert one.pack_id.startswith(KEY_ID)
