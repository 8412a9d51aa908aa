"""Bytes by offset and length, and the file object through which libyal's libraries read them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from agent.files.errors import Broken


class Source(Protocol):
    """Bytes that do not change. Used by one thread at a time."""

    @property
    def size(self) -> int:
        """How many bytes there are."""

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes; fewer at the end only. Raises what the store below raises."""


@dataclass(frozen=True)
class Window:
    """A stretch of another source."""

    base: Source
    offset: int
    size: int

    def read(self, offset: int, length: int) -> bytes:
        """See `Source`."""
        return self.base.read(self.offset + offset, max(0, min(length, self.size - offset)))


class Stream(io.RawIOBase):
    """A source as the file object that libyal takes.

    An exception that passes through a library of C comes out as its text, so it is kept here and raised by `telling`.
    """

    def __init__(self, source: Source) -> None:
        """Begin at the start."""
        super().__init__()
        self.source = source
        self._at = 0
        self._trouble: BaseException | None = None

    def get_size(self) -> int:
        """Return the size in bytes: what libyal asks for."""
        return self.source.size

    def seekable(self) -> bool:
        """See `io`."""
        return True

    def readable(self) -> bool:
        """See `io`."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """See `io`."""
        bases = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.source.size}
        self._at = bases[whence] + offset
        return self._at

    def tell(self) -> int:
        """See `io`."""
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        """See `io`."""
        if self._trouble is not None:
            raise OSError("an earlier read failed")
        try:
            data = self.source.read(self._at, self.source.size - self._at if size < 0 else size)
        except BaseException as error:
            self._trouble = error
            raise
        self._at += len(data)
        return data

    @contextmanager
    def telling(self, place: str) -> Iterator[None]:
        """Turn what a library says into `Broken` at `place`, and raise what the source had raised instead."""
        try:
            yield
        except (OSError, MemoryError, OverflowError, ValueError, RuntimeError, TypeError, SystemError) as error:
            self._rethrow(place)
            raise Broken(
                f"{place}: the file system is damaged there ({_short(error)})",
                "Everything else can still be taken out; an older restore point may hold this whole",
            ) from None
        # The library may have made do without what it could not read: what it gave may be wrong.
        self._rethrow(place)

    def content(self, handle: Any, place: str, offset: int, length: int) -> bytes:
        """Return so many bytes of the file behind a library's handle. Raises `Broken` at `place`, also for fewer."""
        with self.telling(place):
            data: bytes = handle.read_buffer_at_offset(length, offset)
        if len(data) != length:
            raise Broken(f"{place}: it ends {length - len(data)} bytes before its size says")
        return data

    def _rethrow(self, place: str) -> None:
        trouble, self._trouble = self._trouble, None
        if isinstance(trouble, Broken):
            raise Broken(f"{place}: {trouble}", trouble.remedy) from None
        if trouble is not None:
            raise trouble from None


def _short(error: BaseException) -> str:
    """Return the innermost cause: libyal puts it first behind the name of the call."""
    text = str(error).replace("\n", " ")
    parts = [part.strip() for part in text.split(": ") if part.strip()]
    said = parts[1] if len(parts) > 1 else text or type(error).__name__
    return said[:160]
