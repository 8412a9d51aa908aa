"""Storing blocks: each distinct one once, compressed and encrypted, in packs that are uploaded as they fill.

Any number of threads call `store`. Each compresses and encrypts its own block; only finding a place is done under a
lock. A full pack goes through a short queue to a few uploading threads: who stores faster than the network takes waits.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import zstandard

from agent.crew import Crew, Group, Queue
from agent.repository.errors import RepositoryError
from agent.repository.index import encode_index
from agent.repository.known import KnownBlocks
from agent.repository.layout import Chain, index_key, pack_key, time_id
from agent.repository.mending import Mending
from agent.repository.pack import PACK_SIZE, RAW, ZSTD, OpenPack, PackTable
from agent.repository.repository import Repository

Compression = Literal["balanced", "size"]

_LEVELS: Final[dict[Compression, int]] = {"balanced": 1, "size": 3}
_UPLOADERS: Final = 3
_WAITING: Final = 1
#: Compressed content that is longer than this share of the block is not worth decompressing later.
_WORTH: Final = 0.97
#: An index segment is written for this many rows, and when so many seconds have passed since the last: what a worker
#: that dies has stored need not be stored again.
_INDEX_ROWS: Final = 65_536
CHECKPOINT: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What a writer has put into the store: blocks in packs, and the packs' size in bytes."""

    blocks: int
    bytes: int


class Writer:
    """Stores blocks for one chain. `finish` must be called before anything that names its places is published."""

    def __init__(
        self,
        repository: Repository,
        chain: Chain,
        crew: Crew,
        *,
        known: KnownBlocks,
        compression: Compression = "balanced",
        pack_size: int = PACK_SIZE,
        mending: Mending | None = None,
        checkpoint: float = CHECKPOINT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the uploading threads in `crew`. `known` is used and added to; `mending` hears of every block.

        A pack that is uploaded more than `checkpoint` seconds after the last index segment is indexed at once.
        """
        self._mending = mending
        self._repository = repository
        self._chain = chain
        self._known = known
        self._level = _LEVELS[compression]
        self._pack_size = pack_size
        self._local = threading.local()
        self._lock = threading.Lock()
        self._stored = threading.Condition(self._lock)
        self._storing: set[bytes] = set()
        self._pack: OpenPack | None = None
        self._full: Queue[OpenPack] = crew.queue(_WAITING)
        self._uploaded: list[PackTable] = []
        self._rows = 0
        self._checkpoint = checkpoint
        self._clock = clock
        self._indexed_at = clock()
        self._blocks = 0
        self._bytes = 0
        self._uploaders: Group = crew.start(_UPLOADERS, self._upload, name="upload")

    def store(self, block_id: bytes, data: bytes) -> tuple[bytes, int]:
        """Return (pack id, slot) of a block, storing it unless it is known. `block_id` is the SHA-256 of `data`."""
        place = self._placed(block_id, data)
        if self._mending is not None:
            self._mending.note(block_id, place)
        return place

    def _placed(self, block_id: bytes, data: bytes) -> tuple[bytes, int]:
        with self._stored:
            while True:
                place = self._known.find(block_id)
                if place is not None:
                    return place
                if block_id not in self._storing:
                    self._storing.add(block_id)
                    break
                self._stored.wait()
        place = None
        try:
            place = self._store(block_id, data)
        finally:
            with self._stored:
                self._storing.remove(block_id)
                if place is not None:
                    self._known.add(block_id, *place)
                self._stored.notify_all()
        return place

    def _store(self, block_id: bytes, data: bytes) -> tuple[bytes, int]:
        content = self._compressor().compress(data)
        flag = ZSTD
        if len(content) > len(data) * _WORTH:
            flag, content = RAW, data
        with self._lock:
            pack, place, full = self._reserve(block_id, flag, len(content))
        if full is not None:
            self._full.put(full)
        pack.fill(place, block_id, flag, content)
        with self._lock:
            pack.done()
            whole = pack.is_whole
        if whole:
            self._full.put(pack)
        return pack.pack_id, place[0]

    def _reserve(self, block_id: bytes, flag: int, size: int) -> tuple[OpenPack, tuple[int, int], OpenPack | None]:
        pack = self._pack
        place = pack.reserve(block_id, flag, size) if pack is not None else None
        if pack is not None and place is not None:
            return pack, place, None
        full = None
        if pack is not None:
            pack.close()
            full = pack if pack.is_whole else None
        self._pack = pack = self._new_pack()
        place = pack.reserve(block_id, flag, size)
        if place is None:
            raise RuntimeError("a block does not fit into an empty pack")
        return pack, place, full

    def _new_pack(self) -> OpenPack:
        key_id, data_key = self._repository.ring.current()
        return OpenPack(key_id=key_id, data_key=data_key, size=self._pack_size)

    def _compressor(self) -> zstandard.ZstdCompressor:
        made: zstandard.ZstdCompressor | None = getattr(self._local, "compressor", None)
        if made is None:
            made = self._local.compressor = zstandard.ZstdCompressor(level=self._level)
        return made

    def _upload(self) -> None:
        while (pack := self._full.get()) is not None:
            table, data = pack.sealed()
            self._repository.objects.put(pack_key(table.pack_id), data)
            due: list[PackTable] = []
            with self._lock:
                self._uploaded.append(table)
                self._rows += table.slots
                self._blocks += table.slots
                self._bytes += len(data)
                if self._rows >= _INDEX_ROWS or self._clock() - self._indexed_at >= self._checkpoint:
                    due = self._take_uploaded()
            self._write_index(due)

    def _take_uploaded(self) -> list[PackTable]:
        taken, self._uploaded, self._rows = self._uploaded, [], 0
        self._indexed_at = self._clock()
        return taken

    def _write_index(self, tables: list[PackTable]) -> None:
        if not tables:
            return
        key_id, data_key = self._repository.ring.current()
        key = index_key(self._chain, time_id())
        self._repository.objects.create(key, encode_index(tables, place=key, key_id=key_id, data_key=data_key))

    def finish(self) -> Stored:
        """Upload what is left and write the index. No `store` may be under way. Raises as the crew does."""
        with self._lock:
            last, self._pack = self._pack, None
            if last is not None:
                last.close()
        if last is not None and last.slots:
            self._full.put(last)
        self._full.close()
        self._uploaders.wait()
        with self._lock:
            due = self._take_uploaded()
        self._write_index(due)
        return Stored(blocks=self._blocks, bytes=self._bytes)

    def salvage(self) -> None:
        """After a failure: index the packs that are in the store, so that the next attempt need not store them."""
        with self._lock:
            due = self._take_uploaded()
        with contextlib.suppress(RepositoryError):
            self._write_index(due)
