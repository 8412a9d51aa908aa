"""NTFS through libfsntfs: names of all links, sparse and compressed files, links to elsewhere as symbolic links.

Owners and modes are none of NTFS: files come out as root's, 0644 or 0755 (without the right to write where they are
read-only). Security descriptor and alternate streams become the attributes that ntfs-3g shows them as.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pyfsntfs

from agent.files.errors import FilesError, Unsupported
from agent.files.posix import spans_of
from agent.files.source import Source, Stream
from agent.files.system import Entry, Flaw, Kind, Span

_ROOT: Final = 5
#: Records below are the file system's own.
_FIRST_OWN: Final = 24
_RECORD: Final = (1 << 48) - 1
_READ_ONLY, _SPARSE_FILE, _REPARSE, _COMPRESSED, _ENCRYPTED = 0x1, 0x200, 0x400, 0x800, 0x4000
_FILE_NAME: Final = 0x30
_VOLUME_INFORMATION: Final = 0x70
_DOS_NAME: Final = 2
_DIRTY: Final = 0x1
#: 100 ns between 1601 and 1970.
_EPOCH: Final = 116_444_736_000_000_000
_MOST_STREAM: Final = 1024 * 1024


class Ntfs:
    """One opened NTFS."""

    kind: str = "ntfs"

    def __init__(self, name: str, source: Source) -> None:
        """Open it. Raises `Broken`."""
        self.name = name
        self._stream = Stream(source)
        with self._stream.telling(name):
            self._volume = pyfsntfs.volume()
            self._volume.open_file_object(self._stream)
            self.label: str = self._volume.get_name() or ""
        self.notes: tuple[str, ...] = (
            ("Windows had not closed it: the last seconds before the backup may be missing",)
            if self._is_dirty()
            else ()
        )

    def _is_dirty(self) -> bool:
        with self._stream.telling(f"{self.name}: $Volume"):
            entry = self._volume.get_file_entry(3)
            for number in range(entry.number_of_attributes):
                one = entry.get_attribute(number)
                if one.attribute_type == _VOLUME_INFORMATION:
                    return bool(one.flags & _DIRTY)
        return False

    def root(self) -> Entry:
        """See `FileSystem`."""
        with self._stream.telling(f"{self.name}: /"):
            return self._entry(b"", self._volume.get_file_entry(_ROOT))

    def children(self, directory: Entry) -> Iterator[Entry | Flaw]:
        """See `FileSystem`."""
        place = f"{self.name}: directory {_shown(directory)}"
        with self._stream.telling(place):
            count = int(directory.handle.number_of_sub_file_entries)
        is_root = directory.identity & _RECORD == _ROOT
        for number in range(count):
            name = b""
            try:
                with self._stream.telling(f"{place}, entry {number}"):
                    handle = directory.handle.get_sub_file_entry(number)
                    record = int(handle.file_reference) & _RECORD
                    if is_root and record < _FIRST_OWN:
                        continue
                    name = handle.name.encode("utf-8", "surrogatepass")
                    entry = self._entry(name, handle)
            except FilesError as error:
                yield Flaw(name, str(error))
                continue
            yield entry

    def _entry(self, name: bytes, handle: Any) -> Entry:
        flags = int(handle.file_attribute_flags)
        kind: Kind = "directory" if handle.has_directory_entries_index() else "file"
        target, flaw = None, None
        if flags & _REPARSE:
            text = handle.symbolic_link_target
            if text:
                kind, target = "link", text.replace("\\", "/").encode("utf-8", "surrogatepass")
            elif kind == "file" and not flags & _COMPRESSED:
                flaw = "its content is kept by a filter of Windows (reparse point) and not in the file"
        if flags & _ENCRYPTED and kind == "file":
            flaw = "it is encrypted (EFS)"
        mode = 0o777 if kind == "link" else 0o755 if kind == "directory" else 0o644
        if flags & _READ_ONLY and kind == "file":
            mode = 0o444
        return Entry(
            name=name,
            kind=kind,
            size=int(handle.size) if kind == "file" else 0,
            mode=mode,
            uid=0,
            gid=0,
            modified=_nanoseconds(handle.get_modification_time_as_integer()),
            accessed=_nanoseconds(handle.get_access_time_as_integer()),
            identity=int(handle.file_reference),
            links=_links(handle) if kind == "file" else 1,
            target=target,
            flaw=flaw,
            handle=handle,
        )

    def spans(self, file: Entry) -> Iterator[Span]:
        """See `FileSystem`."""
        is_compressed = bool(int(file.handle.file_attribute_flags) & _COMPRESSED)
        with self._stream.telling(f"{self.name}: {_shown(file)}"):
            count = 0 if is_compressed else file.handle.number_of_extents
            extents = [file.handle.get_extent(number) for number in range(count)]
        yield from spans_of([(size, bool(flags & 1)) for _, size, flags in extents], file.size)

    def read(self, file: Entry, offset: int, length: int) -> bytes:
        """See `FileSystem`."""
        place = f"{self.name}: {_shown(file)}"
        if file.flaw is not None:
            raise Unsupported(f"{place}: {file.flaw}")
        return self._stream.content(file.handle, place, offset, length)

    def attributes(self, entry: Entry) -> dict[str, bytes]:
        """See `FileSystem`: `system.ntfs_acl`, and `user.<name>` for each alternate stream."""
        found: dict[str, bytes] = {}
        place = f"{self.name}: streams of {_shown(entry)}"
        with self._stream.telling(place):
            if security := entry.handle.get_security_descriptor_data():
                found["system.ntfs_acl"] = security
            for number in range(entry.handle.number_of_alternate_data_streams):
                stream = entry.handle.get_alternate_data_stream(number)
                size = int(stream.get_size())
                if size > _MOST_STREAM:
                    raise Unsupported(f"{place}: {stream.get_name()!r} of {size} bytes is left out")
                found[f"user.{stream.get_name()}"] = stream.read_buffer(size) if size else b""
        return found


def _links(handle: Any) -> int:
    """Count the names of a file; the short ones for DOS are none of their own."""
    if handle.number_of_attributes < 4:  # noqa: PLR2004 - the least: information, name, security or stream
        return 1
    names = 0
    for number in range(handle.number_of_attributes):
        one = handle.get_attribute(number)
        if one.attribute_type == _FILE_NAME and one.name_space != _DOS_NAME:
            names += 1
    return max(1, names)


def _nanoseconds(filetime: int | None) -> int:
    return (int(filetime) - _EPOCH) * 100 if filetime else 0


def _shown(entry: Entry) -> str:
    return repr(entry.name.decode("utf-8", "backslashreplace")) if entry.name else "/"
