"""Forwarding: where the blobs of repacked packs are now. Maps and heads never change, so readers ask here.

Repacking stores the live blobs of a pack anew in other packs, writes a forwarding object, and only then marks the old
pack for deletion. Who meets a pack that is gone asks all forwarding objects, as often as it was forwarded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Any

import numpy as np

from agent.repository import columns
from agent.repository.errors import Missing
from agent.repository.layout import FORWARDS, PACK_ID, pack_key
from agent.repository.objects import Objects, Readable
from agent.repository.seal import KeyFinder, pack_document, seal, unpack_document, unseal

#: Pack id and slot.
Place = tuple[bytes, int]


def encode_forwards(moves: Mapping[Place, Place], *, place: str, key_id: bytes, data_key: bytes) -> bytes:
    """Return a sealed forwarding object."""
    rows = sorted(moves.items())
    document: dict[str, Any] = {"rows": len(rows)}
    for name, places in (("old", [old for old, _ in rows]), ("new", [new for _, new in rows])):
        packs = sorted({pack for pack, _ in places})
        ranks = {pack: rank for rank, pack in enumerate(packs)}
        document[name] = {
            "packs": b"".join(packs),
            "ranks": columns.to_bytes(np.array([ranks[pack] for pack, _ in places]), "u4"),
            "slots": columns.to_bytes(np.array([slot for _, slot in places]), "u2"),
        }
    return seal(pack_document(document), place=place, key_id=key_id, data_key=data_key)


def decode_forwards(sealed: Readable, *, place: str, find_key: KeyFinder) -> dict[Place, Place]:
    """Read a forwarding object back. Raises `Damaged`."""
    document = unpack_document(unseal(sealed, place=place, find_key=find_key), place=place)
    rows = int(document["rows"])
    sides: list[list[Place]] = []
    for name in ("old", "new"):
        side = document[name]
        packs = [side["packs"][start : start + PACK_ID] for start in range(0, len(side["packs"]), PACK_ID)]
        ranks = columns.from_bytes(side["ranks"], "u4", rows).tolist()
        slots = columns.from_bytes(side["slots"], "u2", rows).tolist()
        sides.append([(packs[rank], slot) for rank, slot in zip(ranks, slots, strict=True)])
    return dict(zip(*sides, strict=True))


class Forwards:
    """All forwardings of a repository, read when a pack is first found missing. Thread-safe."""

    def __init__(self, objects: Objects, find_key: KeyFinder) -> None:
        """Nothing is read yet."""
        self._objects = objects
        self._find_key = find_key
        self._lock = Lock()
        self._moves: dict[Place, Place] = {}

    def places(self, pack_id: bytes, slots: Iterable[int]) -> dict[int, Place]:
        """Return where the blobs of a missing pack went, one step on. Raises `Missing` when one went nowhere."""
        wanted = set(slots)
        with self._lock:
            found = self._known(pack_id, wanted)
            if found.keys() != wanted:
                # It may have been repacked since the last look.
                self._moves = self._read()
                found = self._known(pack_id, wanted)
        if lost := wanted - found.keys():
            raise Missing(
                f"{pack_key(pack_id)} is not in the repository, and slot {min(lost)} was not moved anywhere",
                "Run a health check: this restore point has lost data",
            )
        return found

    def _known(self, pack_id: bytes, slots: set[int]) -> dict[int, Place]:
        return {slot: self._moves[pack_id, slot] for slot in slots if (pack_id, slot) in self._moves}

    def _read(self) -> dict[Place, Place]:
        moves: dict[Place, Place] = {}
        for entry in self._objects.list(FORWARDS):
            sealed = self._objects.get(entry.key)
            moves |= decode_forwards(sealed, place=entry.key, find_key=self._find_key)
        return moves
