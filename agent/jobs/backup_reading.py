"""The reading half of a backup: which blocks there are, and each one carried to its place in the repository.

With a parent and its snapshot only changed blocks are read; where AWS does not tell them (the old snapshot is gone, not
of this volume, or closed to this worker) or the parent is of no use, the volume is read whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain as joined, groupby
from threading import Lock
from typing import Final

from agent.crew import Crew, Queue
from agent.ebs import BLOCK, Ebs, Listed, Page
from agent.ebs_errors import Permanent
from agent.jobs.opening import Tally
from agent.protocol import BackupVolume
from agent.repository.errors import Damaged, Missing
from agent.repository.head import Head, SegmentRef, Volume
from agent.repository.layout import Chain, map_prefix
from agent.repository.mapping import MapObjects, VolumeMap
from agent.repository.maps import SEGMENT, Segment
from agent.repository.reader import read_segments
from agent.repository.repository import Repository
from agent.repository.writer import Writer

#: Blocks that a reader takes at a time, and how many such portions wait.
_PORTION: Final = 8
_WAITING: Final = 64

ZERO: Final = hashlib.sha256(bytes(BLOCK)).digest()


@dataclass
class Source:
    """One volume under way.

    `parent` is its state in the parent point, when only changed blocks are read; `whole` says why that was asked for
    and is not so.
    """

    volume: BackupVolume
    parent: Volume | None
    map: VolumeMap
    whole: str | None = None
    read: int = 0

    @property
    def blocks(self) -> int:
        """Blocks that are not holes, once the map is complete."""
        return (self.parent.blocks if self.parent is not None else 0) + self.map.added


@dataclass(frozen=True)
class _Portion:
    """Some listed blocks of one volume; `span` is the bytes of the volume that are behind us once they are done."""

    source: Source
    blocks: list[Listed]
    span: int


@dataclass
class Reading:
    """What the lister and the readers of one backup share. `sources` is complete when `read` returns."""

    volumes: tuple[BackupVolume, ...]
    repository: Repository
    chain: Chain
    ebs: Ebs
    writer: Writer
    maps: MapObjects
    tally: Tally
    parent: Head | None
    is_mending: bool = False
    sources: list[Source] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)
    _there: frozenset[str] | None = None

    def read(self, crew: Crew, threads: int) -> None:
        """Read all volumes with one lister and some reading threads. Raises as the crew does."""
        portions: Queue[_Portion] = crew.queue(_WAITING)
        crew.start(1, lambda: self._list_all(portions), name="lister")
        crew.start(threads, lambda: self._read_all(portions), name="reader").wait()

    def _list_all(self, portions: Queue[_Portion]) -> None:
        for volume in self.volumes:
            pages, parent, whole = self._pages(volume)
            try:
                source = self._list(Source(volume, parent, self._map(volume, parent), whole), pages, portions)
            except (Missing, Damaged) as error:
                if parent is None:
                    raise
                # Whoever still reads for the source that is given up does so in vain.
                again = Source(volume, None, self._map(volume, None), f"the parent's map is of no use: {error}")
                source = self._list(again, self.ebs.blocks(volume.snapshot_id), portions)
            self.sources.append(source)
        portions.close()

    def _list(self, source: Source, pages: Iterator[Page], portions: Queue[_Portion]) -> Source:
        behind = 0
        entries = joined.from_iterable(page.blocks for page in pages)
        for number, listed in groupby(entries, key=lambda one: one.index // SEGMENT):
            blocks = list(listed)
            source.map.announce(number, len(blocks))
            for start in range(0, len(blocks), _PORTION):
                part = blocks[start : start + _PORTION]
                end = (part[-1].index + 1) * BLOCK
                portions.put(_Portion(source, part, end - behind))
                behind = end
        self.tally.add(max(0, source.volume.size_bytes - behind))
        return source

    def _pages(self, volume: BackupVolume) -> tuple[Iterator[Page], Volume | None, str | None]:
        """Return what is to be read, what it changes, and why all is read although less was asked for."""
        whole, previous = None, volume.previous_snapshot_id
        if previous is not None:
            before = self.parent.volume(volume.volume_id) if self.parent is not None else None
            if before is None or before.snapshot_id != previous:
                whole = "the parent restore point cannot be read, or does not hold it"
                if self.is_mending:
                    whole = "blocks of the resource's restore points are lost, and looked for"
            elif lost := {ref.name for ref in before.segments} - self._maps_there():
                # What is taken over unseen must at least be there.
                whole = f"the parent's map object {min(lost)} is missing"
            else:
                pages = self.ebs.changed_blocks(previous, volume.snapshot_id)
                try:
                    first = next(pages)
                except Permanent as error:
                    # Gone (AWS refuses rather than says so: what is not there has no tags), archived, of another
                    # volume. If it is the new snapshot that cannot be read, reading it whole will say so.
                    whole = f"what has changed since {previous} is not told: {error.code or type(error).__name__}"
                else:
                    return joined([first], pages), before, None
        return self.ebs.blocks(volume.snapshot_id), None, whole

    def _maps_there(self) -> frozenset[str]:
        if self._there is None:
            listed = self.repository.objects.list(map_prefix(self.chain))
            self._there = frozenset(entry.key.rpartition("/")[2] for entry in listed)
        return self._there

    def _map(self, volume: BackupVolume, parent: Volume | None) -> VolumeMap:
        if parent is None:
            return VolumeMap(volume.volume_id, self.maps)
        kept = {ref.number: ref for ref in parent.segments}

        def base(number: int) -> Segment | None:
            ref: SegmentRef | None = kept.get(number)
            if ref is None:
                return None
            read = read_segments(self.repository, self.chain, volume.volume_id, ref.name, [ref])
            return next(read)[1]

        return VolumeMap(volume.volume_id, self.maps, base, kept)

    def _read_all(self, portions: Queue[_Portion]) -> None:
        while (portion := portions.get()) is not None:
            read = sum(self._carry(portion.source, listed) for listed in portion.blocks)
            with self._lock:
                portion.source.read += read
            self.tally.add(portion.span)

    def _carry(self, source: Source, listed: Listed) -> bool:
        """Carry one block to its place; returns whether it had to be read."""
        if listed.token is None:
            source.map.drop(listed.index)
            return False
        block_id, data = self.ebs.read(source.volume.snapshot_id, listed.index, listed.token)
        if block_id == ZERO:
            source.map.drop(listed.index)
        else:
            pack_id, slot = self.writer.store(block_id, data)
            source.map.put(listed.index, pack_id, slot, block_id)
        return True
