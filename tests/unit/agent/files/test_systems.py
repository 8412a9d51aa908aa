"""File systems made by other programs: everything in them is read as it is."""

# ruff: noqa: PTH211 - names here are bytes, which pathlib does not take

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from support.images import (
    Blocks,
    Image,
    area,
    assert_same,
    gpt_disk,
    make_ext,
    mbr_disk,
    read_all,
    run,
    stored,
    tree_of,
)
from support.logical_volumes import DATA, EXTENT, Piece, place, write_group

from agent.files.opening import Found, open_all
from agent.files.source import Source


def the_one(source: Source) -> Found:
    """Return what a volume holds that holds one file system."""
    (found,) = open_all([area(source)])
    assert found.system is not None, found.reason
    return found


@pytest.mark.parametrize("name", ["xfs", "xfs4", "ntfs", "fat12", "fat16", "fat32"])
def test_everything_in_an_image_is_read_as_it_was_written(name: str) -> None:
    """Thousands of files, unusual names, links, times and owners, as far as the kind of file system has them."""
    image = stored(name)

    found = the_one(image.source)

    assert found.kind == image.kind
    assert_same(read_all(found.system), image.entries)  # type: ignore[arg-type]  # the_one has looked
    assert found.system.notes == ()  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree with everything that ext can hold and an ordinary user can make."""
    root = tmp_path_factory.mktemp("tree")
    for number in range(3000):
        file = root / "many" / f"file-{number}"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"%d" % number)
    (root / "plain").write_bytes(b"plain\n")
    (root / "plain").chmod(0o6755)
    os.link(root / "plain", root / "many" / "hard")
    base = os.fsencode(root)
    for name in (b"latin-\xe9\xff", "Grüße €".encode(), b"new\nline", b"back\\slash", b" ", b"n" * 255, b"-rf", b"*"):
        with open(base + b"/" + name, "wb") as file:  # noqa: PTH123 - bytes
            file.write(name)
    with (root / "sparse").open("wb") as sparse:
        sparse.seek(4 * 2**20)
        sparse.write(b"middle" * 1000)
        sparse.truncate(12 * 2**20)
    (root / "link").symlink_to("../../etc/passwd")
    os.symlink(b"bad-\xff", base + b"/odd link")
    os.symlink(b"l" * 200, base + b"/long link")
    os.symlink(b"\xff" * 100, base + b"/long odd link")
    os.mkfifo(root / "fifo")
    (root / "big").write_bytes(os.urandom(3_000_001))
    for place_, directories, files in os.walk(base, topdown=False):
        for name in directories + files:
            os.utime(place_ + b"/" + name, (1_780_300_800, 1_780_300_800), follow_symlinks=False)
    return root


@pytest.mark.parametrize(
    ("kind", "options"),
    [("ext4", ()), ("ext3", ("-b", "1024")), ("ext2", ()), ("ext4", ("-O", "inline_data,^metadata_csum", "-I", "256"))],
    ids=["ext4", "ext3", "ext2", "inline"],
)
def test_everything_in_an_ext_image_is_read_as_it_was_written(
    tree: Path, tmp_path: Path, kind: str, options: tuple[str, ...]
) -> None:
    """Every kind of ext that mkfs makes: names and targets that are no text, links, holes, setuid."""
    image = Image(make_ext(tmp_path / "image", tree, *options, kind=kind))

    found = the_one(image)

    read = read_all(found.system)  # type: ignore[arg-type]  # the_one has looked
    assert found.kind == kind
    del read[b"/lost+found"]
    known = tree_of(tree)
    if "-I" in options:
        # mkfs itself cuts a file off behind its last data when it may put data into inodes (e2fsprogs 1.47).
        known[b"/sparse"] = {"kind": "file", **dict(zip(("size", "sha256"), _cut(tree / "sparse"), strict=True))}
    assert_same(read, known)
    assert sum(span.length for span in found.system.spans(read[b"/sparse"][0]) if not span.is_hole) < 2**20  # type: ignore[union-attr]


def _cut(file: Path) -> tuple[int, str]:
    data = file.read_bytes().rstrip(b"\0")
    data += bytes(-len(data) % 1024)
    return len(data), hashlib.sha256(data).hexdigest()


def test_partitions_of_an_mbr_are_found_logical_ones_too() -> None:
    """A primary partition, and two in the chain of the extended one, by their numbers."""
    disk = mbr_disk(stored("fat16").source, stored("ntfs").source, stored("fat12").source)

    found = open_all([area(disk)])

    assert [(one.name, one.kind) for one in found] == [("vol-1/1", "fat16"), ("vol-1/5", "ntfs"), ("vol-1/6", "fat12")]
    assert_same(read_all(found[2].system), stored("fat12").entries)  # type: ignore[arg-type]


def test_partitions_of_a_gpt_are_found_and_what_is_unknown_is_named() -> None:
    """File systems, swap, encrypted volumes and nothing at all."""
    swap = Blocks({}, 2**20)
    swap.write(4086, b"SWAPSPACE2")
    secret = Blocks({}, 2**20)
    secret.write(0, b"LUKS\xba\xbe\0\2")
    disk = gpt_disk(stored("fat32").source, swap, stored("xfs").source, secret, Blocks({}, 2**20))

    found = open_all([area(disk)])

    assert [(one.name, one.kind) for one in found] == [
        ("vol-1/1", "fat32"),
        ("vol-1/2", "swap space"),
        ("vol-1/3", "xfs"),
        ("vol-1/4", "LUKS, encrypted"),
        ("vol-1/5", "unknown"),
    ]
    assert "LUKS, encrypted" in str(found[3].reason)
    assert_same(read_all(found[2].system), stored("xfs").entries)  # type: ignore[arg-type]


def test_a_logical_volume_over_two_volumes_is_read(tree: Path, tmp_path: Path) -> None:
    """Its pieces lie on both; the order in which the volumes are given does not matter."""
    image = make_ext(tmp_path / "image", tree)
    disks = [tmp_path / "a", tmp_path / "b"]
    for disk in disks:
        with disk.open("wb") as file:
            file.truncate(DATA + 20 * EXTENT)
    pieces = [Piece(1, 4, 7), Piece(0, 2, 9)]
    write_group(disks, "group", {"root": pieces, "empty": [Piece(0, 0, 2)]})
    place(disks, pieces, image)

    found = open_all([area(Image(disks[0]), "vol-a"), area(Image(disks[1]), "vol-b")])

    assert [(one.name, one.kind) for one in found] == [("group/root", "ext4"), ("group/empty", "unknown")]
    assert found[0].area.volumes == ("vol-b", "vol-a")
    read = read_all(found[0].system)  # type: ignore[arg-type]
    del read[b"/lost+found"]
    assert_same(read, tree_of(tree))
    alone = open_all([area(Image(disks[0]), "vol-a")])
    assert [one.system for one in alone] == [None, None]
    assert any("not in the image" in str(one.reason) for one in alone)


def test_a_journal_that_was_not_replayed_is_told(tree: Path, tmp_path: Path) -> None:
    """Of each kind: what the system had not yet written where it belongs may be missing."""
    ext = make_ext(tmp_path / "image", tree)
    run("debugfs", "-w", "-R", "feature needs_recovery", str(ext))
    xfs, ntfs, fat = stored("xfs").source, stored("ntfs").source, stored("fat32").source
    # The head of the log: its last record is none of an unmount.
    log = int.from_bytes(xfs.read(48, 8), "big")
    blocks, shift = int.from_bytes(xfs.read(84, 4), "big"), xfs.read(124, 1)[0]
    at = ((log >> shift) * blocks + (log & ((1 << shift) - 1))) * 4096
    assert xfs.read(at, 4) == b"\xfe\xed\xba\xbe"
    xfs.write(at + SECTOR_OF_FLAGS, b"\0")
    ntfs.write(_volume_flags(ntfs), b"\x01\0")
    fat.write(65, b"\x01")

    noted = [the_one(one).system for one in (Image(ext), xfs, ntfs, fat)]

    assert all(one is not None and any("may be missing" in note for note in one.notes) for one in noted)


SECTOR_OF_FLAGS = 512 + 9


def _volume_flags(ntfs: Blocks) -> int:
    """Find the flags of $VOLUME_INFORMATION in record 3 of the MFT."""
    cluster = int.from_bytes(ntfs.read(11, 2), "little") * ntfs.read(13, 1)[0]
    record = int.from_bytes(ntfs.read(48, 8), "little") * cluster + 3 * 1024
    data = ntfs.read(record, 1024)
    at = int.from_bytes(data[20:22], "little")
    while data[at] != 0x70:
        at += int.from_bytes(data[at + 4 : at + 8], "little")
    return record + at + int.from_bytes(data[at + 20 : at + 22], "little") + 10
