"""Volumes and their snapshots without a cloud: what `agent.ebs.Ebs` offers, over dictionaries."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping

from agent.ebs import BLOCK, Listed, Page
from agent.ebs_errors import NotFound, Unrelated

#: A volume's content: block index to 512 KiB; blocks that were never written are missing.
Content = dict[int, bytes]

ZEROES = bytes(BLOCK)


def block(kind: str, seed: int = 0) -> bytes:
    """Return 512 KiB: `noise` (does not compress), `text` (does), `zero`."""
    if kind == "zero":
        return ZEROES
    chance = random.Random(f"{kind}-{seed}")  # noqa: S311 - the same bytes each time are the point
    if kind == "noise":
        return chance.randbytes(BLOCK)
    line = f"{seed} the quick brown fox {chance.random()}\n".encode()
    return (line * (BLOCK // len(line) + 1))[:BLOCK]


def block_id(data: bytes) -> bytes:
    """Return the id of a block."""
    return hashlib.sha256(data).digest()


class FakeEbs:
    """Snapshots by id. Reads and writes verify as AWS does; `before` may raise, wait or change the world.

    It is told `read`, `write` or `changed`, the snapshot, and the block.
    """

    def __init__(self, snapshots: Mapping[str, Content] | None = None, page: int = 3) -> None:
        """Take completed snapshots; lists come in pages of `page`, every second one empty."""
        self.snapshots: dict[str, Content] = dict(snapshots or {})
        self.related: set[tuple[str, str]] = set()
        self.completed: dict[str, tuple[int, bytes | None]] = {}
        self.read_blocks: list[tuple[str, int]] = []
        self.before: Callable[[str, str, int], None] = lambda _what, _snapshot, _index: None
        self._page = page

    def close(self) -> None:
        """Nothing is open."""

    def _get(self, snapshot: str) -> Content:
        if snapshot not in self.snapshots:
            raise NotFound(f"{snapshot}: does not exist")
        return self.snapshots[snapshot]

    def blocks(self, snapshot: str, start: int = 0) -> Iterator[Page]:
        """List a snapshot."""
        held = self._get(snapshot)
        yield from self._pages([Listed(index, "token") for index in sorted(held) if index >= start])

    def changed_blocks(self, first: str, second: str, start: int = 0) -> Iterator[Page]:
        """List what differs between related snapshots."""
        self.before("changed", first, start)
        old, new = self._get(first), self._get(second)
        if (first, second) not in self.related:
            raise Unrelated(f"{second}: not of one volume")
        differing = [index for index in sorted(old.keys() | new.keys()) if old.get(index) != new.get(index)]
        listed = [Listed(index, "token" if index in new else None) for index in differing if index >= start]
        yield from self._pages(listed)

    def _pages(self, listed: list[Listed]) -> Iterator[Page]:
        for start in range(0, len(listed), self._page):
            yield Page([], 0)
            yield Page(listed[start : start + self._page], 0)
        yield Page([], 0)

    def read(self, snapshot: str, index: int, token: str) -> tuple[bytes, bytes]:
        """Read a block."""
        self.before("read", snapshot, index)
        assert token == "token"
        data = self._get(snapshot)[index]
        self.read_blocks.append((snapshot, index))
        return block_id(data), data

    def write(self, snapshot: str, index: int, data: bytes, block_id: bytes) -> None:
        """Write a block of a pending snapshot."""
        self.before("write", snapshot, index)
        assert len(data) == BLOCK
        assert hashlib.sha256(data).digest() == block_id
        self.snapshots.setdefault(snapshot, {})[index] = data

    def complete(self, snapshot: str, blocks: int, linear: bytes | None) -> str:
        """Complete a snapshot; the count and checksum must be right."""
        held = self.snapshots.get(snapshot, {})
        assert blocks == len(held)
        digests = b"".join(block_id(held[index]) for index in sorted(held))
        assert linear == (hashlib.sha256(digests).digest() if held else None)
        self.completed[snapshot] = (blocks, linear)
        return "completed"
