"""Partition tables: GPT through libvsgpt, MBR with its chain of extended tables by hand (its library has no wheel)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

import pyvsgpt

from agent.files.areas import Area
from agent.files.errors import Broken
from agent.files.source import Source, Stream, Window

_SECTOR: Final = 512
_TABLE: Final = 446
_EXTENDED: Final = frozenset({0x05, 0x0F, 0x85})
_PROTECTIVE: Final = 0xEE
#: More logical partitions than any system makes: a longer chain is a loop.
_MOST: Final = 256
_FIRST_LOGICAL: Final = 5


def partitions(area: Area) -> list[Area]:
    """List the partitions of an area. Raises `Broken` when its table contradicts itself."""
    head = area.source.read(0, 8192)
    if b"EFI PART" in (head[512:520], head[4096:4104]):
        return list(_gpt(area))
    return list(_mbr(area))


def _gpt(area: Area) -> Iterator[Area]:
    stream = Stream(area.source)
    with stream.telling(f"the partition table of {area.name}"):
        volume = pyvsgpt.volume()
        volume.open_file_object(stream)
        found = [volume.get_partition(number) for number in range(volume.number_of_partitions)]
        places = sorted((int(one.entry_index) + 1, int(one.volume_offset), int(one.size)) for one in found)
        volume.close()
    for number, offset, size in places:
        yield _area(area, number, offset, size)


def _mbr(area: Area) -> Iterator[Area]:
    for number, (kind, start, sectors) in enumerate(_entries(area.source, 0), 1):
        if kind in _EXTENDED:
            yield from _logical(area, start)
        elif sectors and kind not in (0, _PROTECTIVE):
            yield _area(area, number, start * _SECTOR, sectors * _SECTOR)


def _logical(area: Area, base: int) -> Iterator[Area]:
    table, seen = base, set[int]()
    while table not in seen:
        seen.add(table)
        if len(seen) > _MOST:
            break
        following = None
        for kind, start, sectors in _entries(area.source, table * _SECTOR):
            if kind in _EXTENDED:
                following = base + start
            elif kind and sectors:
                yield _area(area, _FIRST_LOGICAL + len(seen) - 1, (table + start) * _SECTOR, sectors * _SECTOR)
        if following is None:
            return
        table = following
    raise Broken(f"the chain of logical partitions of {area.name} runs in a circle at sector {table}")


def _entries(source: Source, offset: int) -> Iterator[tuple[int, int, int]]:
    """Yield (type, first sector, sectors) of the four entries of one table; none where there is no table."""
    sector = source.read(offset, _SECTOR)
    if sector[510:512] != b"\x55\xaa":
        return
    for number in range(4):
        entry = sector[_TABLE + 16 * number : _TABLE + 16 * number + 16]
        start, sectors = struct.unpack_from("<II", entry, 8)
        yield entry[4], start, sectors


def _area(area: Area, number: int, offset: int, size: int) -> Area:
    # A table may promise more than the volume has; what is there is read.
    return Area(
        f"{area.name}/{number}", Window(area.source, offset, max(0, min(size, area.source.size - offset))), area.volumes
    )
