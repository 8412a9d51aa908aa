"""Make the images of this directory anew: `python tests/data/images/make.py`.

Needs, on Debian: apt-get install xfsprogs ntfs-3g wimtools dosfstools mtools fdisk. The tests themselves need none of
these: the images are kept here, as their 4 KiB blocks that are not zero, beside the list of what is in them, which is
taken from the tree that they were made of and not from reading them.
"""

# ruff: noqa: PTH101, PTH102, PTH103, PTH104, PTH115, PTH120, PTH123, PTH208, PTH211 - names here are bytes, which pathlib does not take

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

import zstandard

HERE = Path(__file__).resolve().parent
BLOCK = 4096
MANY = 2500
#: 1 June 2026, 08:00 UTC, and a time with nanoseconds that NTFS can hold.
MOMENT = 1_780_300_800 * 10**9
ODD = MOMENT + 123_456_700
ENVIRONMENT = {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC", "MTOOLS_SKIP_CHECK": "1"}


def run(*command: str | bytes | Path, **options: Any) -> str:
    """Run a tool; its output."""
    return subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True, **options).stdout.decode()


def text(seed: str, size: int) -> bytes:
    """Return content that compresses well and differs from file to file."""
    line = hashlib.sha256(seed.encode()).hexdigest().encode() + b"\n"
    return (line * (size // len(line) + 1))[:size]


def tree(root: bytes, *, odd: bool, special: bool) -> None:
    """Make the tree: `odd` with names that are no UTF-8, `special` with what only Unix file systems hold."""
    write(root, b"plain.txt", b"hello\n", 0o600)
    write(root, b"empty", b"")
    write(root, "Grüße aus Köln €.txt".encode(), b"umlauts\n")
    write(root, b"n" * 240, b"a long name\n")
    write(root, b"deep/er/and/deeper/file", text("deep", 70_000), 0o640)
    write(root, b"big.bin", text("big", 900_001))
    for number in range(MANY):
        write(root, b"many/file-%04d" % number, b"content of file %d\n" % number)
    os.mkdir(root + b"/empty directory")
    if odd:
        write(root, b"latin-\xe9\xff.txt", b"no text\n")
        write(root, b"odd/\xf0\x28", b"no text either\n")
        for number in range(300):
            write(root, b"odd/many/\xfc-%03d" % number, b"%d" % number)
        os.symlink(b"nowhere-\xff", root + b"/odd-link")
    if special:
        os.symlink(b"deep/er/and/deeper/file", root + b"/link")
        os.symlink(b"../../../../etc/shadow", root + b"/outside")
        os.symlink(b"/absolute/target", root + b"/absolute")
        os.symlink(b"y/" * 90 + b"z", root + b"/long-link")
    for place, directories, files in os.walk(root, topdown=False):
        for name in files + directories:
            os.utime(place + b"/" + name, ns=(ODD, ODD), follow_symlinks=False)


def write(root: bytes, path: bytes, data: bytes, mode: int = 0o644) -> None:
    """Write a file of the tree."""
    full = root + b"/" + path
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "wb") as file:
        file.write(data)
    os.chmod(full, mode)


def listed(root: bytes, **same: Any) -> list[dict[str, Any]]:
    """List a tree; `same` are values that the file system gives to all."""
    found = []
    for place, directories, files in os.walk(root):
        for name in sorted(directories + files):
            full = place + b"/" + name
            seen = os.lstat(full)
            row: dict[str, Any] = {
                "path": (place[len(root) :] + b"/" + name).decode("latin-1"),
                "kind": "link" if stat.S_ISLNK(seen.st_mode) else "directory" if stat.S_ISDIR(seen.st_mode) else "file",
                "mode": stat.S_IMODE(seen.st_mode),
                "modified": seen.st_mtime_ns,
            }
            if row["kind"] == "file":
                data = Path(os.fsdecode(full)).read_bytes()
                row |= {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
                if seen.st_nlink > 1:
                    row["links"] = seen.st_nlink
            if row["kind"] == "link":
                row |= {"target": os.readlink(full).decode("latin-1")}
            found.append({name: value for name, value in (row | same).items() if value is not None})
    return found


def sized(image: Path, mebibytes: int) -> Path:
    """Make an empty image."""
    with image.open("wb") as file:
        file.truncate(mebibytes * 2**20)
    return image


def xfs(place: Path, name: str, *options: str) -> None:
    """Make an XFS from a prototype file."""
    root = os.fsencode(place / name)
    os.mkdir(root)
    tree(root, odd=True, special=True)
    for path in (b"Gr\xc3\xbc\xc3\x9fe aus K\xc3\xb6ln \xe2\x82\xac.txt", b"empty directory"):
        # A prototype's names have no spaces.
        os.rename(root + b"/" + path, root + b"/" + path.replace(b" ", b"_"))
    lines = [b"-", b"0 0", b"d--755 0 0"]
    _prototype(root, lines)
    prototype = place / f"{name}.proto"
    prototype.write_bytes(b"\n".join([*lines, b"$", b""]))
    image = sized(place / f"{name}.img", 320)
    run("mkfs.xfs", "-q", "-p", prototype, *options, image)
    rows = listed(root, modified=None)
    for row in rows:
        row |= {"uid": 1000 if row["kind"] == "file" else 7, "gid": 42 if row["kind"] == "file" else 8}
    for row in rows:
        if row["path"] in ("/plain.txt", "/big.bin", "/deep"):
            said = run("xfs_db", "-r", "-c", f"path {row['path']}", "-c", "p core.mtime.sec core.mtime.nsec", image)
            when = said.split("=", 1)[1].split("\n")[0].strip() + " +0000"
            row["second"] = int(datetime.strptime(when, "%a %b %d %H:%M:%S %Y %z").timestamp())
    keep(image, name, "xfs", rows)


def _prototype(root: bytes, lines: list[bytes]) -> None:
    for name in sorted(os.listdir(root)):
        full = root + b"/" + name
        seen = os.lstat(full)
        mode = b"%03o" % stat.S_IMODE(seen.st_mode)
        if stat.S_ISDIR(seen.st_mode):
            lines.append(name + b" d--" + mode + b" 7 8")
            _prototype(full, lines)
            lines.append(b"$")
        elif stat.S_ISLNK(seen.st_mode):
            lines.append(name + b" l--" + mode + b" 7 8 " + os.readlink(full))
        else:
            lines.append(name + b" ---" + mode + b" 1000 42 " + full)


def ntfs(place: Path) -> Path:
    """Make an NTFS, filled by wimlib."""
    root = os.fsencode(place / "ntfs")
    os.mkdir(root)
    tree(root, odd=False, special=False)
    os.link(root + b"/plain.txt", root + b"/deep/another name")
    with open(root + b"/sparse.bin", "wb") as file:
        file.seek(30 * 2**20)
        file.write(b"middle" * 100)
        file.truncate(50 * 2**20)
    os.symlink(b"deep/er/and/deeper/file", root + b"/link")
    for name in (b"/sparse.bin", b"/plain.txt", b"/link", b"/deep", b""):
        os.utime(root + name, ns=(ODD, ODD), follow_symlinks=False)
    image = sized(place / "ntfs.img", 40)
    run("mkntfs", "-q", "-F", "-s", "512", "-p", "0", "-H", "0", "-S", "0", "-L", "data", image)
    run("wimcapture", place / "ntfs", place / "ntfs.wim", "--compress=none")
    run("wimapply", place / "ntfs.wim", "1", image)
    rows = listed(root, mode=None, uid=0, gid=0)
    keep(image, "ntfs", "ntfs", rows)
    return image


def fat(place: Path, bits: int, mebibytes: int) -> Path:
    """Make a FAT, filled by mtools."""
    name = f"fat{bits}"
    root = os.fsencode(place / name)
    os.mkdir(root)
    tree(root, odd=False, special=False)
    shutil.rmtree(root + b"/many")
    for number in range(200):
        write(root, b"many/file-%04d" % number, b"content of file %d\n" % number)
    for top, directories, files in os.walk(root, topdown=False):
        for one in files + directories:
            os.utime(top + b"/" + one, ns=(MOMENT, MOMENT))
    image = sized(place / f"{name}.img", mebibytes)
    run("mkfs.fat", "-F", str(bits), "-n", "BOOT", image)
    for one in sorted(os.listdir(root)):
        run("mcopy", "-s", "-m", "-i", image, os.fsdecode(root + b"/" + one), "::")
    rows = listed(root, mode=None, uid=0, gid=0)
    for row in rows:
        if row["kind"] == "directory":
            # mtools gives directories the time of their making.
            del row["modified"]
    keep(image, name, name, rows)
    return image


def keep(image: Path, name: str, kind: str, rows: list[dict[str, Any]]) -> None:
    """Write the blocks that are not zero, and the list."""
    parts, size = [], image.stat().st_size
    with image.open("rb") as file:
        for index in range(-(-size // BLOCK)):
            block = file.read(BLOCK)
            if block.count(0) != len(block):
                parts.append(index.to_bytes(4, "big") + block.ljust(BLOCK, b"\0"))
    document = {"kind": kind, "size": size, "entries": rows}
    packer = zstandard.ZstdCompressor(level=19)
    (HERE / f"{name}.blocks.zst").write_bytes(packer.compress(b"".join(parts)))
    (HERE / f"{name}.json.zst").write_bytes(packer.compress(json.dumps(document, sort_keys=True).encode()))


def main() -> None:
    """Make them all."""
    with tempfile.TemporaryDirectory() as made:
        place = Path(made)
        xfs(place, "xfs")
        xfs(place, "xfs4", "-m", "crc=0")
        ntfs(place)
        fat(place, 12, 4)
        fat(place, 16, 16)
        fat(place, 32, 40)


if __name__ == "__main__":
    main()
