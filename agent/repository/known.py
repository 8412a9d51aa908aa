"""Known blocks: block id to pack and slot, for any number of blocks in little memory.

A hash table of 4 KiB buckets in a scratch file. Block ids are SHA-256, so their first bytes choose the
bucket evenly; a look-up reads one bucket and searches it for the whole id. The file is sparse and lives in the page
cache; this process holds one byte for each bucket.
"""

from __future__ import annotations

from typing import Final

from agent.repository.layout import PACK_ID
from agent.repository.pack import BLOCK_ID
from agent.repository.scratch import Scratch

_BUCKET: Final = 4096
_ROW: Final = BLOCK_ID + PACK_ID + 2
_ROWS: Final = _BUCKET // _ROW
#: Buckets are this full on average at the planned capacity; the rest absorbs chance.
_PLANNED: Final = _ROWS // 2


class KnownBlocks:
    """The table. Not thread-safe: its owner holds a lock."""

    def __init__(self, capacity: int) -> None:
        """Plan for `capacity` blocks; more are held too, only slower."""
        buckets = 1
        while buckets * _PLANNED < capacity:
            buckets *= 2
        self._mask = buckets - 1
        self._counts = bytearray(buckets)
        self._file = Scratch(buckets * _BUCKET)
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def find(self, block_id: bytes) -> tuple[bytes, int] | None:
        """Return (pack id, slot) of a block, or None when it is not known."""
        bucket = self._first(block_id)
        while count := self._counts[bucket]:
            page = self._file.read(bucket * _BUCKET, count * _ROW)
            at = page.find(block_id)
            while at >= 0:
                # A match across two rows is chance, if a very unlikely one.
                if at % _ROW == 0:
                    tail = page[at + BLOCK_ID : at + _ROW]
                    return tail[:PACK_ID], int.from_bytes(tail[PACK_ID:], "little")
                at = page.find(block_id, at + 1)
            if count < _ROWS:
                return None
            bucket = bucket + 1 & self._mask
        return None

    def add(self, block_id: bytes, pack_id: bytes, slot: int) -> None:
        """Make a block known; the caller has made sure that it is not yet."""
        if self._rows >= len(self._counts) * (_ROWS - 1):
            return  # full to the brim: what is not known is stored again, which is allowed
        bucket = self._first(block_id)
        while self._counts[bucket] >= _ROWS:
            bucket = bucket + 1 & self._mask
        row = block_id + pack_id + slot.to_bytes(2, "little")
        self._file.write(bucket * _BUCKET + self._counts[bucket] * _ROW, row)
        self._counts[bucket] += 1
        self._rows += 1

    def _first(self, block_id: bytes) -> int:
        return int.from_bytes(block_id[:8], "little") & self._mask
