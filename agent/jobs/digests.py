"""The ids of the blocks that a restore writes: what AWS is told at the end, and what is read back in a drill."""

from __future__ import annotations

import hashlib
from threading import Lock
from typing import Final

import numpy as np

from agent.repository.pack import BLOCK_ID
from agent.repository.scratch import Scratch

_SCAN: Final = 1024 * 1024


class Digests:
    """The ids of all written blocks by index, in a sparse scratch file: memory does not grow with the volume."""

    def __init__(self) -> None:
        """Begin with none."""
        self._file = Scratch()
        self.count = 0
        self._lock = Lock()

    def note(self, index: int, block_id: bytes) -> None:
        """Note that a block was written."""
        self._file.write(index * BLOCK_ID, block_id)
        with self._lock:
            self.count += 1

    def of(self, index: int) -> bytes | None:
        """Return the id of the block that was written at an index, or None."""
        found = self._file.read(index * BLOCK_ID, BLOCK_ID)
        return found if any(found) else None

    def linear(self) -> bytes | None:
        """Return the SHA-256 over the ids in index order, or None when there are none."""
        if not self.count:
            return None
        total = hashlib.sha256()
        place = 0
        while chunk := self._file.read(place, _SCAN):
            place += len(chunk)
            rows = np.frombuffer(chunk, dtype=np.uint8).reshape(-1, BLOCK_ID)
            total.update(rows[rows.any(axis=1)].tobytes())
        return total.digest()
