"""Heads: one object per resource and restore point, written last. Whatever no head leads to does not exist.

A head lists, for each volume, where the segments of its map stand; segments of unchanged ranges are those of the
parent, so every restore point is whole by itself and any may be deleted before any other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from agent.repository import columns
from agent.repository.errors import Unusable
from agent.repository.objects import Readable
from agent.repository.seal import KeyFinder, pack_document, seal, unpack_document, unseal

FORMAT: Final = 1


@dataclass(frozen=True)
class SegmentRef:
    """Where a sealed segment stands: in map object `name` of the chain, `length` bytes from `offset`."""

    number: int
    name: str
    offset: int
    length: int


@dataclass(frozen=True, kw_only=True)
class Volume:
    """One volume of a restore point. `blocks` counts the blocks that are not holes; sizes in bytes."""

    volume_id: str
    snapshot_id: str
    size_bytes: int
    device: str
    blocks: int
    segments: tuple[SegmentRef, ...]
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Head:
    """A restore point.

    `kind` is `full` or `incremental` (how it was made, not what it needs); `parent` the point it was made from.
    `fence` is the number of the lease under which it was written. `figures` are those of the job's result. `install`
    and `session` are the installation and the session that had it made; empty in points of before they were kept.
    """

    point: str
    account: str
    region: str
    resource: str
    created_at: str
    finished_at: str
    kind: str
    parent: str | None
    consistency: str
    writer: str
    fence: int
    volumes: tuple[Volume, ...]
    configuration: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    install: str = ""
    session: str = ""

    def volume(self, volume_id: str) -> Volume | None:
        """Return the volume with that id, or None."""
        return next((one for one in self.volumes if one.volume_id == volume_id), None)


def encode_head(head: Head, *, place: str, key_id: bytes, data_key: bytes) -> bytes:
    """Return a sealed head."""
    document = {**vars(head), "format": FORMAT, "volumes": [_volume(volume) for volume in head.volumes]}
    return seal(pack_document(document), place=place, key_id=key_id, data_key=data_key)


def decode_head(sealed: Readable, *, place: str, find_key: KeyFinder) -> Head:
    """Read a head back; fields that this version does not know are left out. Raises `Damaged`, `Unusable`."""
    document = unpack_document(unseal(sealed, place=place, find_key=find_key), place=place)
    if document.get("format") != FORMAT:
        raise Unusable(f"{place} is of format {document.get('format')}", "Use a newer agent")
    known = {name: document[name] for name in Head.__dataclass_fields__ if name in document}
    known["volumes"] = tuple(_volume_back(volume) for volume in document["volumes"])
    return Head(**known)


def _volume(volume: Volume) -> dict[str, Any]:
    names = sorted({ref.name for ref in volume.segments})
    ranks = {name: rank for rank, name in enumerate(names)}
    return {
        **vars(volume),
        "maps": names,
        "segments": {
            "rows": len(volume.segments),
            "numbers": columns.to_bytes(np.array([ref.number for ref in volume.segments]), "u4"),
            "maps": columns.to_bytes(np.array([ranks[ref.name] for ref in volume.segments]), "u4"),
            "offsets": columns.to_bytes(np.array([ref.offset for ref in volume.segments]), "u4"),
            "lengths": columns.to_bytes(np.array([ref.length for ref in volume.segments]), "u4"),
        },
    }


def _volume_back(document: dict[str, Any]) -> Volume:
    table, names = document["segments"], document["maps"]
    rows = int(table["rows"])
    numbers, ranks, offsets, lengths = (
        columns.from_bytes(table[name], "u4", rows).tolist() for name in ("numbers", "maps", "offsets", "lengths")
    )
    known = {name: document[name] for name in Volume.__dataclass_fields__ if name in document}
    known["segments"] = tuple(
        SegmentRef(number, names[rank], offset, length)
        for number, rank, offset, length in zip(numbers, ranks, offsets, lengths, strict=True)
    )
    return Volume(**known)
