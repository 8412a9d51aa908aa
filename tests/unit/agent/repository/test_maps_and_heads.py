"""Map segments, index segments and heads come back as they were written."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from agent.repository.errors import Damaged, Unusable
from agent.repository.head import Head, SegmentRef, Volume, decode_head, encode_head
from agent.repository.index import ROW_BYTES, decode_index, encode_index
from agent.repository.layout import PACK_ID
from agent.repository.maps import CHECK, SEGMENT, OpenSegment, Segment, decode_segment, encode_segment
from agent.repository.pack import BLOCK_ID, PackTable
from agent.repository.seal import pack_document, seal

KEY_ID, DATA_KEY = b"\x01\x02\x03\x04", bytes(range(32))
KEYS = {"key_id": KEY_ID, "data_key": DATA_KEY}

Row = tuple[bytes, int, bytes]
rows = st.dictionaries(
    st.integers(0, SEGMENT - 1),
    st.tuples(st.sampled_from([bytes([n]) * PACK_ID for n in range(9)]), st.integers(0, 1023), st.binary(min_size=32)),
    max_size=60,
)


def find_key(_key_id: bytes) -> bytes:
    """Know the one key."""
    return DATA_KEY


def seen(segment: Segment) -> dict[int, Row]:
    """Return a segment's rows by offset."""
    return {
        int(offset): (segment.packs[rank].tobytes(), int(slot), check.tobytes())
        for offset, rank, slot, check in zip(segment.offsets, segment.ranks, segment.slots, segment.checks, strict=True)
    }


def expected(wanted: dict[int, Row]) -> dict[int, Row]:
    """Return rows as a segment keeps them: of the block id, the beginning."""
    return {offset: (pack, slot, block_id[:CHECK]) for offset, (pack, slot, block_id) in wanted.items()}


def stored(segment: Segment) -> Segment:
    """Return a segment after it was sealed and opened."""
    sealed = encode_segment(segment, place="map#vol#7", **KEYS)
    return decode_segment(sealed, place="map#vol#7", find_key=find_key)


@settings(deadline=None)
@given(rows, rows, st.sets(st.integers(0, SEGMENT - 1), max_size=20))
def test_a_segment_on_the_base_of_another_holds_what_was_not_changed(
    base: dict[int, Row], changes: dict[int, Row], dropped: set[int]
) -> None:
    """Put and dropped blocks show, all others are the base's."""
    first = OpenSegment()
    for offset, row in base.items():
        first.put(offset, *row)
    second = OpenSegment(stored(first.freeze()))
    for offset, row in changes.items():
        second.put(offset, *row)
    for offset in dropped:
        second.drop(offset)

    frozen = second.freeze()

    kept = {offset: row for offset, row in {**base, **changes}.items() if offset not in dropped}
    assert seen(frozen) == expected(kept)
    assert seen(stored(frozen)) == expected(kept)


def test_a_full_segment_in_order_takes_little_more_than_its_checks() -> None:
    """About six bytes a block: 12 KiB for a GiB."""
    segment = OpenSegment()
    chance = np.random.default_rng(1)
    for offset in range(SEGMENT):
        pack = bytes([offset // 40]) * PACK_ID
        segment.put(offset, pack, offset % 40, chance.bytes(BLOCK_ID))

    size = len(encode_segment(segment.freeze(), place="here", **KEYS))

    assert size < SEGMENT * (CHECK + 2)


def test_a_segment_of_another_volume_or_number_does_not_open() -> None:
    """Two segments of one map object cannot be taken for each other."""
    sealed = encode_segment(OpenSegment().freeze(), place="map#vol-1#0", **KEYS)

    for place in ("map#vol-2#0", "map#vol-1#1"):
        with pytest.raises(Damaged):
            decode_segment(sealed, place=place, find_key=find_key)


def table(pack: int, slots: int) -> PackTable:
    """Return the table of a made-up pack."""
    chance = np.random.default_rng(pack)
    return PackTable(
        pack_id=bytes([pack]) * PACK_ID,
        ids=np.frombuffer(chance.bytes(BLOCK_ID * slots), dtype=np.uint8).reshape(slots, BLOCK_ID),
        lengths=chance.integers(100, 520_000, slots, dtype=np.uint32),
        flags=chance.integers(0, 2, slots, dtype=np.uint8),
    )


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 255), st.integers(1, 80)), min_size=1, max_size=8))
def test_an_index_segment_repeats_the_packs_tables(packs: list[tuple[int, int]]) -> None:
    """Packs, slots, ids, lengths and flags come back in order."""
    tables = [table(pack, slots) for pack, slots in packs]

    read = decode_index(encode_index(tables, place="index/a", **KEYS), place="index/a", find_key=find_key)

    assert [one.pack_id for one in read] == [one.pack_id for one in tables]
    for one, other in zip(read, tables, strict=True):
        np.testing.assert_array_equal(one.ids, other.ids)
        np.testing.assert_array_equal(one.lengths, other.lengths)
        np.testing.assert_array_equal(one.flags, other.flags)


def test_an_index_row_takes_about_what_the_budget_counts() -> None:
    """A segment's rows can be told from its size without reading it."""
    tables = [table(pack, 40) for pack in range(50)]

    size = len(encode_index(tables, place="index/a", **KEYS))

    assert 0.9 < size / (50 * 40) / ROW_BYTES < 1.1


def head(**changes: object) -> Head:
    """Return a restore point."""
    volume = Volume(
        volume_id="vol-1",
        snapshot_id="snap-1",
        size_bytes=8 * 1024**3,
        device="/dev/xvda",
        blocks=7,
        segments=(
            SegmentRef(0, "b" * 32, 0, 300),
            SegmentRef(3, "a" * 32, 10, 20),
            SegmentRef(70000, "b" * 32, 300, 9),
        ),
        attributes={"type": "gp3", "encrypted": True},
    )
    empty = Volume(volume_id="vol-2", snapshot_id="snap-2", size_bytes=1, device="b", blocks=0, segments=())
    values = {
        "point": "rp-1",
        "account": "222222222222",
        "region": "eu-west-1",
        "resource": "i-1",
        "created_at": "2026-11-23T02:00:00.000Z",
        "finished_at": "2026-11-23T02:10:00.000Z",
        "kind": "full",
        "parent": None,
        "consistency": "crash",
        "writer": "i-worker",
        "fence": 3,
        "volumes": (volume, empty),
        "configuration": {"instanceType": "t3.small", "tags": {"a": "b"}},
        "figures": {"blocksRead": 9},
    }
    return Head(**{**values, **changes})  # type: ignore[arg-type]


def test_a_head_comes_back_whole() -> None:
    """Volumes, segment references, configuration and figures; also a volume without any block."""
    wanted = head()

    assert decode_head(encode_head(wanted, place="rp/1", **KEYS), place="rp/1", find_key=find_key) == wanted
    assert wanted.volume("vol-2") == wanted.volumes[1]
    assert wanted.volume("vol-3") is None


def test_a_head_of_another_format_is_left_alone() -> None:
    """A newer agent's restore point is not half understood."""
    sealed = seal(pack_document({"format": 2}), place="rp/1", **KEYS)

    with pytest.raises(Unusable, match="format 2"):
        decode_head(sealed, place="rp/1", find_key=find_key)


def test_fields_that_a_later_agent_adds_are_left_out() -> None:
    """What is not known does not disturb."""
    from agent.repository.head import pack_document as original
    from agent.repository.seal import unpack_document, unseal

    plain = unpack_document(unseal(encode_head(head(), place="p", **KEYS), place="p", find_key=find_key), place="p")
    plain["later"] = 1
    plain["volumes"][0]["later"] = 2

    assert decode_head(seal(original(plain), place="p", **KEYS), place="p", find_key=find_key) == head()
