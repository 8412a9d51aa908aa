"""What ext and XFS have in common: inodes with owner, mode and nanoseconds, behind libfsext and libfsxfs.

The libraries give names and targets of links as text. Names are bytes: those that are no UTF-8 come from the directory
itself, read by the kind's own module.
"""

from __future__ import annotations

import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any, Final

from agent.files.errors import Broken, FilesError
from agent.files.source import Source, Stream
from agent.files.system import Entry, Flaw, Kind, Span

_KINDS: Final[MappingProxyType[int, Kind]] = MappingProxyType(
    {
        stat.S_IFREG: "file",
        stat.S_IFDIR: "directory",
        stat.S_IFLNK: "link",
        stat.S_IFIFO: "fifo",
        stat.S_IFSOCK: "socket",
        stat.S_IFCHR: "character",
        stat.S_IFBLK: "block",
    }
)
_SPARSE: Final = 1


class PosixSystem(ABC):
    """A file system of ext or XFS. `name` is its area's, for texts."""

    def __init__(self, name: str, kind: str, library: Any, source: Source, notes: tuple[str, ...]) -> None:
        """Open it. Raises `Broken`."""
        self.name = name
        self.kind = kind
        self.notes = notes
        self.source = source
        self._stream = Stream(source)
        with self._stream.telling(name):
            self._volume = library.volume()
            self._volume.open_file_object(self._stream)
            self.label: str = self._volume.get_label() or ""

    # --- what a kind says of its own ---

    @abstractmethod
    def raw_names(self, directory: Entry) -> dict[int, list[bytes]]:
        """Return the names of a directory as bytes, by inode."""

    @abstractmethod
    def raw_target(self, link: Entry) -> bytes:
        """Return a link's target as bytes."""

    # --- the interface ---

    def root(self) -> Entry:
        """See `FileSystem`."""
        with self._stream.telling(f"{self.name}: /"):
            handle = self._volume.get_root_directory()
            if handle is None:
                raise Broken(f"{self.name}: there is no root directory")
            return self._entry(b"", handle)

    def children(self, directory: Entry) -> Iterator[Entry | Flaw]:
        """See `FileSystem`."""
        place = f"{self.name}: directory {_shown(directory.name)} (inode {directory.identity})"
        with self._stream.telling(place):
            count = int(directory.handle.get_number_of_sub_file_entries())
        unnamed: list[Any] = []
        told: dict[int, set[bytes]] = {}
        for number in range(count):
            try:
                with self._stream.telling(f"{place}, entry {number}"):
                    handle = directory.handle.get_sub_file_entry(number)
                    inode = handle.get_inode_number()
            except Broken as error:
                yield Flaw(b"", str(error))
                continue
            try:
                name = handle.get_name().encode()
            except (OSError, ValueError, AttributeError):
                unnamed.append((handle, inode))
                continue
            told.setdefault(inode, set()).add(name)
            if name not in (b".", b".."):
                yield self._told(name, handle, place)
        if unnamed:
            yield from self._by_raw_name(directory, unnamed, told, place)

    def _by_raw_name(
        self, directory: Entry, unnamed: list[Any], told: dict[int, set[bytes]], place: str
    ) -> Iterator[Entry | Flaw]:
        try:
            raw = self.raw_names(directory)
        except FilesError as error:
            yield Flaw(b"", str(error))
            return
        for handle, inode in unnamed:
            known = told.setdefault(inode, set())
            name = next((name for name in raw.get(inode, ()) if name not in known), None)
            if name is not None:
                known.add(name)
                yield self._told(name, handle, place)
            else:
                yield Flaw(b"", f"{place}: the name of inode {inode} is damaged")

    def _told(self, name: bytes, handle: Any, place: str) -> Entry | Flaw:
        try:
            with self._stream.telling(f"{place}, {_shown(name)}"):
                return self._entry(name, handle)
        except FilesError as error:
            return Flaw(name, str(error))

    def _entry(self, name: bytes, handle: Any) -> Entry:
        mode = int(handle.get_file_mode())
        kind = _KINDS.get(stat.S_IFMT(mode))
        if kind is None:
            raise Broken(f"{self.name}: inode {handle.get_inode_number()} of {_shown(name)} is of no known kind")
        device = handle.get_device_number() if kind in ("character", "block") else None
        entry = Entry(
            name=name,
            kind=kind,
            size=int(handle.get_size()) if kind in ("file", "link") else 0,
            mode=stat.S_IMODE(mode),
            uid=int(handle.get_owner_identifier() or 0),
            gid=int(handle.get_group_identifier() or 0),
            modified=int(handle.get_modification_time_as_integer() or 0),
            accessed=int(handle.get_access_time_as_integer() or 0),
            identity=int(handle.get_inode_number()),
            links=int(handle.get_number_of_links() or 1),
            device=None if device is None else (int(device[0]), int(device[1])),
            handle=handle,
        )
        return self._linked(entry) if kind == "link" else entry

    def _linked(self, entry: Entry) -> Entry:
        try:
            target = entry.handle.get_symbolic_link_target().encode()
        except (OSError, ValueError, AttributeError):
            target = self.raw_target(entry)
        return Entry(**{name: getattr(entry, name) for name in Entry.__slots__} | {"target": target})

    def spans(self, file: Entry) -> Iterator[Span]:
        """See `FileSystem`."""
        with self._stream.telling(f"{self.name}: {_shown(file.name)} (inode {file.identity})"):
            extents = [file.handle.get_extent(number) for number in range(file.handle.get_number_of_extents())]
        yield from spans_of([(size, bool(flags & _SPARSE)) for _, size, flags in extents], file.size)

    def read(self, file: Entry, offset: int, length: int) -> bytes:
        """See `FileSystem`."""
        place = f"{self.name}: {_shown(file.name)} (inode {file.identity})"
        return self._stream.content(file.handle, place, offset, length)

    def attributes(self, entry: Entry) -> dict[str, bytes]:
        """See `FileSystem`."""
        found: dict[str, bytes] = {}
        with self._stream.telling(f"{self.name}: attributes of {_shown(entry.name)} (inode {entry.identity})"):
            for number in range(entry.handle.get_number_of_extended_attributes()):
                one = entry.handle.get_extended_attribute(number)
                found[one.get_name()] = one.read_buffer(one.get_size()) if one.get_size() else b""
        return found


def spans_of(extents: list[tuple[int, bool]], size: int) -> Iterator[Span]:
    """Yield spans up to `size` of (length, is hole) in order; what they do not cover is data, perhaps inline."""
    at = 0
    for length, is_hole in extents:
        if at >= size:
            return
        yield Span(at, min(length, size - at), is_hole)
        at += length
    if at < size:
        yield Span(at, size - at, is_hole=False)


def _shown(name: bytes) -> str:
    return repr(name.decode("utf-8", "backslashreplace")) if name else "/"
