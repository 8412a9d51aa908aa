"""Files into a tar archive with pax headers: names of any bytes, owners, modes, nanoseconds, links, holes, attributes.

Holes are written as GNU tar does (format 1.0), which GNU tar, bsdtar and Python read. The headers are made here and
not by `tarfile`: for bytes that are no UTF-8 that one adds a keyword of which GNU tar complains with every file.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from agent.files.errors import FilesError
from agent.files.system import Entry, Kind, Span

_TYPES: Final[MappingProxyType[Kind, bytes]] = MappingProxyType(
    {
        "file": tarfile.REGTYPE,
        "directory": tarfile.DIRTYPE,
        "link": tarfile.SYMTYPE,
        "fifo": tarfile.FIFOTYPE,
        "character": tarfile.CHRTYPE,
        "block": tarfile.BLKTYPE,
    }
)
_BLOCK: Final = 512
_PIECE: Final = 1024 * 1024
#: Holes smaller than this in all are written as zeros.
_WORTH: Final = 64 * 1024
_SECOND: Final = 10**9
#: The most that a header's own fields hold.
_NAME: Final = 99
_NUMBER: Final = 0o7777777
_SIZE: Final = 0o77777777777


class Archive:
    """A `Target` that writes a tar archive by `write`, from beginning to end."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        """Nothing is written yet."""
        self._write = write

    def directory(self, path: bytes, entry: Entry, attributes: dict[str, bytes]) -> None:
        """See `Target`."""
        self._header(path, entry, attributes)

    def special(self, path: bytes, entry: Entry, attributes: dict[str, bytes]) -> None:
        """See `Target`."""
        self._header(path, entry, attributes, link=entry.target or b"")

    def hard_link(self, path: bytes, entry: Entry, first: bytes) -> None:
        """See `Target`."""
        self._header(path, entry, {}, link=first, kind=tarfile.LNKTYPE)

    def file(
        self, path: bytes, entry: Entry, attributes: dict[str, bytes], spans: Sequence[Span], pieces: Iterator[bytes]
    ) -> None:
        """See `Target`. What cannot be read becomes zeros, and is told: an archive takes nothing back."""
        data = [span for span in spans if not span.is_hole]
        size = sum(span.length for span in data)
        if entry.size - size < _WORTH:
            self._header(path, entry, attributes, size=entry.size)
            self._content(_filled(spans, pieces), entry.size)
            return
        places = _map(data, entry.size)
        head, _, name = path.rpartition(b"/")
        self._header(
            b"/".join(part for part in (head, b"GNUSparseFile.0", name) if part),
            entry,
            attributes,
            size=len(places) + size,
            more={
                "GNU.sparse.major": b"1",
                "GNU.sparse.minor": b"0",
                "GNU.sparse.name": path,
                "GNU.sparse.realsize": b"%d" % entry.size,
            },
        )
        self._write(places)
        self._content(pieces, size)

    def finish(self) -> None:
        """See `Target`."""
        self._write(bytes(2 * _BLOCK))

    def _content(self, pieces: Iterator[bytes], size: int) -> None:
        written, trouble = 0, None
        try:
            for piece in pieces:
                self._write(piece)
                written += len(piece)
        except FilesError as error:
            trouble = error
        for start in range(written, size, _PIECE):
            self._write(bytes(min(_PIECE, size - start)))
        self._write(bytes(-size % _BLOCK))
        if trouble is not None:
            raise FilesError(f"{trouble}; in the archive its content is zeros from byte {written} on", trouble.remedy)

    def _header(
        self,
        path: bytes,
        entry: Entry,
        attributes: Mapping[str, bytes],
        *,
        link: bytes = b"",
        size: int = 0,
        kind: bytes | None = None,
        more: Mapping[str, bytes] = MappingProxyType({}),
    ) -> None:
        records = dict(more)
        info = tarfile.TarInfo()
        info.type, info.mode = kind or _TYPES[entry.kind], entry.mode
        info.name, info.linkname = _short("path", path, records), _short("linkpath", link, records)
        info.uid, info.gid = _within("uid", entry.uid, _NUMBER, records), _within("gid", entry.gid, _NUMBER, records)
        info.size = _within("size", size, _SIZE, records)
        info.mtime = min(max(0, entry.modified // _SECOND), _SIZE)
        if info.mtime * _SECOND != entry.modified:
            records["mtime"] = _moment(entry.modified)
        if entry.accessed:
            records["atime"] = _moment(entry.accessed)
        if entry.device is not None:
            info.devmajor, info.devminor = entry.device
        records |= {f"SCHILY.xattr.{name}": value for name, value in sorted(attributes.items())}
        if records:
            self._write(_pax(records))
        self._write(info.tobuf(tarfile.USTAR_FORMAT, "ascii", "replace"))


def _pax(records: Mapping[str, bytes]) -> bytes:
    data = b"".join(_record(name.encode("utf-8", "surrogateescape"), value) for name, value in records.items())
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, len(data)
    return info.tobuf(tarfile.USTAR_FORMAT, "ascii") + data + bytes(-len(data) % _BLOCK)


def _record(name: bytes, value: bytes) -> bytes:
    """Return one record, which begins with its own length in decimal digits."""
    rest = b" " + name + b"=" + value + b"\n"
    length = len(rest) + len(str(len(rest)))
    length = len(rest) + len(str(length))
    return str(length).encode() + rest


def _short(name: str, value: bytes, records: dict[str, bytes]) -> str:
    """Return what fits into the header's own field; the whole goes into the records."""
    if len(value) <= _NAME and value.isascii():
        return value.decode("ascii")
    records[name] = value
    return value[:_NAME].decode("ascii", "replace").replace("\ufffd", "_")


def _within(name: str, value: int, most: int, records: dict[str, bytes]) -> int:
    if 0 <= value <= most:
        return value
    records[name] = b"%d" % value
    return 0


def _moment(nanoseconds: int) -> bytes:
    sign, moment = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    return f"{sign}{moment // _SECOND}.{moment % _SECOND:09d}".encode()


def _map(data: Sequence[Span], size: int) -> bytes:
    rows = [(span.offset, span.length) for span in data]
    if not rows or sum(rows[-1]) < size:
        rows.append((size, 0))
    text = "".join(f"{number}\n" for number in (len(rows), *(number for row in rows for number in row))).encode()
    return text + bytes(-len(text) % _BLOCK)


def _filled(spans: Sequence[Span], pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the whole content: small holes as zeros."""
    for span in spans:
        if span.is_hole:
            yield bytes(span.length)
            continue
        left = span.length
        while left > 0:
            piece = next(pieces)
            left -= len(piece)
            yield piece
