"""Archives: repositories of the same format whose packs are large and stand in an archive storage class.

What is in such a class cannot be read before it was retrieved, costs for months whether it is deleted or not, and is
paid for by the object. So in an archive

- a pack belongs to one volume of one restore point and to nothing else: no other point, no verification and no
  collector ever needs it, and whoever wants a volume back knows its packs from their names alone;
- packs have 256 to 512 MiB and up to `MOST_SLOTS` slots;
- everything else (heads, maps, index, keys) is small and stands in the usual class: listing and planning retrieve
  nothing.

Of a pack id's 16 bytes after the key id, the first 8 are the beginning of the SHA-256 of chain, point and volume, the
rest is chance. An index object holds one pack, is called after point and pack, and is written just before the pack's
last part: a pack that is there can be found and used again by an attempt that goes on, without reading it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from agent.crew import Cancelled, Crew, Group, Queue
from agent.repository import columns
from agent.repository.errors import RepositoryError
from agent.repository.index import decode_index, encode_index
from agent.repository.known import KnownBlocks
from agent.repository.layout import KEY_ID, PACK_ID, Chain, index_key, index_prefix, pack_key
from agent.repository.pack import BLOCK_ID, OVERHEAD, PackTable, pack_ending, seal_blob
from agent.repository.repository import Repository
from agent.repository.seal import derive

#: Where an archive pack counts as full, in bytes.
PACK_SIZE: Final = 512 * 1024 * 1024
MOST_SLOTS: Final = 16_384

_OWNER: Final = 8
#: Bytes that are handed over to the uploader at a time, and how many such chunks wait.
_CHUNK: Final = 8 * 1024 * 1024
_WAITING: Final = 2
#: Blocks of a volume that are stored once however often they occur.
_MOST_KNOWN: Final = 4 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Part:
    """One volume of one archived restore point: whose packs there are."""

    chain: Chain
    point: str
    volume: str

    @property
    def owner(self) -> bytes:
        """What its packs' ids have in common, behind the key id."""
        return hashlib.sha256(f"{self.chain.path}/{self.point}/{self.volume}".encode()).digest()[:_OWNER]

    @property
    def folder(self) -> str:
        """The prefix that its packs share with those of a few other volumes."""
        return f"packs/{self.owner[0]:02x}"

    def new_pack(self, key_id: bytes) -> bytes:
        """Return a new pack id."""
        return key_id + self.owner + secrets.token_bytes(PACK_ID - KEY_ID - _OWNER)

    def packs(self, repository: Repository) -> Iterator[tuple[bytes, int]]:
        """List its packs: id, and size in bytes."""
        for entry in repository.objects.list(self.folder):
            name = entry.key.rpartition("/")[2]
            if len(name) == 2 * PACK_ID and name[2 * KEY_ID :].startswith(self.owner.hex()):
                yield bytes.fromhex(name), entry.size


@dataclass(frozen=True)
class _Chunk:
    """Some bytes of a pack."""

    pack_id: bytes
    data: bytes
    is_last: bool = False


class _Filling:
    """A pack that is being written: blobs go out as they come, only what it holds stays in memory."""

    def __init__(self, pack_id: bytes, data_key: bytes) -> None:
        self.pack_id = pack_id
        self.used = 0
        self._cipher = derive(data_key, b"daywork pack", pack_id)
        self._ids: list[bytes] = []
        self._lengths: list[int] = []
        self._flags = bytearray()
        self._waiting: list[bytes] = []
        self._size = 0

    @property
    def slots(self) -> int:
        return len(self._flags)

    def add(self, block_id: bytes, flag: int, content: bytes) -> int:
        """Take the next slot; returns it."""
        slot = self.slots
        blob = seal_blob(self._cipher, slot, block_id, flag, content)
        self._ids.append(block_id)
        self._lengths.append(len(blob))
        self._flags.append(flag)
        self._waiting.append(blob)
        self._size += len(blob)
        self.used += len(blob)
        return slot

    def ready(self) -> bytes | None:
        """Return a chunk when there is enough for one."""
        return self._take() if self._size >= _CHUNK else None

    def _take(self) -> bytes:
        taken, self._waiting, self._size = b"".join(self._waiting), [], 0
        return taken

    def end(self) -> tuple[PackTable, bytes]:
        """Return what the pack holds, and its last bytes."""
        table = PackTable(
            pack_id=self.pack_id,
            ids=columns.rows_of(b"".join(self._ids), BLOCK_ID, self.slots),
            lengths=np.array(self._lengths, dtype=np.uint32),
            flags=np.frombuffer(bytes(self._flags), dtype=np.uint8),
        )
        return table, self._take() + pack_ending(table, self._cipher)


class ArchiveWriter:
    """Stores the blocks of one volume in packs of its own. One thread calls `store` and `finish`."""

    def __init__(
        self,
        archive: Repository,
        part: Part,
        crew: Crew,
        *,
        blocks: int,
        storage_class: str,
        pack_size: int = PACK_SIZE,
    ) -> None:
        """Take up what an earlier attempt has stored, and start the uploading thread in `crew`.

        `blocks` is about how many there will be. Raises `RepositoryError`.
        """
        self._archive = archive
        self._part = part
        self._crew = crew
        self._storage_class = storage_class
        self._pack_size = pack_size
        self._known = KnownBlocks(min(blocks, _MOST_KNOWN))
        self._filling: _Filling | None = None
        self._chunks: Queue[_Chunk] = crew.queue(_WAITING)
        for table in self._stored_before():
            for slot in range(table.slots):
                if self._known.find(table.block_id(slot)) is None:
                    self._known.add(table.block_id(slot), table.pack_id, slot)
        self._uploading: Group = crew.start(1, self._upload, name="upload")

    def _stored_before(self) -> Iterator[PackTable]:
        there = {pack_id.hex() for pack_id, _ in self._part.packs(self._archive)}
        for entry in self._archive.objects.list(index_prefix(self._part.chain)) if there else ():
            point, _, name = entry.key.rpartition("/")[2].partition(".")
            if point == self._part.point and name in there:
                sealed = self._archive.objects.get(entry.key)
                yield from decode_index(sealed, place=entry.key, find_key=self._archive.ring.find)

    def store(self, block_id: bytes, flag: int, content: bytes) -> tuple[bytes, int]:
        """Return (pack id, slot) of a block whose content, compressed or not, is given; it is stored once."""
        place = self._known.find(block_id)
        if place is not None:
            return place
        filling = self._filling
        if filling is not None and (
            filling.slots >= MOST_SLOTS or filling.used + len(content) + OVERHEAD > self._pack_size
        ):
            self._end(filling)
            filling = None
        if filling is None:
            key_id, data_key = self._archive.ring.current()
            filling = self._filling = _Filling(self._part.new_pack(key_id), data_key)
        slot = filling.add(block_id, flag, content)
        if (chunk := filling.ready()) is not None:
            self._chunks.put(_Chunk(filling.pack_id, chunk))
        self._known.add(block_id, filling.pack_id, slot)
        return filling.pack_id, slot

    def finish(self) -> tuple[int, int]:
        """Upload what is left. Returns how many packs the volume has, and their bytes. Raises as the crew does."""
        if self._filling is not None:
            self._end(self._filling)
            self._filling = None
        self._chunks.close()
        self._uploading.wait()
        sizes = [size for _, size in self._part.packs(self._archive)]
        return len(sizes), sum(sizes)

    def _end(self, filling: _Filling) -> None:
        table, data = filling.end()
        key_id, data_key = self._archive.ring.current()
        key = index_key(self._part.chain, f"{self._part.point}.{filling.pack_id.hex()}")
        # Before the pack can be there: one without an entry could never be used again.
        self._archive.objects.create(key, encode_index([table], place=key, key_id=key_id, data_key=data_key))
        self._chunks.put(_Chunk(filling.pack_id, data, is_last=True))

    def _upload(self) -> None:
        while (first := self._chunks.get()) is not None:
            try:
                self._archive.objects.put_parts(
                    pack_key(first.pack_id), self._whole(first), storage_class=self._storage_class
                )
            except RepositoryError:
                if self._crew.is_over:
                    raise Cancelled from None  # the parts could not be given up either
                raise

    def _whole(self, chunk: _Chunk) -> Iterator[bytes]:
        while not chunk.is_last:
            yield chunk.data
            following = self._chunks.get()
            if following is None or following.pack_id != chunk.pack_id:
                raise RuntimeError("a pack has no end")
            chunk = following
        yield chunk.data
