"""Room on disk for what grows with a volume and must not be held in memory."""

from __future__ import annotations

import os
import tempfile


class Scratch:
    """An unnamed temporary file, read and written at places by any number of threads.

    It is closed when nobody refers to it any more, and only then: a thread that is left over from a job that failed
    must never meet the descriptor under which something else has been opened since.
    """

    def __init__(self, size: int = 0) -> None:
        """Begin with `size` zero bytes; holes take no room."""
        with tempfile.TemporaryFile(prefix="daywork-") as file:
            self._descriptor = os.dup(file.fileno())
        os.ftruncate(self._descriptor, size)

    def __del__(self) -> None:
        os.close(self._descriptor)

    def read(self, start: int, length: int) -> bytes:
        """Return bytes from a place; fewer at the end of the file."""
        return os.pread(self._descriptor, length, start)

    def write(self, start: int, data: bytes) -> None:
        """Put bytes at a place."""
        os.pwrite(self._descriptor, data, start)
