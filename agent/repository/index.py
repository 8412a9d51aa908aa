"""Index segments: which block is in which slot of which pack, for those who look before they store.

A segment repeats the footers of the packs that one writer made, and is written when those packs are in the store. It
only saves room: nothing needs it to restore, and it can be rebuilt from the packs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from agent.repository import columns
from agent.repository.layout import PACK_ID
from agent.repository.objects import Readable
from agent.repository.pack import BLOCK_ID, PackTable
from agent.repository.seal import KeyFinder, pack_document, seal, unpack_document, unseal

#: About what one row takes in the store, in bytes; tells a segment's rows from its size without reading it.
ROW_BYTES: Final = 35


def encode_index(tables: Sequence[PackTable], *, place: str, key_id: bytes, data_key: bytes) -> bytes:
    """Return the sealed segment for some packs."""
    document = {
        "packs": b"".join(table.pack_id for table in tables),
        "slots": columns.to_bytes(np.array([table.slots for table in tables]), "u4"),
        "ids": b"".join(table.ids.tobytes() for table in tables),
        "lengths": columns.to_bytes(np.concatenate([table.lengths for table in tables]), "u4"),
        "flags": b"".join(table.flags.tobytes() for table in tables),
    }
    return seal(pack_document(document), place=place, key_id=key_id, data_key=data_key)


def decode_index(sealed: Readable, *, place: str, find_key: KeyFinder) -> list[PackTable]:
    """Read a segment back. Raises `Damaged`."""
    document = unpack_document(unseal(sealed, place=place, find_key=find_key), place=place)
    packs = columns.rows_of(document["packs"], PACK_ID, len(document["packs"]) // PACK_ID)
    slots = columns.from_bytes(document["slots"], "u4", len(packs))
    rows = int(slots.sum())
    ids = columns.rows_of(document["ids"], BLOCK_ID, rows)
    lengths = columns.from_bytes(document["lengths"], "u4", rows)
    flags = columns.rows_of(document["flags"], 1, rows).reshape(rows)
    tables = []
    start = 0
    for pack_id, count in zip(packs, slots.tolist(), strict=True):
        end = start + count
        tables.append(
            PackTable(pack_id=pack_id.tobytes(), ids=ids[start:end], lengths=lengths[start:end], flags=flags[start:end])
        )
        start = end
    return tables
