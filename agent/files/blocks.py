"""Volumes as sources: of a restore point in a repository, and of a snapshot. Memory is bounded whatever their size.

Blocks are read when they are needed and a few kept. Reading on in order fetches more at a time: from a pack with one
request for neighbouring slots, from a snapshot with some requests at once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

import numpy as np
import zstandard

from agent.ebs import BLOCK, Ebs
from agent.ebs_errors import StaleToken
from agent.files.errors import Broken
from agent.repository.errors import Damaged, Missing
from agent.repository.head import Volume
from agent.repository.layout import Chain, pack_key
from agent.repository.maps import CHECK, SEGMENT, Segment
from agent.repository.pack import END, PackReader, PackTable, ending_length, read_table
from agent.repository.reader import Wanted, load_wanted, read_segments
from agent.repository.repository import Repository

#: Blocks that are kept (64 MiB), segments of maps (about 40 KiB each), tables of packs (about 80 KiB each).
_BLOCKS: Final = 128
_SEGMENTS: Final = 256
_TABLES: Final = 128
#: More than the footer of any pack, in bytes.
_MOST_END: Final = 2 * 1024 * 1024
#: Blocks that are fetched at a time: at first, and at most, when reading goes on in order.
_FIRST: Final = 4
_MOST: Final = 32
#: Lists of snapshot blocks that are kept (about 10,000 tokens each) and where they begin.
_PAGES: Final = 16
_ALIGN: Final = 4096

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Kept(Generic[_Key, _Value]):
    """The values used last, at most `room` of them."""

    def __init__(self, room: int) -> None:
        """Keep none yet."""
        self._room = room
        self._held: OrderedDict[_Key, _Value] = OrderedDict()

    def get(self, key: _Key) -> _Value | None:
        """Return a value, which counts as used."""
        if key not in self._held:
            return None
        self._held.move_to_end(key)
        return self._held[key]

    def put(self, key: _Key, value: _Value) -> None:
        """Keep a value instead of the one used longest ago."""
        self._held[key] = value
        self._held.move_to_end(key)
        while len(self._held) > self._room:
            self._held.popitem(last=False)

    def drop(self, key: _Key) -> None:
        """Forget a value."""
        self._held.pop(key, None)

    def __contains__(self, key: _Key) -> bool:
        return key in self._held


class Fetch(Protocol):
    """Reads blocks: index `first` at least, and as many of the following ones up to `count` as come cheaply."""

    def __call__(self, first: int, count: int) -> Mapping[int, bytes | None]:
        """Return them by index; None is a hole."""


class BlockSource:
    """A source over blocks, fetched one or many at a time. `check` is called before each fetch and may raise."""

    def __init__(self, fetch: Fetch, size: int, check: Callable[[], None] = lambda: None) -> None:
        """Nothing is read yet."""
        self.size = size
        self._fetch = fetch
        self._check = check
        self._kept: Kept[int, bytes | None] = Kept(_BLOCKS)
        self._next = -1
        self._ahead = _FIRST

    def read(self, offset: int, length: int) -> bytes:
        """See `Source`."""
        end = min(offset + length, self.size)
        if offset < 0 or offset >= end:
            return b""
        parts = []
        while offset < end:
            index, start = divmod(offset, BLOCK)
            stop = min(BLOCK, start + end - offset)
            block = self._block(index)
            parts.append(bytes(stop - start) if block is None else block[start:stop])
            offset += stop - start
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _block(self, index: int) -> bytes | None:
        if index in self._kept:
            return self._kept.get(index)
        self._check()
        self._ahead = min(2 * self._ahead, _MOST) if index == self._next else _FIRST
        last = -(-self.size // BLOCK)
        try:
            found = self._fetch(index, min(self._ahead, last - index))
        except (Damaged, Missing) as error:
            # What is lost costs what stands there and nothing else.
            raise Broken(str(error), error.remedy) from None
        for number, block in found.items():
            if number not in self._kept or number == index:
                self._kept.put(number, block)
        # The next miss in order is behind what came in one piece.
        self._next = index + 1
        while self._next in found:
            self._next += 1
        return found[index]


# --- out of a repository ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Place:
    index: int
    pack_id: bytes
    slot: int
    check: bytes


class RepositoryBlocks:
    """The blocks of one volume of a restore point, as `Fetch`. Raises `RepositoryError`s."""

    def __init__(self, repository: Repository, chain: Chain, volume: Volume) -> None:
        """Nothing is read yet."""
        self._repository = repository
        self._chain = chain
        self._volume_id = volume.volume_id
        self._refs = {ref.number: ref for ref in volume.segments}
        self._segments: Kept[int, Segment] = Kept(_SEGMENTS)
        self._tables: Kept[bytes, PackTable] = Kept(_TABLES)
        self._decompressor = zstandard.ZstdDecompressor()

    def __call__(self, first: int, count: int) -> dict[int, bytes | None]:
        """See `Fetch`: the blocks that follow in the same pack come along."""
        found: dict[int, bytes | None] = {}
        wanted: list[_Place] = []
        for index in range(first, first + count):
            place = self._place(index)
            if place is None:
                found[index] = None
            elif not wanted or place.pack_id == wanted[0].pack_id:
                wanted.append(place)
            if index == first and place is None:
                return found
        found |= self._open(wanted)
        return found

    def _place(self, index: int) -> _Place | None:
        number, offset = divmod(index, SEGMENT)
        if (segment := self._segment(number)) is None:
            return None
        row = int(np.searchsorted(segment.offsets, offset))
        if row >= segment.rows or int(segment.offsets[row]) != offset:
            return None
        pack_id = segment.packs[int(segment.ranks[row])].tobytes()
        return _Place(index, pack_id, int(segment.slots[row]), segment.checks[row].tobytes())

    def _segment(self, number: int) -> Segment | None:
        ref = self._refs.get(number)
        if ref is None:
            return None
        if (kept := self._segments.get(number)) is not None:
            return kept
        _, segment = next(iter(read_segments(self._repository, self._chain, self._volume_id, ref.name, [ref])))
        self._segments.put(number, segment)
        return segment

    def _open(self, places: Sequence[_Place]) -> dict[int, bytes]:
        try:
            return self._own(places)
        except (Missing, Damaged):
            # What reads on may be whole elsewhere or not be needed at all: now only what is.
            return self._elsewhere(places[0])

    def _own(self, places: Sequence[_Place]) -> dict[int, bytes]:
        pack_id = places[0].pack_id
        table, key = self._table(pack_id), pack_key(pack_id)
        reader = PackReader(table, self._repository.ring.find)
        slots = sorted({place.slot for place in places})
        if slots[-1] >= table.slots:
            raise Damaged(f"a block map means slot {slots[-1]} of {key}, which has {table.slots}")
        starts = [int(table.offsets[slot]) for slot in slots]
        lengths = [int(table.lengths[slot]) for slot in slots]
        blobs = dict(zip(slots, self._repository.objects.get_ranges(key, starts, lengths), strict=True))
        for place in places:
            if table.block_id(place.slot)[:CHECK] != place.check:
                raise Damaged(f"a block map means another block than {key} holds in slot {place.slot}")
        return {place.index: reader.open(place.slot, blobs[place.slot], self._decompressor) for place in places}

    def _table(self, pack_id: bytes) -> PackTable:
        if (table := self._tables.get(pack_id)) is None:
            objects, key = self._repository.objects, pack_key(pack_id)
            end = objects.get_end(key, END)
            if len(end) < ending_length(end) <= _MOST_END:
                # One of an archive.
                end = objects.get_end(key, ending_length(end))
            table = read_table(pack_id, end, self._repository.ring.find)
            self._tables.put(pack_id, table)
        return table

    def _elsewhere(self, place: _Place) -> dict[int, bytes]:
        """Read a block that is not where the map says, as the repository's reader does. Raises as that."""
        wanted = Wanted(
            place.pack_id,
            np.array([place.slot], dtype=np.uint16),
            np.array([place.index], dtype=np.uint32),
            np.frombuffer(place.check, dtype=np.uint8).reshape(1, -1),
        )
        pack, part = next(iter(load_wanted(self._repository, wanted)))
        return {place.index: pack.open(int(part.slots[0]), part.checks[0].tobytes(), self._decompressor)[1]}


# --- out of a snapshot --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Page:
    """Blocks that a snapshot holds, in ascending order, with their tokens."""

    indices: list[int]
    tokens: list[str]

    def token(self, index: int) -> str | None:
        row = bisect_right(self.indices, index) - 1
        return self.tokens[row] if row >= 0 and self.indices[row] == index else None


class SnapshotBlocks:
    """The blocks of a completed snapshot, as `Fetch`. Raises `EbsError`s. `size` is the volume's, in bytes."""

    def __init__(self, ebs: Ebs, snapshot: str, pool: ThreadPoolExecutor) -> None:
        """List the first blocks; `pool` reads several at once."""
        self._ebs = ebs
        self._snapshot = snapshot
        self._pool = pool
        self._pages: Kept[int, _Page] = Kept(_PAGES)
        listed = next(self._ebs.blocks(snapshot))
        self.size = listed.size_bytes

    def __call__(self, first: int, count: int) -> dict[int, bytes | None]:
        """See `Fetch`."""
        wanted = range(first, first + count)
        blocks = self._pool.map(self._read, wanted, [self._token(index) for index in wanted])
        return dict(zip(wanted, blocks, strict=True))

    def _read(self, index: int, token: str | None) -> bytes | None:
        if token is None:
            return None
        try:
            return self._ebs.read(self._snapshot, index, token)[1]
        except StaleToken:
            # A week has passed since it was listed: list it again.
            fresh = self._list(index).token(index)
            return None if fresh is None else self._ebs.read(self._snapshot, index, fresh)[1]

    def _token(self, index: int) -> str | None:
        start = index - index % _ALIGN
        page = self._pages.get(start)
        if page is None:
            page = self._list(start)
            self._pages.put(start, page)
        return page.token(index)

    def _list(self, start: int) -> _Page:
        indices: list[int] = []
        tokens: list[str] = []
        for page in self._ebs.blocks(self._snapshot, start):
            for one in page.blocks:
                if one.index >= start + _ALIGN:
                    break
                if one.token is not None:
                    indices.append(one.index)
                    tokens.append(one.token)
            if page.blocks and page.blocks[-1].index >= start + _ALIGN:
                break
        return _Page(indices, tokens)
