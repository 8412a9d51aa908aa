"""Sparse files: where their data is, reading behind their end, giving space back."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

#: `fallocate(2)`: make a hole, leave the size.
_PUNCH_HOLE: Final = 0x02
_KEEP_SIZE: Final = 0x01


def data_ranges(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of what may hold data in the first `size` bytes, in order; the rest reads as zeros.

    File systems that know no holes show one range. Moves the descriptor's own position.
    """
    position = 0
    while position < size:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError:
            # ENXIO: no data from here to the end.
            return
        if start >= size:
            return
        position = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
        yield start, position


def read_padded(descriptor: int, length: int, offset: int) -> bytes:
    """Read `length` bytes at `offset`; what lies behind the end of the file reads as zeros."""
    data = os.pread(descriptor, length, offset)
    while len(data) < length:
        more = os.pread(descriptor, length - len(data), offset + len(data))
        if not more:
            return data.ljust(length, b"\0")
        data += more
    return data


def write_all(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of `data` at `offset`."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def punch(descriptor: int, offset: int, length: int) -> None:
    """Make a hole: the range reads as zeros and takes no space. Does so with zeros where holes cannot be made."""
    call = _fallocate()
    if call is None or call(descriptor, _PUNCH_HOLE | _KEEP_SIZE, offset, length) != 0:
        end = min(offset + length, os.fstat(descriptor).st_size)
        if end > offset:
            write_all(descriptor, bytes(end - offset), offset)


@lru_cache(maxsize=1)
def _fallocate() -> Any | None:
    # Python has posix_fallocate alone, which cannot make holes.
    try:
        call = ctypes.CDLL(None, use_errno=True).fallocate
    except (OSError, AttributeError):
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return call
