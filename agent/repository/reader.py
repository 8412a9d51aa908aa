"""Reading restore points: the maps of a volume in bounded memory, and packs with as few bytes as are needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np
import numpy.typing as npt
import zstandard

from agent.repository.errors import Damaged, Missing
from agent.repository.head import SegmentRef, Volume
from agent.repository.layout import Chain, map_key, pack_key
from agent.repository.maps import CHECK, SEGMENT, Segment, decode_segment, segment_place
from agent.repository.pack import END, PACK_SIZE, PackReader, PackTable, ending_length, read_table
from agent.repository.repository import Repository

#: Blocks whose places are held in memory at a time (512 GiB of them). Within a window each pack is read once.
WINDOW: Final = 1024 * 1024
#: The largest pack that is read whole; one of an archive is read in parts of this size.
_WHOLE: Final = PACK_SIZE + END
#: More than the footer of any pack, in bytes.
_MOST_END: Final = 2 * 1024 * 1024
#: A pack of which fewer slots than this are needed is read in parts.
_FEW: Final = 16
#: Segments of one map object that are read with one call.
_TOGETHER: Final = 64


def segments(repository: Repository, chain: Chain, volume: Volume) -> Iterator[tuple[int, Segment]]:
    """Read the map of a volume, segment by segment in ascending order. Raises `Missing`, `Damaged`."""
    for name, refs in groupby(volume.segments, key=lambda ref: ref.name):
        waiting = list(refs)
        for start in range(0, len(waiting), _TOGETHER):
            yield from read_segments(repository, chain, volume.volume_id, name, waiting[start : start + _TOGETHER])


def read_segments(
    repository: Repository, chain: Chain, volume_id: str, name: str, refs: Sequence[SegmentRef]
) -> Iterator[tuple[int, Segment]]:
    """Read some segments of one map object. Raises `Missing`, `Damaged`."""
    key = map_key(chain, name)
    parts = repository.objects.get_ranges(key, [ref.offset for ref in refs], [ref.length for ref in refs])
    for ref, part in zip(refs, parts, strict=True):
        place = segment_place(key, volume_id, ref.number)
        yield ref.number, decode_segment(part, place=place, find_key=repository.ring.find)


@dataclass(frozen=True)
class Wanted:
    """What is wanted of one pack: slots, the indices of the blocks in the volume, and their checks (n, 4)."""

    pack_id: bytes
    slots: npt.NDArray[np.uint16]
    indices: npt.NDArray[np.uint32]
    checks: npt.NDArray[np.uint8]


def by_pack(repository: Repository, chain: Chain, volume: Volume, *, window: int = WINDOW) -> Iterator[Wanted]:
    """Walk through the blocks of a volume pack by pack, each pack once in every `window` blocks."""
    for gathered in windows(repository, chain, volume, window=window):
        yield from grouped(gathered)


def windows(
    repository: Repository, chain: Chain, volume: Volume, *, window: int = WINDOW
) -> Iterator[list[tuple[int, Segment]]]:
    """Read the map of a volume in portions of about `window` blocks. Raises `Missing`, `Damaged`."""
    gathered: list[tuple[int, Segment]] = []
    rows = 0
    for number, segment in segments(repository, chain, volume):
        gathered.append((number, segment))
        rows += segment.rows
        if rows >= window:
            yield gathered
            gathered, rows = [], 0
    if gathered:
        yield gathered


def grouped(gathered: Sequence[tuple[int, Segment]]) -> Iterator[Wanted]:
    """Say what some segments want, pack by pack."""
    numbers: dict[bytes, int] = {}
    ranks = []
    for _, segment in gathered:
        own = [numbers.setdefault(segment.packs[row].tobytes(), len(numbers)) for row in range(len(segment.packs))]
        ranks.append(np.array(own, dtype=np.uint32)[segment.ranks])
    pack = np.concatenate(ranks)
    indices = np.concatenate([number * SEGMENT + part.offsets.astype(np.uint32) for number, part in gathered])
    slots = np.concatenate([part.slots for _, part in gathered])
    checks = np.concatenate([part.checks for _, part in gathered])
    order = np.argsort(pack, kind="stable")
    bounds = np.searchsorted(pack[order], np.arange(len(numbers) + 1, dtype=np.uint32))
    for number, pack_id in enumerate(numbers):
        rows = order[bounds[number] : bounds[number + 1]]
        yield Wanted(pack_id, slots[rows], indices[rows], checks[rows])


class LoadedPack:
    """Some blobs of one pack in memory. Any thread may open them.

    A blob that is damaged is taken from where a later backup has stored its block anew, if one has.
    """

    def __init__(self, repository: Repository, reader: PackReader, blobs: dict[int, memoryview]) -> None:
        """Take the blobs by slot."""
        self._repository = repository
        self._reader = reader
        self._blobs = blobs

    @property
    def table(self) -> PackTable:
        """What the whole pack holds."""
        return self._reader.table

    def open(self, slot: int, check: bytes, decompressor: zstandard.ZstdDecompressor) -> tuple[bytes, bytes]:
        """Return (block id, the block) of a slot. Raises `Damaged`, also when it is not the block that is meant."""
        block_id = self.id(slot, check)
        try:
            return block_id, self.open_here(slot, decompressor)
        except Damaged:
            elsewhere = self._elsewhere(slot)
            if elsewhere is None:
                raise
            return elsewhere[0].open(elsewhere[1], check, decompressor)

    def open_here(self, slot: int, decompressor: zstandard.ZstdDecompressor) -> bytes:
        """Return the block of a slot, from this pack and no other. Raises `Damaged`."""
        return self._reader.open(slot, self._blobs[slot], decompressor)

    def _elsewhere(self, slot: int) -> tuple[LoadedPack, int] | None:
        found = self._repository.forwards.known_places(self.table.pack_id, [slot]).get(slot)
        return None if found is None else (load_pack(self._repository, found[0], [found[1]]), found[1])

    def id(self, slot: int, check: bytes) -> bytes:
        """Return the id of the block in a slot. Raises `Damaged` when it is not the block that is meant."""
        block_id = self.table.block_id(slot)
        if block_id[:CHECK] != check:
            raise Damaged(f"a block map means another block than {pack_key(self.table.pack_id)} holds in slot {slot}")
        return block_id

    def content(self, slot: int) -> tuple[int, bytes]:
        """Return flag and content of a slot as it was stored. Raises `Damaged`."""
        try:
            return self.content_here(slot)
        except Damaged:
            elsewhere = self._elsewhere(slot)
            if elsewhere is None:
                raise
            return elsewhere[0].content(elsewhere[1])

    def content_here(self, slot: int) -> tuple[int, bytes]:
        """Return flag and content of a slot, from this pack and no other. Raises `Damaged`."""
        return self._reader.content(slot, self._blobs[slot])


def load_pack(repository: Repository, pack_id: bytes, slots: Sequence[int]) -> LoadedPack:
    """Read some slots of a pack; the whole pack in one call unless they are few. Raises `Missing`, `Damaged`."""
    opened = _open(repository, pack_id, slots)
    return opened if isinstance(opened, LoadedPack) else _load_slots(repository, opened, slots)


def load_table(repository: Repository, pack_id: bytes) -> PackTable:
    """Return what a pack holds, and nothing of it. Raises `Missing`, `Damaged`."""
    opened = _open(repository, pack_id, [])
    return opened.table if isinstance(opened, LoadedPack) else opened


def _open(repository: Repository, pack_id: bytes, slots: Sequence[int]) -> LoadedPack | PackTable:
    """Return the slots of a pack that was read whole; of a large one, or for few slots, only what the pack holds."""
    key, find_key = pack_key(pack_id), repository.ring.find
    whole = repository.objects.get_whole(key, _WHOLE) if len(slots) >= _FEW else None
    if whole is not None:
        table = read_table(pack_id, whole, find_key)
        blobs = {slot: whole[begin:end] for slot, begin, end in _places(table, slots)}
        return LoadedPack(repository, PackReader(table, find_key), blobs)
    end = repository.objects.get_end(key, END)
    if len(end) < ending_length(end) <= _MOST_END:
        end = repository.objects.get_end(key, ending_length(end))
    return read_table(pack_id, end, find_key)


def _load_slots(repository: Repository, table: PackTable, slots: Sequence[int]) -> LoadedPack:
    places = list(_places(table, slots))
    parts = repository.objects.get_ranges(
        pack_key(table.pack_id), [begin for _, begin, _ in places], [end - begin for _, begin, end in places]
    )
    blobs = {slot: part for (slot, _, _), part in zip(places, parts, strict=True)}
    return LoadedPack(repository, PackReader(table, repository.ring.find), blobs)


def load_wanted(repository: Repository, wanted: Wanted) -> Iterator[tuple[LoadedPack, Wanted]]:
    """Read what is wanted of a pack, or of the packs to which it was repacked. Raises `Missing`, `Damaged`.

    A large pack comes in parts, so that no more than a usual one is in memory.
    """
    waiting = [wanted]
    while waiting:
        one = waiting.pop()
        try:
            opened = _open(repository, one.pack_id, one.slots.tolist())
        except Missing:
            waiting += _forwarded(repository, one)
            continue
        except Damaged:
            # Nothing of it can be read. All may be elsewhere; else the damage is the thing to tell.
            if not _is_elsewhere(repository, one):
                raise
            waiting += _forwarded(repository, one)
            continue
        if isinstance(opened, LoadedPack):
            yield opened, one
            continue
        for part in _in_parts(opened, one):
            yield _load_slots(repository, opened, part.slots.tolist()), part


def _in_parts(table: PackTable, wanted: Wanted) -> Iterator[Wanted]:
    """Cut what is wanted into neighbours in the pack whose blobs together are hardly more than a usual pack."""
    order = np.argsort(wanted.slots, kind="stable")
    _check(table, int(wanted.slots[order[-1]]))
    ends = np.cumsum(table.lengths[wanted.slots[order]], dtype=np.uint64)
    for rows in np.split(order, np.flatnonzero(np.diff(ends // _WHOLE)) + 1):
        yield Wanted(wanted.pack_id, wanted.slots[rows], wanted.indices[rows], wanted.checks[rows])


def _is_elsewhere(repository: Repository, wanted: Wanted) -> bool:
    slots = set(wanted.slots.tolist())
    return repository.forwards.known_places(wanted.pack_id, slots).keys() == slots


def _forwarded(repository: Repository, wanted: Wanted) -> list[Wanted]:
    places = repository.forwards.places(wanted.pack_id, set(wanted.slots.tolist()))
    rows: dict[bytes, list[int]] = {}
    for row, slot in enumerate(wanted.slots.tolist()):
        rows.setdefault(places[slot][0], []).append(row)
    return [
        Wanted(
            pack_id,
            np.array([places[int(wanted.slots[row])][1] for row in chosen], dtype=np.uint16),
            wanted.indices[chosen],
            wanted.checks[chosen],
        )
        for pack_id, chosen in rows.items()
    ]


def _places(table: PackTable, slots: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    for slot in sorted(set(slots)):
        _check(table, slot)
        yield slot, int(table.offsets[slot]), int(table.offsets[slot + 1])


def _check(table: PackTable, slot: int) -> None:
    if slot >= table.slots:
        raise Damaged(f"a block map means slot {slot} of {pack_key(table.pack_id)}, which has {table.slots}")
