"""Map segments: where each block of one range of a volume is.

A segment covers `SEGMENT` blocks (1 GiB). Blocks that are all zero, or were never written, are simply not in it. Each
row names pack and slot, and the first four bytes of the block id as a check: a map that points to a wrong block is
found out by whoever reads the block, without the map carrying whole ids, which do not compress.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.repository import columns
from agent.repository.layout import PACK_ID
from agent.repository.objects import Readable
from agent.repository.seal import KeyFinder, pack_document, seal, unpack_document, unseal

#: Blocks in a segment. Small, because an incremental writes anew each segment that it touches.
SEGMENT: Final = 2048
CHECK: Final = 4


@dataclass(frozen=True, kw_only=True)
class Segment:
    """The rows of one segment in ascending order of `offsets` (block index within the segment).

    `packs` (p, 20) are the pack ids in use, each once; `ranks` say which one a row means, `slots` which number in it;
    `checks` (n, 4) are the beginnings of the block ids.
    """

    offsets: npt.NDArray[np.uint16]
    packs: npt.NDArray[np.uint8]
    ranks: npt.NDArray[np.uint16]
    slots: npt.NDArray[np.uint16]
    checks: npt.NDArray[np.uint8]

    @property
    def rows(self) -> int:
        """How many blocks the segment holds."""
        return len(self.offsets)


class OpenSegment:
    """A segment that is being filled, or changed on the base of another."""

    def __init__(self, base: Segment | None = None) -> None:
        """Begin empty, or with the rows of `base`."""
        self._there = np.zeros(SEGMENT, dtype=bool)
        self._packs = np.zeros((SEGMENT, PACK_ID), dtype=np.uint8)
        self._slots = np.zeros(SEGMENT, dtype=np.uint16)
        self._checks = np.zeros((SEGMENT, CHECK), dtype=np.uint8)
        if base is not None:
            self._there[base.offsets] = True
            self._packs[base.offsets] = base.packs[base.ranks]
            self._slots[base.offsets] = base.slots
            self._checks[base.offsets] = base.checks

    def put(self, offset: int, pack_id: bytes, slot: int, block_id: bytes) -> None:
        """Note where the block at `offset` is."""
        self._packs[offset] = np.frombuffer(pack_id, dtype=np.uint8)
        self._slots[offset] = slot
        self._checks[offset] = np.frombuffer(block_id[:CHECK], dtype=np.uint8)
        self._there[offset] = True

    def drop(self, offset: int) -> None:
        """Note that the block at `offset` is a hole."""
        self._there[offset] = False

    def freeze(self) -> Segment:
        """Return the rows as they stand."""
        offsets = np.flatnonzero(self._there).astype(np.uint16)
        names = np.ascontiguousarray(self._packs[offsets]).view(f"V{PACK_ID}").reshape(len(offsets))
        _, first, inverse = np.unique(names, return_index=True, return_inverse=True)
        # Packs in order of appearance, so that the column of their ranks moves slowly.
        order = np.argsort(first, kind="stable")
        ranks = np.empty(len(order), dtype=np.uint16)
        ranks[order] = np.arange(len(order), dtype=np.uint16)
        return Segment(
            offsets=offsets,
            packs=self._packs[offsets[first[order]]],
            ranks=ranks[inverse.reshape(len(offsets))],
            slots=self._slots[offsets],
            checks=self._checks[offsets],
        )


def segment_place(key: str, volume: str, number: int) -> str:
    """Return what a segment is bound to: its object, its volume and its number in the volume."""
    return f"{key}#{volume}#{number}"


def encode_segment(segment: Segment, *, place: str, key_id: bytes, data_key: bytes) -> bytes:
    """Return a sealed segment."""
    document = {
        "rows": segment.rows,
        "offsets": columns.to_bytes(segment.offsets, "u2"),
        "packs": segment.packs.tobytes(),
        "ranks": columns.to_bytes(segment.ranks, "u2"),
        "slots": columns.to_bytes(segment.slots, "u2"),
        "checks": segment.checks.tobytes(),
    }
    return seal(pack_document(document), place=place, key_id=key_id, data_key=data_key)


def decode_segment(sealed: Readable, *, place: str, find_key: KeyFinder) -> Segment:
    """Read a segment back. Raises `Damaged`."""
    document = unpack_document(unseal(sealed, place=place, find_key=find_key), place=place)
    rows = int(document["rows"])
    return Segment(
        offsets=columns.from_bytes(document["offsets"], "u2", rows),
        packs=columns.rows_of(document["packs"], PACK_ID, len(document["packs"]) // PACK_ID),
        ranks=columns.from_bytes(document["ranks"], "u2", rows),
        slots=columns.from_bytes(document["slots"], "u2", rows),
        checks=columns.rows_of(document["checks"], CHECK, rows),
    )
