"""Verifying a restore point: everything that it needs is read, and whatever is wrong is named; nothing stops at it.

    maps -> queue -> examiners: pack -> tag -> decompress -> SHA-256 -> is it the block that the map means?

The closure is always complete: every segment opens, its slots exist, the counts agree. With a sample only the content
of some packs is read; of the others, what they say they hold.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import groupby
from threading import Lock
from typing import Final, Protocol

import numpy as np
import zstandard

from agent.crew import Crew, Queue
from agent.protocol import format_time
from agent.repository.damage import MOST, BadBlock, BadObject, Damage
from agent.repository.errors import Damaged, Missing, RepositoryError
from agent.repository.forward import Place
from agent.repository.head import Head, SegmentRef, Volume
from agent.repository.layout import Chain, map_key, pack_key, point_key
from agent.repository.live import LivePacks
from agent.repository.maps import CHECK, SEGMENT, Segment
from agent.repository.pack import BLOCK, PackTable
from agent.repository.reader import LoadedPack, Wanted, grouped, load_pack, load_table, read_segments
from agent.repository.repository import Repository

_EXAMINERS: Final = 6
_WAITING: Final = 12
#: Blocks whose places are in memory at a time.
_WINDOW: Final = 256 * 1024
_TOGETHER: Final = 64
_PERCENT: Final = 100.0


class Counter(Protocol):
    """Counts bytes that are behind us."""

    def add(self, count: int) -> None:
        """Note some more."""


@dataclass
class Findings:
    """What was found so far. Thread-safe. `packs` are those that were looked at."""

    blocks: list[BadBlock] = field(default_factory=list)
    objects: list[BadObject] = field(default_factory=list)
    more: int = 0
    verified: int = 0
    packs: LivePacks = field(default_factory=LivePacks)
    _lock: Lock = field(default_factory=Lock)

    def bad_object(self, key: str, reason: str) -> None:
        """Note that an object is wrong."""
        with self._lock:
            self.objects.append(BadObject(key=key, reason=reason))

    def bad_blocks(self, blocks: Sequence[BadBlock]) -> None:
        """Note blocks that cannot be read back."""
        with self._lock:
            room = max(0, MOST - len(self.blocks))
            self.blocks += blocks[:room]
            self.more += len(blocks[room:])

    def looked_at(self, pack_id: bytes, verified: int) -> None:
        """Note a pack that the point needs, and how many blocks of it were right."""
        with self._lock:
            self.packs.add(pack_id, [0])
            self.verified += verified

    def damage(self, point: str) -> Damage:
        """Return what there is to write down."""
        blocks = sorted(self.blocks, key=lambda one: (one.volume, one.index))
        return Damage(
            point=point,
            found_at=format_time(datetime.now(UTC)),
            blocks=tuple(blocks),
            objects=tuple(self.objects),
            more=self.more,
        )


def verify(repository: Repository, chain: Chain, head: Head, crew: Crew, *, sample: float, tally: Counter) -> Findings:
    """Verify a restore point; `sample` is how many percent of its packs are read. Raises as the crew does."""
    found = Findings()
    repository.forwards.refresh()
    wanted: Queue[tuple[Volume, Wanted]] = crew.queue(_WAITING)
    examiner = _Examiner(repository, found, sample, tally)

    def walk() -> None:
        for volume in head.volumes:
            for one in _Closure(repository, chain, head, volume, found).wanted():
                wanted.put((volume, one))
        wanted.close()

    def examine() -> None:
        decompressor = zstandard.ZstdDecompressor()
        while (one := wanted.get()) is not None:
            examiner.examine(*one, decompressor)

    crew.start(1, walk, name="walker")
    crew.start(_EXAMINERS, examine, name="examiner").wait()
    return found


@dataclass(frozen=True)
class _Closure:
    """The walk through the maps of one volume."""

    repository: Repository
    chain: Chain
    head: Head
    volume: Volume
    found: Findings

    def wanted(self) -> Iterator[Wanted]:
        """Say what the maps want, as far as they can be read, and note what is wrong with them."""
        before, rows, gathered, size = len(self.found.objects), 0, [], 0
        for number, segment in self._segments():
            rows += segment.rows
            size += segment.rows
            gathered.append((number, segment))
            if size >= _WINDOW:
                yield from grouped(gathered)
                gathered, size = [], 0
        if gathered:
            yield from grouped(gathered)
        if rows != self.volume.blocks and len(self.found.objects) == before:
            self.found.bad_object(
                point_key(self.chain, self.head.point),
                f"counts {self.volume.blocks} blocks of {self.volume.volume_id}, its maps hold {rows}",
            )

    def _segments(self) -> Iterator[tuple[int, Segment]]:
        for name, refs in groupby(self.volume.segments, key=lambda ref: ref.name):
            waiting = list(refs)
            for start in range(0, len(waiting), _TOGETHER):
                yield from self._read(name, waiting[start : start + _TOGETHER])

    def _read(self, name: str, refs: list[SegmentRef]) -> Iterator[tuple[int, Segment]]:
        try:
            read = list(read_segments(self.repository, self.chain, self.volume.volume_id, name, refs))
        except RepositoryError as error:
            if not isinstance(error, Missing | Damaged):
                raise
            if len(refs) > 1:
                # One by one, so that a single damaged segment hides no other.
                for ref in refs:
                    yield from self._read(name, [ref])
                return
            self._bad(name, refs[0], str(error))
            return
        for (number, segment), ref in zip(read, refs, strict=True):
            blocks = number * SEGMENT + segment.offsets.astype(np.int64)
            if segment.rows and int(blocks.max()) * BLOCK >= self.volume.size_bytes:
                self._bad(name, ref, f"names block {int(blocks.max())} beyond the end of the volume")
            elif segment.rows and (np.diff(blocks) <= 0).any():
                self._bad(name, ref, "names a block twice")
            else:
                yield number, segment

    def _bad(self, name: str, ref: SegmentRef, reason: str) -> None:
        first = ref.number * SEGMENT * BLOCK
        self.found.bad_object(
            map_key(self.chain, name),
            f"{reason} (the blocks of {self.volume.volume_id} from offset {first} to {first + SEGMENT * BLOCK})",
        )


@dataclass(frozen=True)
class _Examiner:
    """Looks at packs. Any number of threads."""

    repository: Repository
    found: Findings
    sample: float
    tally: Counter

    def examine(self, volume: Volume, wanted: Wanted, decompressor: zstandard.ZstdDecompressor) -> None:
        """Verify what is wanted of a pack, and follow whatever has gone elsewhere."""
        waiting = [wanted]
        while waiting:
            one = waiting.pop()
            # What was packed anew will be read where it is now: the old pack may go at any time.
            if gone := self.repository.forwards.noted_places(one.pack_id, one.slots.tolist()):
                waiting += _moved(one, gone)
                one = _staying(one, gone)
            bad = self._bad_slots(one, decompressor) if len(one.slots) else {}
            if len(one.slots):
                self.found.looked_at(one.pack_id, len(np.unique(one.slots)) - len(bad))
            if not bad:
                continue
            gone = self.repository.forwards.known_places(one.pack_id, bad)
            waiting += _moved(one, gone)
            self.found.bad_blocks(_named(volume, one, {slot: why for slot, why in bad.items() if slot not in gone}))
        self.tally.add(len(wanted.slots) * BLOCK)

    def _bad_slots(self, wanted: Wanted, decompressor: zstandard.ZstdDecompressor) -> dict[int, tuple[str, bytes]]:
        """Return the slots that are not right, each with the reason and the block's id, if that is known."""
        slots = sorted(set(wanted.slots.tolist()))
        is_read = self.sample >= _PERCENT or secrets.randbelow(10_000) < self.sample * 100
        try:
            table, pack = self._load(wanted.pack_id, slots, is_read=is_read)
        except (Missing, Damaged) as error:
            return {slot: (str(error), b"") for slot in slots}
        checks = dict(zip(wanted.slots.tolist(), (bytes(one) for one in wanted.checks), strict=True))
        bad = {
            slot: (f"{pack_key(wanted.pack_id)} has {table.slots} slots, a map means slot {slot}", b"")
            for slot in slots
            if slot >= table.slots
        }
        for slot in (one for one in slots if one < table.slots):
            if (why := _wrong(table, pack, slot, checks[slot], decompressor)) is not None:
                bad[slot] = (why, table.block_id(slot))
        return bad

    def _load(self, pack_id: bytes, slots: list[int], *, is_read: bool) -> tuple[PackTable, LoadedPack | None]:
        """Read what a pack holds and, if it is to be read, what is wanted of it and there. Raises as reading does."""
        if is_read:
            with contextlib.suppress(Damaged):
                pack = load_pack(self.repository, pack_id, slots)
                return pack.table, pack
        table = load_table(self.repository, pack_id)
        there = [slot for slot in slots if slot < table.slots]
        return table, load_pack(self.repository, pack_id, there) if is_read and there else None


def _wrong(
    table: PackTable, pack: LoadedPack | None, slot: int, check: bytes, decompressor: zstandard.ZstdDecompressor
) -> str | None:
    """Return what is wrong with a slot, None when it is right or only its place was to be looked at."""
    block_id = table.block_id(slot)
    if block_id[:CHECK] != check:
        return f"a map means another block than {pack_key(table.pack_id)} holds in slot {slot}"
    if pack is None:
        return None
    try:
        data = pack.open_here(slot, decompressor)
    except Damaged as error:
        return str(error)
    return None if hashlib.sha256(data).digest() == block_id else f"slot {slot} holds other bytes than its id says"


def _staying(wanted: Wanted, gone: dict[int, Place]) -> Wanted:
    rows = np.array([row for row, slot in enumerate(wanted.slots.tolist()) if slot not in gone], dtype=np.int64)
    return Wanted(wanted.pack_id, wanted.slots[rows], wanted.indices[rows], wanted.checks[rows])


def _moved(wanted: Wanted, gone: dict[int, Place]) -> Iterator[Wanted]:
    """Say what is wanted of the packs to which slots have gone."""
    rows: dict[bytes, list[int]] = {}
    for row, slot in enumerate(wanted.slots.tolist()):
        if slot in gone:
            rows.setdefault(gone[slot][0], []).append(row)
    for pack_id, chosen in rows.items():
        slots = np.array([gone[int(wanted.slots[row])][1] for row in chosen], dtype=np.uint16)
        yield Wanted(pack_id, slots, wanted.indices[chosen], wanted.checks[chosen])


def _named(volume: Volume, wanted: Wanted, bad: dict[int, tuple[str, bytes]]) -> list[BadBlock]:
    return [
        BadBlock(
            volume=volume.volume_id,
            index=index,
            pack=wanted.pack_id,
            slot=slot,
            block_id=bad[slot][1],
            reason=bad[slot][0],
        )
        for slot, index in zip(wanted.slots.tolist(), wanted.indices.tolist(), strict=True)
        if slot in bad
    ]


def with_ids(findings: Findings, tables: Iterator[PackTable]) -> None:
    """Add ids that packs could not say any more, from index rows: a later backup knows the blocks again by these."""
    nameless = {one.pack for one in findings.blocks if not one.block_id}
    known = {table.pack_id: table for table in tables if table.pack_id in nameless} if nameless else {}
    findings.blocks = [
        replace(one, block_id=known[one.pack].block_id(one.slot))
        if not one.block_id and one.pack in known and one.slot < known[one.pack].slots
        else one
        for one in findings.blocks
    ]
