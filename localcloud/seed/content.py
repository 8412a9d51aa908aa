"""Content of volumes, equal for equal seeds: a tree of files, and blocks of every kind a backup has to deal with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Final

#: One EBS block.
BLOCK: Final = 512 * 1024
#: The latest time stamp in the tree: the morning of 1 June 2026, UTC.
_NEWEST: Final = 1_780_300_800
_WORDS: Final = (  # noqa: SIM905 - a list of forty literals reads worse
    "backup restore volume snapshot block repository worker account region policy session archive index health "
    "ledger report order token signature bucket queue subnet image kernel module service started stopped failed "
    "connection accepted refused request answer customer invoice order line item quantity price total shipped"
).split()
_SERVICES: Final = ("cron", "sshd", "nginx", "postgres", "app", "systemd", "kernel", "chronyd")


@dataclass(frozen=True)
class Owned:
    """What a file system says of a path besides its content: owner, group, time of last change (Unix seconds)."""

    path: str
    uid: int
    gid: int
    changed: int


def mixed_blocks(random: Random, last: int) -> Iterator[tuple[int, bytes]]:
    """Yield (index, block) of a data volume with blocks 0 to `last`: random, alike, compressible and written zeros."""
    twin = random.randbytes(BLOCK)
    makers: list[Callable[[], bytes]] = (
        [lambda: random.randbytes(BLOCK)] * 12
        + [lambda: twin] * 6
        + [lambda: text(random, BLOCK)] * 12
        + [lambda: bytes(BLOCK)] * 4
        + [lambda: text(random, 1000).ljust(BLOCK, b"\0")] * 2
    )
    random.shuffle(makers)
    # In runs with gaps between them, as a file system leaves them.
    index = 0
    for maker in makers:
        yield index, maker()
        index += 1 if random.random() < 0.7 else random.randrange(2, max(3, last // len(makers)))  # noqa: PLR2004 - a dice


def sparse_blocks(random: Random, last: int) -> Iterator[tuple[int, bytes]]:
    """Yield the first and the last block of a volume that is otherwise empty."""
    yield 0, random.randbytes(BLOCK)
    yield last, random.randbytes(BLOCK)


def text(random: Random, size: int) -> bytes:
    """Return `size` bytes of log lines."""
    moment = _NEWEST - random.randrange(10**7)
    # A line is never shorter than its time stamp and the shortest sentence.
    chosen = random.choices(_sentences(), k=size // 40 + 1)
    return "".join([f"{moment + number} {line}" for number, line in enumerate(chosen)]).encode()[:size]


@lru_cache(maxsize=1)
def _sentences() -> tuple[str, ...]:
    random = Random(0)  # noqa: S311 - content, not a secret
    return tuple(
        f"{random.choice(_SERVICES)}[{random.randrange(9999):04d}]: {' '.join(random.choices(_WORDS, k=8))}\n"
        for _ in range(4096)
    )


def make_tree(random: Random, root: Path, host: str) -> list[Owned]:
    """Write the files of a small server below `root`; return owners and times, which only a file system can hold."""
    tree = _Tree(random, root)
    _system(tree, host)
    for service in _SERVICES[:5]:
        for age in range(4):
            suffix = "" if age == 0 else f".{age}"
            tree.file(f"var/log/{service}.log{suffix}", text(random, random.randrange(20_000, 200_000)), mode=0o640)
    for number in range(120):
        name = f"usr/share/doc/package-{number:03d}"
        tree.file(f"{name}/copyright", text(random, 2_000))
        tree.file(f"{name}/changelog", text(random, random.randrange(500, 8_000)))
    tree.file("srv/data/orders.db", random.randbytes(5 * 2**20), owner=1000)
    tree.file("srv/data/orders.csv", text(random, 3 * 2**20), owner=1000)
    tree.file("srv/data/empty", b"", owner=1000)
    tree.sparse("srv/data/sparse.img", 64 * 2**20, random.randbytes(4096))
    tree.link("srv/data/latest.csv", "orders.csv")
    tree.file("home/user/Grüße aus Köln.txt", "Viele Grüße\n".encode(), owner=1000)
    tree.file(f"home/user/{'long-' * 40}name", b"a long name\n", owner=1000)
    tree.file("home/user/.ssh/authorized_keys", b"", owner=1000, mode=0o600)
    tree.directory("home/user/empty-directory", owner=1000)
    tree.directory("tmp", mode=0o1777)
    return tree.finish()


def _system(tree: _Tree, host: str) -> None:
    tree.file("etc/hostname", f"{host}\n".encode())
    tree.file("etc/os-release", b'NAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n')
    tree.file("etc/fstab", b"/dev/xvda / ext4 defaults,discard 0 1\n/dev/xvdf /srv/volume ext4 nofail 0 2\n")
    tree.file("etc/passwd", b"root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n")
    tree.file("etc/shadow", b"root:*:19000:0:99999:7:::\nuser:*:19000:0:99999:7:::\n", mode=0o640, group=42)
    tree.file("usr/local/bin/backup-hook", b"#!/bin/sh\nexec sync\n", mode=0o755)
    tree.file("boot/vmlinuz", tree.random.randbytes(2 * 2**20), mode=0o600)
    tree.link("vmlinuz", "boot/vmlinuz")
    tree.directory("root", mode=0o700)


class _Tree:
    """Writes files and remembers what the directory cannot: owners."""

    def __init__(self, random: Random, root: Path) -> None:
        self.random = random
        self._root = root
        self._owned: dict[str, Owned] = {}

    def file(self, path: str, content: bytes, *, mode: int = 0o644, owner: int = 0, group: int | None = None) -> None:
        target = self._target(path, owner, group)
        target.write_bytes(content)
        target.chmod(mode)

    def sparse(self, path: str, size: int, content: bytes) -> None:
        target = self._target(path, 1000, None)
        with target.open("wb") as file:
            file.seek(size // 2)
            file.write(content)
            file.truncate(size)
        target.chmod(0o644)

    def link(self, path: str, to: str) -> None:
        self._target(path, 0, None).symlink_to(to)

    def directory(self, path: str, *, mode: int = 0o755, owner: int = 0) -> None:
        target = self._target(path, owner, None)
        target.mkdir(exist_ok=True)
        target.chmod(mode)

    def finish(self) -> list[Owned]:
        """Set the times, children before their directories."""
        for path, owned in sorted(self._owned.items(), reverse=True):
            os.utime(self._root / path, (owned.changed, owned.changed), follow_symlinks=False)
        os.utime(self._root, (_NEWEST, _NEWEST))
        return [owned for _, owned in sorted(self._owned.items())]

    def _target(self, path: str, owner: int, group: int | None) -> Path:
        target = self._root / path
        for parent in reversed(Path(path).parents[:-1]):
            if str(parent) not in self._owned:
                (self._root / parent).mkdir(mode=0o755)
                self._own(str(parent), owner if parent.parts[:2] == ("home", "user") else 0, None)
        self._own(path, owner, group)
        return target

    def _own(self, path: str, owner: int, group: int | None) -> None:
        changed = _NEWEST - self.random.randrange(3 * 10**7)
        self._owned[path] = Owned(path, owner, owner if group is None else group, changed)
