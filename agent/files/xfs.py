"""XFS: what libfsxfs does not tell, from the superblock, inodes, directory blocks and the log themselves."""

from __future__ import annotations

import struct
from typing import Final

import pyfsxfs

from agent.files.errors import Broken, Unsupported
from agent.files.posix import PosixSystem
from agent.files.source import Source
from agent.files.system import Entry

_VERSION_5: Final = 5
#: File types, sparse inode chunks, metadata uuid, times to 2486, needs repair, larger extent counts.
_KNOWN: Final = 0x1 | 0x2 | 0x4 | 0x8 | 0x10
_NEEDS_REPAIR: Final = 0x10
_FILE_TYPES: Final = 0x1
_FILE_TYPES_4: Final = 0x200
_LOCAL: Final = 1
_BLOCK_MAGICS: Final = frozenset({b"XDB3", b"XD2B"})
_DATA_MAGICS: Final = frozenset({b"XDD3", b"XD2D"})
_UNUSED: Final = b"\xff\xff"
_SECTOR: Final = 512
_RECORD: Final = b"\xfe\xed\xba\xbe"
_UNMOUNTED: Final = 0x20
#: How far back from the head of the log its last record may begin: the largest log buffer and its headers.
_BACK: Final = 1024


class Xfs(PosixSystem):
    """One opened XFS."""

    def __init__(self, name: str, source: Source) -> None:
        """Open it. Raises `Broken`, `Unsupported`."""
        block = source.read(0, 512)
        if len(block) < _SECTOR:
            raise Broken(f"{name}: the superblock is cut off")
        (self._block_size,) = struct.unpack_from(">I", block, 4)
        (self._group_blocks,) = struct.unpack_from(">I", block, 84)
        version, _, self._inode_size, self._per_block = struct.unpack_from(">HHHH", block, 100)
        self._per_block_log, self._group_log = block[123], block[124]
        self._directory_log = block[192]
        self._is_5 = version & 0xF == _VERSION_5
        incompatible = struct.unpack_from(">I", block, 216)[0] if self._is_5 else 0
        more = struct.unpack_from(">I", block, 200)[0]
        self._has_types = bool(incompatible & _FILE_TYPES if self._is_5 else more & _FILE_TYPES_4)
        if incompatible & ~_KNOWN:
            raise Unsupported(
                f"{name} is an XFS with features of a newer kind ({incompatible & ~_KNOWN:#x})",
                "Use a newer agent, or restore the volume",
            )
        notes = []
        if incompatible & _NEEDS_REPAIR:
            notes.append("it is marked as in need of repair")
        if not _is_clean(source, block, self._block_size):
            notes.append(
                "its log holds changes that are not applied: the last seconds before the backup may be missing"
            )
        super().__init__(name, "xfs", pyfsxfs, source, tuple(notes))

    def raw_names(self, directory: Entry) -> dict[int, list[bytes]]:
        """See `PosixSystem`."""
        found: dict[int, list[bytes]] = {}
        inode = self._inode(directory.identity)
        is_short = inode[5] == _LOCAL
        entries = self._short_names(inode[self._fork :]) if is_short else self._long_names(directory)
        for number, name in entries:
            found.setdefault(number, []).append(name)
        return found

    def raw_target(self, link: Entry) -> bytes:
        """See `PosixSystem`."""
        inode = self._inode(link.identity)
        if inode[5] != _LOCAL:
            raise Broken(f"{self.name}: the target of link inode {link.identity} is no text and not in its inode")
        return inode[self._fork : self._fork + link.size]

    @property
    def _fork(self) -> int:
        """Where the data of an inode begin."""
        return 176 if self._is_5 else 100

    def _inode(self, number: int) -> bytes:
        within = number & ((1 << self._per_block_log) - 1)
        block = (number >> self._per_block_log) & ((1 << self._group_log) - 1)
        group = number >> (self._per_block_log + self._group_log)
        offset = (group * self._group_blocks + block) * self._block_size + within * self._inode_size
        inode = self.source.read(offset, self._inode_size)
        if inode[:2] != b"IN" or len(inode) < self._inode_size:
            raise Broken(f"{self.name}: inode {number} is damaged")
        return inode

    def _short_names(self, data: bytes) -> list[tuple[int, bytes]]:
        count, wide = data[0], data[1]
        length = 8 if wide else 4
        found, at = [], 2 + length
        for _ in range(wide or count):
            size = data[at]
            name = data[at + 3 : at + 3 + size]
            at += 3 + size + (1 if self._has_types else 0)
            found.append((int.from_bytes(data[at : at + length], "big"), name))
            at += length
        return found

    def _long_names(self, directory: Entry) -> list[tuple[int, bytes]]:
        handle, size = directory.handle, self._block_size << self._directory_log
        with self._stream.telling(f"{self.name}: directory inode {directory.identity}"):
            extents = [handle.get_extent(number) for number in range(handle.get_number_of_extents())]
        found = []
        for offset, length, _ in extents:
            for start in range(0, length - size + 1, size):
                found += self._block_names(self.source.read(offset + start, size))
        return found

    def _block_names(self, block: bytes) -> list[tuple[int, bytes]]:
        magic, end = block[:4], len(block)
        if magic in _BLOCK_MAGICS:
            end -= 8 + 8 * struct.unpack_from(">I", block, end - 8)[0]
        elif magic not in _DATA_MAGICS:
            return []
        found, at = [], 64 if magic in (b"XDB3", b"XDD3") else 16
        while at + 12 <= end:
            if block[at : at + 2] == _UNUSED:
                length = struct.unpack_from(">H", block, at + 2)[0]
                if length < 8:  # noqa: PLR2004 - the least stretch
                    break
                at += length
                continue
            number, size = struct.unpack_from(">QB", block, at)
            found.append((number, block[at + 9 : at + 9 + size]))
            at += -(-(9 + size + (1 if self._has_types else 0) + 2) // 8) * 8
        return found


def _is_clean(source: Source, block: bytes, block_size: int) -> bool:
    """Return whether the log ends with the record of an unmount, or is elsewhere and cannot be seen."""
    (start,) = struct.unpack_from(">Q", block, 48)
    (blocks,) = struct.unpack_from(">I", block, 96)
    if not start or not blocks:
        return True
    group_log, group_blocks = block[124], struct.unpack_from(">I", block, 84)[0]
    base = ((start >> group_log) * group_blocks + (start & ((1 << group_log) - 1))) * block_size
    sectors = blocks * block_size // _SECTOR
    head = _head(source, base, sectors)
    for back in range(1, min(_BACK, sectors) + 1):
        at = (head - back) % sectors
        sector = source.read(base + at * _SECTOR, _SECTOR)
        if sector[:4] == _RECORD:
            size = struct.unpack_from(">I", sector, 320)[0] if struct.unpack_from(">I", sector, 8)[0] > 1 else 0
            headers = max(1, -(-size // 32768)) if size else 1
            first = source.read(base + (at + headers) % sectors * _SECTOR, _SECTOR)
            return len(first) > 9 and bool(first[9] & _UNMOUNTED)  # noqa: PLR2004 - flags of the first operation
    return False


def _head(source: Source, base: int, sectors: int) -> int:
    """Return the sector behind the last that was written: cycle numbers fall by one there."""

    def cycle(sector: int) -> int:
        data = source.read(base + sector * _SECTOR, 8)
        word = data[4:8] if data[:4] == _RECORD else data[:4]
        return int.from_bytes(word, "big")

    first, low, high = cycle(0), 0, sectors
    if cycle(sectors - 1) == first:
        return 0
    while high - low > 1:
        middle = (low + high) // 2
        if cycle(middle) == first:
            low = middle
        else:
            high = middle
    return high
