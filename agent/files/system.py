"""File systems behind one interface, whatever their kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Kind = Literal["file", "directory", "link", "fifo", "socket", "character", "block"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What a file system says of one name.

    `size` in bytes; `mode` the permission bits (0o7777); times in nanoseconds since 1970. `identity` is equal for the
    names of one file (`links` of them); `target` is a link's, `device` the numbers of a device. `flaw` says why the
    content cannot be read though the name can.
    """

    name: bytes
    kind: Kind
    size: int
    mode: int
    uid: int
    gid: int
    modified: int
    accessed: int
    identity: int
    links: int = 1
    target: bytes | None = None
    device: tuple[int, int] | None = None
    flaw: str | None = None
    handle: Any = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a file; a hole reads as zeros and takes no space."""

    offset: int
    length: int
    is_hole: bool


@dataclass(frozen=True)
class Flaw:
    """A name of a directory that cannot be told or opened, and why."""

    name: bytes
    reason: str


class FileSystem(Protocol):
    """One opened file system; used by one thread at a time. Methods raise `FilesError`s and what the source raises."""

    kind: str
    label: str
    notes: tuple[str, ...]

    def root(self) -> Entry:
        """Return the root directory; its name is empty."""

    def children(self, directory: Entry) -> Iterator[Entry | Flaw]:
        """Yield what a directory holds, without `.` and `..`; damaged names as flaws."""

    def spans(self, file: Entry) -> Iterator[Span]:
        """Yield the stretches of a file from 0 to its size."""

    def read(self, file: Entry, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes of a file. Raises `Broken` when it ends before."""

    def attributes(self, entry: Entry) -> dict[str, bytes]:
        """Return the extended attributes."""
