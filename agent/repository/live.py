"""Which slots of which packs are needed: a table on disk, because a repository may hold millions of packs.

Buckets of 4 KiB in a scratch file, chosen by the pack id, which is random. A row is the pack id and one bit for each
slot. The table grows by itself; this process holds one byte for each bucket.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.repository.layout import KEY_ID, PACK_ID
from agent.repository.pack import MOST_SLOTS
from agent.repository.scratch import Scratch

Bits = npt.NDArray[np.bool_]

_BUCKET: Final = 4096
_ROW: Final = PACK_ID + MOST_SLOTS // 8
_ROWS: Final = _BUCKET // _ROW
#: The table doubles when this share of its rows is taken.
_FULL: Final = 0.6


class LivePacks:
    """The table. Not thread-safe."""

    def __init__(self, buckets: int = 64) -> None:
        """Begin empty; `buckets` is a power of two."""
        self._counts = bytearray(buckets)
        self._file = Scratch(buckets * _BUCKET)
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def __iter__(self) -> Iterator[tuple[bytes, Bits]]:
        """Walk through all packs and their slots. The table must not be changed meanwhile."""
        for bucket, count in enumerate(self._counts):
            page = self._file.read(bucket * _BUCKET, count * _ROW)
            for at in range(0, count * _ROW, _ROW):
                yield page[at : at + PACK_ID], _unpacked(page[at + PACK_ID : at + _ROW])

    def find(self, pack_id: bytes) -> Bits | None:
        """Return which slots of a pack are needed, None when nothing of it was ever noted."""
        found = self._place(pack_id)[1]
        return None if found is None else _unpacked(self._file.read(found + PACK_ID, _ROW - PACK_ID))

    def is_live(self, pack_id: bytes) -> bool:
        """Whether any slot of a pack is needed."""
        found = self.find(pack_id)
        return found is not None and bool(found.any())

    def add(self, pack_id: bytes, slots: Iterable[int] | npt.NDArray[np.uint16]) -> None:
        """Note that these slots of a pack are needed. Raises ValueError for a slot that no pack here has."""
        bits = np.zeros(MOST_SLOTS, dtype=bool)
        wanted = np.fromiter(slots, dtype=np.int64)
        if wanted.size and int(wanted.max()) >= MOST_SLOTS:
            raise ValueError(f"slot {int(wanted.max())} of a pack, which has at most {MOST_SLOTS}")
        bits[wanted] = True
        before = self.find(pack_id)
        self.set(pack_id, bits if before is None else bits | before)

    def set(self, pack_id: bytes, bits: Bits) -> None:
        """Say which slots of a pack are needed, whatever was said before."""
        bucket, at = self._place(pack_id)
        row = pack_id + np.packbits(bits).tobytes()
        if at is not None:
            self._file.write(at, row)
            return
        self._file.write(bucket * _BUCKET + self._counts[bucket] * _ROW, row)
        self._counts[bucket] += 1
        self._rows += 1
        if self._rows > len(self._counts) * _ROWS * _FULL:
            self._grow()

    def _place(self, pack_id: bytes) -> tuple[int, int | None]:
        """Return the bucket with room for a pack, and where the pack stands if it does."""
        mask = len(self._counts) - 1
        bucket = int.from_bytes(pack_id[KEY_ID : KEY_ID + 8], "little") & mask
        while True:
            count = self._counts[bucket]
            page = self._file.read(bucket * _BUCKET, count * _ROW)
            for at in range(0, count * _ROW, _ROW):
                if page[at : at + PACK_ID] == pack_id:
                    return bucket, bucket * _BUCKET + at
            if count < _ROWS:
                return bucket, None
            bucket = bucket + 1 & mask

    def _grow(self) -> None:
        larger = LivePacks(2 * len(self._counts))
        for pack_id, bits in self:
            larger.set(pack_id, bits)
        self._counts, self._file = larger._counts, larger._file


def _unpacked(packed: bytes) -> Bits:
    return np.unpackbits(np.frombuffer(packed, dtype=np.uint8)).astype(bool)
