"""Images with real file systems as sources, and what is known to be in them.

Those of tests/data/images were made by Debian's tools (`make.py` there); ext ones are made on the spot by e2fsprogs.
"""

# ruff: noqa: PTH112, PTH113, PTH114, PTH115 - names here are bytes, which pathlib does not take

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import subprocess
import tarfile
import uuid
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import zstandard

from agent.files.areas import Area
from agent.files.source import Source
from agent.files.system import Entry, FileSystem, Flaw
from agent.files.walking import walk

DATA: Final = Path(__file__).resolve().parents[1] / "data" / "images"
BLOCK: Final = 4096
SECTOR: Final = 512
SBIN: Final = {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "E2FSPROGS_FAKE_TIME": "1780300800"}


@dataclass
class Blocks:
    """A source of blocks in memory; those that are not there are zeros."""

    held: dict[int, bytes]
    size: int

    def read(self, offset: int, length: int) -> bytes:
        """See `Source`."""
        end = min(offset + length, self.size)
        parts = []
        while offset < end:
            index, start = divmod(offset, BLOCK)
            stop = min(BLOCK, start + end - offset)
            parts.append(self.held.get(index, bytes(BLOCK))[start:stop])
            offset += stop - start
        return b"".join(parts)

    def write(self, offset: int, data: bytes) -> None:
        """Change bytes."""
        while data:
            index, start = divmod(offset, BLOCK)
            part = data[: BLOCK - start]
            old = self.held.get(index, bytes(BLOCK))
            self.held[index] = old[:start] + part + old[start + len(part) :]
            offset, data = offset + len(part), data[len(part) :]


@dataclass(frozen=True)
class Stored:
    """A kept image and the list of what is in it: by path, as bytes."""

    kind: str
    source: Blocks
    entries: Mapping[bytes, Mapping[str, Any]]


@lru_cache(maxsize=2)
def _parts(name: str) -> tuple[bytes, bytes]:
    unpack = zstandard.ZstdDecompressor().decompress
    blocks, listing = ((DATA / f"{name}.{part}.zst").read_bytes() for part in ("blocks", "json"))
    return unpack(blocks, max_output_size=2**28), unpack(listing, max_output_size=2**28)


def stored(name: str) -> Stored:
    """Return a kept image: xfs, xfs4, ntfs, fat12, fat16, fat32. Its blocks may be changed."""
    blocks, listing = _parts(name)
    document = json.loads(listing)
    step = 4 + BLOCK
    held = {
        int.from_bytes(blocks[at : at + 4], "big"): blocks[at + 4 : at + step] for at in range(0, len(blocks), step)
    }
    entries = {one["path"].encode("latin-1"): one for one in document["entries"]}
    return Stored(document["kind"], Blocks(held, document["size"]), entries)


def area(source: Source, name: str = "vol-1") -> Area:
    """Return a source as a whole volume."""
    return Area(name, source, (name,))


@dataclass
class Image:
    """An image file as a source."""

    path: Path

    @property
    def size(self) -> int:
        """See `Source`."""
        return self.path.stat().st_size

    def read(self, offset: int, length: int) -> bytes:
        """See `Source`."""
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(max(0, min(length, self.size - offset)))


def make_ext(image: Path, root: Path, *options: str, kind: str = "ext4", size: int = 64 * 2**20) -> Path:
    """Make an ext file system of a tree."""
    with image.open("wb") as file:
        file.truncate(size)
    run(f"mkfs.{kind}", "-q", "-F", *options, "-d", str(root), str(image))
    return image


def run(*command: str) -> str:
    """Run a tool of e2fsprogs; its output."""
    done = subprocess.run(command, env=SBIN, capture_output=True, text=True, check=True)
    return done.stdout


# --- disks --------------------------------------------------------------------------------------------------------


def put(disk: Blocks, offset: int, image: Blocks) -> None:
    """Put an image into a disk, at a multiple of 4 KiB."""
    for index, block in image.held.items():
        disk.held[offset // BLOCK + index] = block


def mbr_disk(primary: Blocks, *logical: Blocks, kinds: tuple[int, ...] = (0x83, 0x83, 0x83)) -> Blocks:
    """Return a disk with a primary partition, and an extended one with some logical partitions."""
    gap = 2**20
    disk, at = Blocks({}, gap), gap
    disk.held, first = {}, at // SECTOR
    put(disk, at, primary)
    at += primary.size
    table = [(kinds[0], first, primary.size // SECTOR)]
    base = at // SECTOR
    whole = sum(gap + one.size for one in logical)
    if logical:
        table.append((0x05, base, whole // SECTOR))
    disk.size = at + whole
    disk.write(446, _entries(table))
    for number, one in enumerate(logical):
        rows = [(kinds[number + 1], gap // SECTOR, one.size // SECTOR)]
        if number + 1 < len(logical):
            rows.append((0x05, at // SECTOR - base + (gap + one.size) // SECTOR, 1))
        disk.write(at + 446, _entries(rows))
        put(disk, at + gap, one)
        at += gap + one.size
    return disk


def _entries(rows: list[tuple[int, int, int]]) -> bytes:
    packed = b"".join(
        struct.pack("<B3sB3sII", 0, b"\0" * 3, kind, b"\0" * 3, start, size) for kind, start, size in rows
    )
    return packed.ljust(64, b"\0") + b"\x55\xaa"


def gpt_disk(*images: Blocks) -> Blocks:
    """Return a disk with a GPT and a partition for each image."""
    gap = 2**20
    disk, at, rows = Blocks({}, gap), gap, b""
    linux = uuid.UUID("0FC63DAF-8483-4772-8E79-3D69D8477DE4").bytes_le
    for number, one in enumerate(images):
        disk.size = at + one.size + gap
        put(disk, at, one)
        own = uuid.UUID(int=number + 1).bytes_le
        rows += linux + own + struct.pack("<QQQ72s", at // SECTOR, (at + one.size) // SECTOR - 1, 0, b"")
        at += one.size
    rows = rows.ljust(128 * 128, b"\0")
    last = disk.size // SECTOR - 1
    disk.write(446, _entries([(0xEE, 1, last)]))
    disk.write(SECTOR, _gpt_header(1, last, 2, rows, last))
    disk.write(2 * SECTOR, rows)
    disk.write((last - 32) * SECTOR, rows)
    disk.write(last * SECTOR, _gpt_header(last, 1, last - 32, rows, last))
    return disk


def _gpt_header(own: int, other: int, table: int, rows: bytes, last: int) -> bytes:
    identity = uuid.UUID(int=7).bytes_le

    def header(checksum: int) -> bytes:
        return struct.pack(
            "<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, checksum, 0, own, other, 34, last - 33, identity, table,
            128, 128, zlib.crc32(rows),
        )  # fmt: skip

    return header(zlib.crc32(header(0))).ljust(SECTOR, b"\0")


# --- what is in them ----------------------------------------------------------------------------------------------


def read_all(system: FileSystem) -> dict[bytes, tuple[Entry, bytes | None]]:
    """Return everything of a file system by path: entries, and the content of files."""
    wrong: list[tuple[bytes, str]] = []
    found = {}
    for path, entry in walk(system, system.root(), b"/", lambda path, reason: wrong.append((path, reason))):
        assert not isinstance(entry, Flaw)
        content = None
        if entry.kind == "file":
            content = b"".join(
                bytes(span.length) if span.is_hole else system.read(entry, span.offset, span.length)
                for span in system.spans(entry)
            )
        found[path] = entry, content
    assert not wrong, wrong[:3]
    return found


def assert_same(found: Mapping[bytes, tuple[Entry, bytes | None]], known: Mapping[bytes, Mapping[str, Any]]) -> None:
    """Compare what was read with what is known, in everything that is known."""
    assert found.keys() == known.keys()
    for path, row in known.items():
        entry, content = found[path]
        assert entry.kind == row["kind"], path
        for name in ("mode", "uid", "gid", "modified"):
            if name in row:
                assert getattr(entry, name) == row[name], (path, name)
        if "second" in row:
            assert entry.modified // 10**9 == int(row["second"]), path
        if "links" in row:
            assert entry.links == row["links"], path
        if row["kind"] == "link":
            assert entry.target == row["target"].encode("latin-1"), path
        if row["kind"] == "file":
            assert content is not None
            assert (entry.size, len(content)) == (row["size"], row["size"]), path
            assert hashlib.sha256(content).hexdigest() == row["sha256"], path


def tree_of(root: Path) -> dict[bytes, dict[str, Any]]:
    """Return what is known of a directory of this machine, as `assert_same` takes it."""
    known: dict[bytes, dict[str, Any]] = {}
    base = os.fsencode(root)
    for place, directories, files in os.walk(base):
        for name in directories + files:
            full = place + b"/" + name
            seen = os.lstat(full)
            row: dict[str, Any] = {"mode": seen.st_mode & 0o7777, "uid": seen.st_uid, "gid": seen.st_gid}
            row["modified"] = seen.st_mtime_ns
            if os.path.islink(full):
                row |= {"kind": "link", "target": os.readlink(full).decode("latin-1")}
            elif os.path.isdir(full):
                row |= {"kind": "directory"}
            elif os.path.isfile(full):
                data = Path(os.fsdecode(full)).read_bytes()
                row |= {"kind": "file", "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
                row |= {"links": seen.st_nlink}
            else:
                row |= {"kind": "fifo"}
            known[full[len(base) :]] = row
    return known


def unpacked(archive: bytes) -> dict[bytes, tuple[tarfile.TarInfo, bytes | None]]:
    """Return the members of a tar archive by path, as Python's own reader has them."""
    found: dict[bytes, tuple[tarfile.TarInfo, bytes | None]] = {}
    with tarfile.open(fileobj=io.BytesIO(archive), errors="surrogateescape") as opened:
        for member in opened:
            file = opened.extractfile(member) if member.isreg() else None
            name = member.name.encode("utf-8", "surrogateescape").rstrip(b"/")
            found[b"/" + name] = member, None if file is None else file.read()
    return found


def write_image(blocks: Blocks, path: Path, size: int) -> Path:
    """Write an image into a sparse file of `size` bytes."""
    with path.open("wb") as file:
        for index, block in blocks.held.items():
            file.seek(index * BLOCK)
            file.write(block)
        file.truncate(size)
    return path
