"""Where file systems may be: whole volumes, partitions, logical volumes; and what an area holds, by its signature."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from agent.files.source import Source


@dataclass(frozen=True)
class Area:
    """A named stretch of bytes; `volumes` are the ids of the volumes that it lies on."""

    name: str
    source: Source
    volumes: tuple[str, ...]


#: What is known by its signature and not read: (offset, signature) by name.
_OTHERS: Final = MappingProxyType(
    {
        "LUKS, encrypted": (0, b"LUKS\xba\xbe"),
        "BitLocker, encrypted": (3, b"-FVE-FS-"),
        "Btrfs": (65536 + 64, b"_BHRfS_M"),
        "ReFS": (3, b"ReFS\0\0\0\0"),
        "exFAT": (3, b"EXFAT   "),
        "F2FS": (1024, b"\x10\x20\xf5\xf2"),
        "swap space": (4086, b"SWAPSPACE2"),
        "swap space of an older kind": (4086, b"SWAP-SPACE"),
        "a member of a Linux RAID": (4096, b"\xfc\x4e\x2b\xa9"),
        "ZFS": (16384 + 8, b"\x0c\xb1\xba\0\0\0\0\0"),
    }
)
_FAT_NAMES: Final = ((54, b"FAT12   "), (54, b"FAT16   "), (54, b"FAT     "), (82, b"FAT32   "))
_LVM_SECTORS: Final = 4
_SECTOR: Final = 512


def kind_of(source: Source) -> str:
    """Return what an area begins with: `ext`, `xfs`, `ntfs`, `fat`, `lvm`, `partitions`, or a description.

    Empty when nothing is known of it. A file system counts before a partition table: its boot sector may look like one.
    """
    head = source.read(0, 8192)
    if head[1080:1082] == b"\x53\xef":
        return "ext"
    if head[:4] == b"XFSB":
        return "xfs"
    if head[3:11] == b"NTFS    ":
        return "ntfs"
    if head[510:512] == b"\x55\xaa" and any(head[at : at + len(name)] == name for at, name in _FAT_NAMES):
        return "fat"
    if any(head[at : at + 8] == b"LABELONE" for at in range(0, _LVM_SECTORS * _SECTOR, _SECTOR)):
        return "lvm"
    for name, (at, signature) in _OTHERS.items():
        if source.read(at, len(signature)) == signature:
            return name
    if b"EFI PART" in (head[512:520], head[4096:4104]) or head[510:512] == b"\x55\xaa":
        return "partitions"
    return ""
