"""Packing anew: what is still needed of sparse packs goes into new ones, and the old ones become garbage.

Blobs are decrypted and sealed again under the new pack's key; they are not decompressed. The new packs, the forwarding
object and the index come before anybody marks the old pack.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from agent.repository.errors import Damaged, Missing
from agent.repository.forward import Place, write_forwards
from agent.repository.index import encode_index
from agent.repository.layout import Chain, index_key, pack_key, time_id
from agent.repository.live import Bits
from agent.repository.pack import PACK_SIZE, OpenPack, PackTable
from agent.repository.reader import load_pack
from agent.repository.repository import Repository

#: A pack is packed anew when less than this share of its bytes is needed.
SPARSE: Final = 0.5
#: Blobs that are moved before a forwarding object says so.
_MOVES: Final = 16_384


def is_sparse(table: PackTable, bits: Bits) -> bool:
    """Whether too little of a pack is needed."""
    return float(table.lengths[bits[: table.slots]].sum()) < SPARSE * float(table.lengths.sum())


class Repacker:
    """Moves blobs into new packs. Not thread-safe; `finish` must be called before old packs are marked."""

    def __init__(self, repository: Repository, *, clock: Callable[[], float], pack_size: int = PACK_SIZE) -> None:
        """Begin with nothing moved."""
        self._repository = repository
        self._clock = clock
        self._size = pack_size
        self._pack: OpenPack | None = None
        self._moves: dict[Place, Place] = {}
        self._tables: list[PackTable] = []
        self._chain: Chain | None = None
        self._moving: dict[bytes, int] = {}
        #: Packs of which nothing is needed any more, and the bytes of their blobs.
        self.emptied: dict[bytes, int] = {}
        self.bytes_written = 0

    def move(self, chain: Chain, table: PackTable, bits: Bits) -> None:
        """Move what is needed of a pack. One that is gone or damaged stays what it is; a health check is to name it."""
        slots = np.flatnonzero(bits[: table.slots]).tolist()
        try:
            loaded = load_pack(self._repository, table.pack_id, slots)
            contents = [(slot, loaded.table.block_id(slot), *loaded.content_here(slot)) for slot in slots]
        except (Missing, Damaged):
            return
        self._chain = chain
        for slot, block_id, flag, content in contents:
            self._moves[table.pack_id, slot] = self._add(block_id, flag, content)
        self._moving[table.pack_id] = int(table.offsets[-1])
        if len(self._moves) >= _MOVES:
            self.finish()

    def _add(self, block_id: bytes, flag: int, content: bytes) -> Place:
        place = self._pack.reserve(block_id, flag, len(content)) if self._pack is not None else None
        if place is None:
            self._upload()
            key_id, data_key = self._repository.ring.current()
            self._pack = OpenPack(key_id=key_id, data_key=data_key, size=self._size)
            place = self._pack.reserve(block_id, flag, len(content))
        if self._pack is None or place is None:
            raise RuntimeError("a block does not fit into an empty pack")
        self._pack.fill(place, block_id, flag, content)
        self._pack.done()
        return self._pack.pack_id, place[0]

    def _upload(self) -> None:
        pack, self._pack = self._pack, None
        if pack is None:
            return
        pack.close()
        table, data = pack.sealed()
        self._repository.objects.put(pack_key(table.pack_id), data)
        self._tables.append(table)
        self.bytes_written += len(data)

    def finish(self) -> None:
        """Write what is under way: packs, then where the blobs are now, then the index."""
        self._upload()
        if not self._moves or self._chain is None:
            return
        key_id, data_key = self._repository.ring.current()
        write_forwards(self._repository.objects, self._moves, key_id=key_id, data_key=data_key, clock=self._clock)
        key = index_key(self._chain, time_id(self._clock))
        sealed = encode_index(self._tables, place=key, key_id=key_id, data_key=data_key)
        self._repository.objects.create(key, sealed)
        self.emptied |= self._moving
        self._moves, self._tables, self._moving = {}, [], {}
