"""Logical volumes of LVM 2: linear and striped ones, over several physical volumes.

By hand: libvslvm 20260901 opens no volume group of more than one physical volume. A physical volume says with a label
in one of its first sectors where its copy of the group's metadata stands, which is text.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from agent.files.areas import Area
from agent.files.errors import Broken
from agent.files.source import Source, Window

_SECTOR: Final = 512
_LABEL_SECTORS: Final = 4
_MAGIC: Final = b" LVM2 x[5A%r0N*>"
#: No group's metadata is larger; a header that says so is damaged.
_MOST_TEXT: Final = 64 * 2**20
_TOKEN: Final = re.compile(r'#[^\n]*|"(?:[^"\\]|\\.)*"|[\[\]{}=,]|[^\s\[\]{}=,#"]+')
_DEEPEST: Final = 16


@dataclass(frozen=True)
class _Disk:
    """A physical volume: its area and id, the group's metadata as it stands there."""

    area: Area
    identity: str
    group: str
    metadata: dict[str, Any]


@dataclass(frozen=True)
class Segmented:
    """A source made of pieces of others. `starts` are where the pieces begin, ascending from 0."""

    starts: Sequence[int]
    pieces: Sequence[Source]
    size: int

    def read(self, offset: int, length: int) -> bytes:
        """See `Source`."""
        end = min(offset + length, self.size)
        parts = []
        while 0 <= offset < end:
            number = bisect_right(self.starts, offset) - 1
            piece, start = self.pieces[number], offset - self.starts[number]
            part = piece.read(start, min(end - offset, piece.size - start))
            if not part:
                break
            parts.append(part)
            offset += len(part)
        return b"".join(parts)


@dataclass(frozen=True)
class Striped:
    """A source whose chunks of `stripe` bytes lie on its pieces in turn."""

    pieces: Sequence[Source]
    stripe: int

    @property
    def size(self) -> int:
        """See `Source`."""
        return sum(piece.size for piece in self.pieces)

    def read(self, offset: int, length: int) -> bytes:
        """See `Source`."""
        end = min(offset + length, self.size)
        parts = []
        while 0 <= offset < end:
            chunk, within = divmod(offset, self.stripe)
            row, number = divmod(chunk, len(self.pieces))
            part = self.pieces[number].read(row * self.stripe + within, min(end - offset, self.stripe - within))
            if not part:
                break
            parts.append(part)
            offset += len(part)
        return b"".join(parts)


@dataclass
class Groups:
    """What the physical volumes of an image say: logical volumes, and what of them cannot be read, by name."""

    areas: list[Area] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)


def logical_volumes(physical: Sequence[Area]) -> Groups:
    """Put the volume groups of some physical volumes together. What is damaged or absent is told, not raised."""
    found = Groups()
    groups: dict[str, list[_Disk]] = {}
    for area in physical:
        try:
            disk = _disk(area)
        except Broken as error:
            found.unreadable.append((area.name, str(error)))
            continue
        groups.setdefault(str(disk.metadata.get("id", disk.group)), []).append(disk)
    for disks in groups.values():
        newest = max(disks, key=lambda one: int(one.metadata.get("seqno", 0)))
        _group(newest, {disk.identity: disk.area for disk in disks}, found)
    return found


def _group(newest: _Disk, there: dict[str, Area], found: Groups) -> None:
    metadata = newest.metadata
    for name, volume in metadata.get("logical_volumes", {}).items():
        full = f"{newest.group}/{name}"
        try:
            if "VISIBLE" not in volume.get("status", ()):
                continue
            source, areas = _volume(full, volume, metadata, there)
        except Broken as error:
            found.unreadable.append((full, str(error)))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, ZeroDivisionError) as error:
            found.unreadable.append((full, f"{full}: its metadata cannot be understood ({type(error).__name__})"))
        else:
            volumes = tuple(dict.fromkeys(one for area in areas for one in area.volumes))
            found.areas.append(Area(full, source, volumes))


def _volume(
    full: str, volume: dict[str, Any], metadata: dict[str, Any], there: dict[str, Area]
) -> tuple[Source, list[Area]]:
    extent = int(metadata["extent_size"]) * _SECTOR
    starts: list[int] = []
    pieces: list[Source] = []
    used: list[Area] = []
    segments = [volume[f"segment{number}"] for number in range(1, int(volume["segment_count"]) + 1)]
    for segment in sorted(segments, key=lambda one: int(one["start_extent"])):
        kind = segment["type"]
        if kind != "striped":
            raise Broken(f"{full} has a segment of type {kind}; linear and striped ones can be read")
        if int(segment["start_extent"]) * extent != sum(piece.size for piece in pieces):
            raise Broken(f"{full}: its segments do not follow each other")
        stripes, count = segment["stripes"], int(segment["stripe_count"])
        length = int(segment["extent_count"]) * extent // count
        parts: list[Source] = []
        for disk, start in zip(stripes[::2], stripes[1::2], strict=True):
            physical = metadata["physical_volumes"][disk]
            area = there.get(physical["id"].replace("-", ""))
            if area is None:
                raise Broken(f"{full} lies partly on a physical volume that is not in the image ({physical['id']})")
            used.append(area)
            parts.append(Window(area.source, int(physical["pe_start"]) * _SECTOR + int(start) * extent, length))
        if len(parts) != count:
            raise Broken(f"{full}: a segment names {len(parts)} stripes and counts {count}")
        starts.append(sum(piece.size for piece in pieces))
        pieces.append(parts[0] if count == 1 else Striped(parts, int(segment["stripe_size"]) * _SECTOR))
    return Segmented(starts, pieces, sum(piece.size for piece in pieces)), used


# --- what a physical volume says ----------------------------------------------------------------------------------


def _disk(area: Area) -> _Disk:
    head = area.source.read(0, _LABEL_SECTORS * _SECTOR)
    at = next((at for at in range(0, len(head), _SECTOR) if head[at : at + 8] == b"LABELONE"), None)
    if at is None or head[at + 24 : at + 32] != b"LVM2 001":
        raise Broken(f"{area.name} is no physical volume of LVM 2")
    label = head[at : at + _SECTOR]
    start = struct.unpack_from("<I", label, 20)[0]
    identity = label[start : start + 32].decode("ascii", "replace")
    places = list(_descriptors(label, start + 40))
    split = places.index((0, 0)) if (0, 0) in places else len(places)
    for offset, size in places[split + 1 :]:
        if offset == 0:
            break
        if (text := _text(area, offset, size)) is not None:
            return _parsed(area, identity, text)
    raise Broken(f"{area.name} is a physical volume without a readable copy of its group's metadata")


def _descriptors(label: bytes, start: int) -> Iterator[tuple[int, int]]:
    for at in range(start, len(label) - 15, 16):
        yield struct.unpack_from("<QQ", label, at)


def _text(area: Area, offset: int, size: int) -> str | None:
    header = area.source.read(offset, _SECTOR)
    if header[4:20] != _MAGIC:
        return None
    at, length = struct.unpack_from("<QQ", header, 40)
    if not at or not length or length > min(size, _MOST_TEXT) or at >= size:
        return None
    # The text goes round in its area: behind the end it begins anew after the header.
    first = area.source.read(offset + at, min(length, size - at))
    rest = area.source.read(offset + _SECTOR, length - len(first)) if len(first) < length else b""
    return (first + rest).rstrip(b"\0").decode("utf-8", "replace")


def _parsed(area: Area, identity: str, text: str) -> _Disk:
    try:
        tokens = [token for token in _TOKEN.findall(text) if not token.startswith("#")]
        document, _ = _section(tokens, 0, 0)
        group = next(name for name, value in document.items() if isinstance(value, dict))
        return _Disk(area, identity, group, document[group])
    except (IndexError, ValueError, StopIteration):
        raise Broken(f"{area.name}: the metadata of its volume group cannot be understood") from None


def _section(tokens: list[str], at: int, depth: int) -> tuple[dict[str, Any], int]:
    if depth > _DEEPEST:
        raise ValueError("nested too deep")
    found: dict[str, Any] = {}
    while at < len(tokens) and tokens[at] != "}":
        name, mark = tokens[at], tokens[at + 1]
        if mark == "{":
            found[name], at = _section(tokens, at + 2, depth + 1)
        elif mark == "=":
            found[name], at = _value(tokens, at + 2)
        else:
            raise ValueError("neither a section nor a value")
    return found, at + 1


def _value(tokens: list[str], at: int) -> tuple[Any, int]:
    if tokens[at] != "[":
        return _plain(tokens[at]), at + 1
    end = tokens.index("]", at)
    return [_plain(word) for word in tokens[at + 1 : end] if word != ","], end + 1


def _plain(word: str) -> Any:
    if word.startswith('"'):
        return word[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return int(word) if word.lstrip("-").isdigit() else word
