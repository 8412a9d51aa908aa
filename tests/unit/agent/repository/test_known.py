"""Known blocks: every block that was added is found, no other, whatever the capacity was planned for."""

from __future__ import annotations

import hashlib

from hypothesis import given, settings, strategies as st

from agent.repository.known import KnownBlocks
from agent.repository.layout import PACK_ID


def block_id(number: int) -> bytes:
    """Return a made-up block id."""
    return hashlib.sha256(number.to_bytes(8, "big")).digest()


def pack_id(number: int) -> bytes:
    """Return a made-up pack id."""
    return hashlib.sha256(b"pack" + number.to_bytes(8, "big")).digest()[:PACK_ID]


@settings(max_examples=20, deadline=None)
@given(st.sets(st.integers(0, 10**6), max_size=300))
def test_what_was_added_is_found(numbers: set[int]) -> None:
    """With its pack and slot; what was not added is not found."""
    known = KnownBlocks(len(numbers))
    for number in numbers:
        known.add(block_id(number), pack_id(number % 7), number % 1024)

    assert len(known) == len(numbers)
    assert all(known.find(block_id(number)) == (pack_id(number % 7), number % 1024) for number in numbers)
    assert known.find(block_id(2_000_000)) is None


def test_more_blocks_than_were_planned_for_do_no_harm() -> None:
    """A full table forgets new blocks, which are then stored again; it never tells a wrong place."""
    known = KnownBlocks(1)
    for number in range(500):
        known.add(block_id(number), pack_id(number), number)

    found = {number: known.find(block_id(number)) for number in range(500)}

    assert 0 < len(known) < 500
    assert all(place in (None, (pack_id(number), number)) for number, place in found.items())
    assert sum(place is not None for place in found.values()) == len(known)


def test_crowded_buckets_flow_over_into_the_next() -> None:
    """Ids that all fall into one bucket are kept in its neighbours."""
    known = KnownBlocks(1000)
    crowd = [b"\x05" + bytes(7) + number.to_bytes(24, "big") for number in range(200)]
    for number, one in enumerate(crowd):
        known.add(one, pack_id(number), number)

    assert [known.find(one) for one in crowd] == [(pack_id(number), number) for number in range(200)]
    assert known.find(b"\x05" + bytes(7) + (999).to_bytes(24, "big")) is None


def test_an_id_across_two_rows_is_not_a_match() -> None:
    """Bytes that merely look like an id, half in one row and half in the next, are not taken for one."""
    known = KnownBlocks(10)
    first, second = bytes(range(32)), bytes(range(100, 132))
    known.add(first, bytes(PACK_ID), 0)
    known.add(second, bytes(PACK_ID), 0)
    across = (bytes(PACK_ID) + b"\x00\x00" + second)[:32]

    assert known.find(across) is None
    assert known.find(second) == (bytes(PACK_ID), 0)
