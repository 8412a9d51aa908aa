"""FAT12, FAT16 and FAT32 through libfsfat. Owners and modes are none of FAT: files come out as root's, 0644 or 0755.

FAT keeps local time without saying of where: it is taken as UTC. Times are read from the directory's own bytes, for
libfsfat 20260826 is a month ahead.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import pyfsfat

from agent.files.errors import FilesError
from agent.files.source import Source, Stream
from agent.files.system import Entry, Flaw, Span

_READ_ONLY, _LABEL, _DIRECTORY = 0x1, 0x8, 0x10
_DIRTY: Final = 0x1
_CLEAN_16, _CLEAN_32 = 0x8000, 0x08000000


class Fat:
    """One opened FAT file system."""

    def __init__(self, name: str, source: Source) -> None:
        """Open it. Raises `Broken`."""
        self.name = name
        self._source = source
        self._stream = Stream(source)
        boot = source.read(0, 512)
        self.kind: str = "fat32" if boot[82:87] == b"FAT32" else "fat12" if boot[54:59] == b"FAT12" else "fat16"
        with self._stream.telling(name):
            self._volume = pyfsfat.volume()
            self._volume.open_file_object(self._stream)
            self.label: str = self._volume.get_label() or ""
        self.notes: tuple[str, ...] = (
            ("its system had not closed it: the last seconds before the backup may be missing",)
            if self._is_dirty(boot)
            else ()
        )

    def _is_dirty(self, boot: bytes) -> bool:
        sector, reserved = struct.unpack_from("<H", boot, 11)[0], struct.unpack_from("<H", boot, 14)[0]
        second = self._source.read(sector * reserved, 8)
        if self.kind == "fat32":
            return bool(boot[65] & _DIRTY) or not struct.unpack_from("<I", second, 4)[0] & _CLEAN_32
        if self.kind == "fat16":
            return bool(boot[37] & _DIRTY) or not struct.unpack_from("<H", second, 2)[0] & _CLEAN_16
        return bool(boot[37] & _DIRTY)

    def root(self) -> Entry:
        """See `FileSystem`."""
        with self._stream.telling(f"{self.name}: /"):
            handle = self._volume.get_root_directory()
        return Entry(
            name=b"", kind="directory", size=0, mode=0o755, uid=0, gid=0, modified=0, accessed=0, identity=0,
            handle=handle,
        )  # fmt: skip

    def children(self, directory: Entry) -> Iterator[Entry | Flaw]:
        """See `FileSystem`."""
        place = f"{self.name}: directory {_shown(directory)}"
        with self._stream.telling(place):
            count = int(directory.handle.number_of_sub_file_entries)
        for number in range(count):
            name = b""
            try:
                with self._stream.telling(f"{place}, entry {number}"):
                    handle = directory.handle.get_sub_file_entry(number)
                    name = handle.name.encode("utf-8", "surrogatepass")
                    entry = self._entry(name, handle)
            except FilesError as error:
                yield Flaw(name, str(error))
                continue
            if name not in (b".", b"..") and not int(handle.file_attribute_flags) & _LABEL:
                yield entry

    def _entry(self, name: bytes, handle: Any) -> Entry:
        flags, place = int(handle.file_attribute_flags), int(handle.identifier)
        is_directory = bool(flags & _DIRECTORY)
        raw = self._source.read(place, 32)
        (accessed_day,) = struct.unpack_from("<H", raw, 18)
        time, day = struct.unpack_from("<HH", raw, 22)
        return Entry(
            name=name,
            kind="directory" if is_directory else "file",
            size=0 if is_directory else int(handle.size),
            mode=0o755 if is_directory else 0o444 if flags & _READ_ONLY else 0o644,
            uid=0,
            gid=0,
            modified=_nanoseconds(day, time),
            accessed=_nanoseconds(accessed_day, 0),
            identity=place,
            handle=handle,
        )

    def spans(self, file: Entry) -> Iterator[Span]:
        """See `FileSystem`."""
        if file.size:
            yield Span(0, file.size, is_hole=False)

    def read(self, file: Entry, offset: int, length: int) -> bytes:
        """See `FileSystem`."""
        place = f"{self.name}: {_shown(file)}"
        return self._stream.content(file.handle, place, offset, length)

    def attributes(self, entry: Entry) -> dict[str, bytes]:  # noqa: ARG002 - the interface
        """See `FileSystem`: there are none."""
        return {}


def _nanoseconds(day: int, time: int) -> int:
    """Return a moment of two 16-bit fields; 0 when it is none."""
    try:
        moment = datetime(
            1980 + (day >> 9), day >> 5 & 15, day & 31, time >> 11, time >> 5 & 63, (time & 31) * 2, tzinfo=UTC
        )
    except ValueError:
        return 0
    return int(moment.timestamp()) * 10**9


def _shown(entry: Entry) -> str:
    return repr(entry.name.decode("utf-8", "backslashreplace")) if entry.name else "/"
