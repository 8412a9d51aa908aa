"""ext2, ext3 and ext4: what libfsext does not tell, from the superblock, inodes and directory blocks themselves."""

from __future__ import annotations

import struct
from types import MappingProxyType
from typing import Final

import pyfsext

from agent.files.errors import Broken, Unsupported
from agent.files.posix import PosixSystem
from agent.files.source import Source
from agent.files.system import Entry

_JOURNAL: Final = 0x4
_EXTENTS: Final = 0x40
_RECOVER: Final = 0x4
_IS_64BIT: Final = 0x80
_META_BG: Final = 0x10
_ENCRYPT: Final = 0x10000
_HAS_ERRORS: Final = 2
#: Features without which nothing can be read: compression, journal device, metadata groups, data in directories.
_UNKNOWN: Final = MappingProxyType(
    {
        0x1: "compression",
        0x8: "a journal device of its own",
        0x10: "groups of metadata (meta_bg)",
        0x1000: "data in directories (dirdata)",
    }
)
_KNOWN: Final = (
    0x2 | _RECOVER | _EXTENTS | _IS_64BIT | 0x100 | 0x200 | 0x400 | 0x2000 | 0x4000 | 0x8000 | _ENCRYPT | 0x20000
)
_BIGALLOC: Final = 0x200
_FAST: Final = 60
_INLINE: Final = 0x10000000
_ATTRIBUTES: Final = 0xEA020000
#: The kind of attributes that the file system keeps for itself.
_SYSTEM: Final = 7


class Ext(PosixSystem):
    """One opened ext file system."""

    def __init__(self, name: str, source: Source) -> None:
        """Open it. Raises `Broken`, `Unsupported`."""
        block = source.read(1024, 1024)
        if len(block) < 1024:  # noqa: PLR2004 - its own size
            raise Broken(f"{name}: the superblock is cut off")
        compatible, incompatible, read_only = struct.unpack_from("<III", block, 92)
        _check(name, incompatible, read_only)
        (shift,) = struct.unpack_from("<I", block, 24)
        if shift > 6:  # noqa: PLR2004 - 64 KiB
            raise Broken(f"{name}: the superblock says blocks of 2^{10 + shift} bytes")
        self._block_size = 1024 << shift
        (self._first,) = struct.unpack_from("<I", block, 20)
        (self._inodes_per_group,) = struct.unpack_from("<I", block, 40)
        self._inode_size = struct.unpack_from("<H", block, 88)[0] or 128
        self._descriptor = struct.unpack_from("<H", block, 254)[0] if incompatible & _IS_64BIT else 32
        kind = "ext4" if incompatible & (_EXTENTS | _IS_64BIT) else "ext3" if compatible & _JOURNAL else "ext2"
        super().__init__(name, kind, pyfsext, source, _notes(block, incompatible))

    def raw_names(self, directory: Entry) -> dict[int, list[bytes]]:
        """See `PosixSystem`."""
        found: dict[int, list[bytes]] = {}
        handle = directory.handle
        with self._stream.telling(f"{self.name}: directory inode {directory.identity}"):
            extents = [handle.get_extent(number) for number in range(handle.get_number_of_extents())]
        for offset, size, flags in extents:
            if flags & 1:
                continue
            data = self.source.read(offset, size)
            for start in range(0, len(data), self._block_size):
                for inode, name in _names(data[start : start + self._block_size]):
                    found.setdefault(inode, []).append(name)
        return found

    def raw_target(self, link: Entry) -> bytes:
        """See `PosixSystem`."""
        if link.size < _FAST:
            return self._inode(link.identity)[40 : 40 + link.size]
        inode = self._inode(link.identity)
        if struct.unpack_from("<I", inode, 32)[0] & _INLINE:
            return (inode[40 : 40 + _FAST] + _inline_rest(inode))[: link.size]
        with self._stream.telling(f"{self.name}: link inode {link.identity}"):
            offset, size, _ = link.handle.get_extent(0)
        return self.source.read(offset, min(size, link.size))

    def _inode(self, number: int) -> bytes:
        group, index = divmod(number - 1, self._inodes_per_group)
        at = (self._first + 1) * self._block_size + group * self._descriptor
        descriptor = self.source.read(at, self._descriptor)
        table = struct.unpack_from("<I", descriptor, 8)[0]
        if self._descriptor > 32:  # noqa: PLR2004 - the size of the older kind
            table |= struct.unpack_from("<I", descriptor, 40)[0] << 32
        return self.source.read(table * self._block_size + index * self._inode_size, self._inode_size)


def _check(name: str, incompatible: int, read_only: int) -> None:
    for bit, text in _UNKNOWN.items():
        if incompatible & bit:
            raise Unsupported(f"{name} is an ext file system with {text}, which is not read", "Restore the volume")
    if incompatible & ~_KNOWN:
        raise Unsupported(
            f"{name} is an ext file system with features of a newer kind ({incompatible & ~_KNOWN:#x})",
            "Use a newer agent, or restore the volume",
        )
    if read_only & _BIGALLOC:
        raise Unsupported(
            f"{name} is an ext file system with clusters (bigalloc), which is not read", "Restore the volume"
        )


def _notes(block: bytes, incompatible: int) -> tuple[str, ...]:
    notes = []
    if incompatible & _RECOVER:
        notes.append(
            "its journal holds changes that are not applied: the last seconds before the backup may be missing"
        )
    if struct.unpack_from("<H", block, 58)[0] & _HAS_ERRORS:
        notes.append("the system that used it had noted errors in it")
    if incompatible & _ENCRYPT:
        notes.append("directories in it may be encrypted: their names and contents come out as they are stored")
    return tuple(notes)


def _inline_rest(inode: bytes) -> bytes:
    """Return what of inline data does not fit into an inode's first 60 bytes: its attribute `system.data`."""
    start = 128 + struct.unpack_from("<H", inode, 128)[0]
    if start + 4 > len(inode) or struct.unpack_from("<I", inode, start)[0] != _ATTRIBUTES:
        return b""
    at = start = start + 4
    while at + 16 <= len(inode) and inode[at]:
        length, kind, place, _, size = struct.unpack_from("<BBHII", inode, at)
        if kind == _SYSTEM and inode[at + 16 : at + 16 + length] == b"data":
            return inode[start + place : start + place + size]
        at += -(-(16 + length) // 4) * 4
    return b""


def _names(block: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at + 8 <= len(block):
        inode, length, size = struct.unpack_from("<IHB", block, at)
        if length < 8 or at + length > len(block):  # noqa: PLR2004 - the least entry
            break
        if inode and size <= length - 8:
            found.append((inode, block[at + 8 : at + 8 + size]))
        at += length
    return found
