"""Forwarding: where blobs are now that are elsewhere than maps say. Maps and heads never change, so readers ask here.

Repacking stores the live blobs of a pack anew in other packs, writes a forwarding object, and only then marks the old
pack for deletion. A backup that meets a block whose place is damaged stores it anew and says so in the same way. Who
meets a pack that is gone, or a blob that does not open, asks all forwarding objects, as often as it was forwarded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Lock
from typing import Any, Final

import numpy as np

from agent.repository import columns
from agent.repository.errors import Missing
from agent.repository.known import KnownBlocks
from agent.repository.layout import FORWARDS, PACK_ID, pack_key, time_id
from agent.repository.objects import Objects, Readable
from agent.repository.seal import KeyFinder, pack_document, seal, unpack_document, unseal

#: Pack id and slot.
Place = tuple[bytes, int]

#: How often the forwarding objects are listed while one that was listed is gone before it is read.
_LOOKS: Final = 5
#: Hex digits of a time id that are milliseconds.
_STAMP: Final = 12


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
    """All forwardings of a repository, read when a place is first found empty or damaged. Thread-safe.

    They are held in a file: there may be as many as blobs were ever moved.
    """

    def __init__(self, objects: Objects, find_key: KeyFinder) -> None:
        """Nothing is read yet."""
        self._objects = objects
        self._find_key = find_key
        self._lock = Lock()
        self._moves = KnownBlocks(0)
        self._names: tuple[str, ...] | None = None

    def places(self, pack_id: bytes, slots: Iterable[int]) -> dict[int, Place]:
        """Return where the blobs of a missing pack went, one step on. Raises `Missing` when one went nowhere."""
        wanted = set(slots)
        found = self.known_places(pack_id, wanted)
        if lost := wanted - found.keys():
            raise Missing(
                f"{pack_key(pack_id)} is not in the repository, and slot {min(lost)} was not moved anywhere",
                "Run a health check: this restore point has lost data",
            )
        return found

    def known_places(self, pack_id: bytes, slots: Iterable[int]) -> dict[int, Place]:
        """Return where blobs of a pack went, one step on, as far as they went anywhere."""
        wanted = set(slots)
        with self._lock:
            found = self._known(pack_id, wanted)
            if found.keys() != wanted:
                # It may have been moved since the last look.
                self._look_again()
                found = self._known(pack_id, wanted)
        return found

    def refresh(self) -> None:
        """Look for forwardings now, so that `noted_places` knows them."""
        with self._lock:
            self._look_again()

    def noted_places(self, pack_id: bytes, slots: Iterable[int]) -> dict[int, Place]:
        """Return where blobs of a pack went, one step on, as far as that was known at the last look."""
        with self._lock:
            return self._known(pack_id, set(slots)) if len(self._moves) else {}

    def _known(self, pack_id: bytes, slots: set[int]) -> dict[int, Place]:
        looked_up = {slot: self._moves.find(_digest((pack_id, slot))) for slot in slots}
        return {slot: place for slot, place in looked_up.items() if place is not None}

    def _look_again(self) -> None:
        for _ in range(_LOOKS):
            names = tuple(entry.key for entry in self._objects.list(FORWARDS))
            if names == self._names:
                return
            try:
                self._moves = self._read(names)
            except Missing:
                continue  # a collector has cleared one away since it was listed
            self._names = names
            return

    def _read(self, names: Sequence[str]) -> KnownBlocks:
        rows = sum(len(read_forwards(self._objects, name, self._find_key)) for name in names)
        moves = KnownBlocks(rows)
        for name in names:
            for old, new in read_forwards(self._objects, name, self._find_key).items():
                if moves.find(_digest(old)) is None:
                    moves.add(_digest(old), *new)
        return moves


def read_forwards(objects: Objects, key: str, find_key: KeyFinder) -> dict[Place, Place]:
    """Read one forwarding object. Raises `Missing`, `Damaged`."""
    return decode_forwards(objects.get(key), place=key, find_key=find_key)


def write_forwards(
    objects: Objects, moves: Mapping[Place, Place], *, key_id: bytes, data_key: bytes, clock: Callable[[], float]
) -> None:
    """Write a forwarding object; its name comes after all there are, whatever the clock says."""
    last = max((entry.key for entry in objects.list(FORWARDS)), default="")
    key = f"{FORWARDS}/{time_id(clock)}"
    if key <= last:
        stamp = int(last.rpartition("/")[2][:_STAMP], 16) + 1
        key = f"{FORWARDS}/{time_id(lambda: stamp / 1000)}"
    objects.create(key, encode_forwards(moves, place=key, key_id=key_id, data_key=data_key))


def _digest(place: Place) -> bytes:
    return hashlib.sha256(place[0] + place[1].to_bytes(4, "big")).digest()
