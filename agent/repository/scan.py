"""What restore points need: every slot of every pack that a map of a head names, and the map objects themselves.

Chains are read side by side, each segment once however many points share it. Whatever cannot be read ends the scan:
who does not know what is needed must delete nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Final

from agent.crew import Crew
from agent.repository.errors import Missing
from agent.repository.forward import Place, read_forwards
from agent.repository.head import Head, Volume
from agent.repository.known import KnownBlocks
from agent.repository.layout import FORWARDS, MAPS, Chain, chain_of, map_key
from agent.repository.live import LivePacks
from agent.repository.objects import Entry
from agent.repository.reader import grouped, windows
from agent.repository.repository import Repository

_READERS: Final = 4
#: Blocks whose places are in memory for each reader.
_WINDOW: Final = 128 * 1024
#: Segments of a chain of which it is remembered that they were read; more are read again.
_REMEMBERED: Final = 512 * 1024


@dataclass
class Scan:
    """What was found: needed slots, map objects that no head names, forwarding objects that lead to nothing needed."""

    live: LivePacks = field(default_factory=LivePacks)
    loose_maps: dict[str, Entry] = field(default_factory=dict)
    idle_forwards: dict[str, Entry] = field(default_factory=dict)
    points: int = 0


def scan(repository: Repository, crew: Crew) -> Scan:
    """Read all heads and maps. Raises `Damaged`, `Missing`, and as the crew does."""
    found, lock, chains = Scan(), Lock(), list(repository.chains())
    waiting = iter(chains)

    def work() -> None:
        while not crew.is_over:
            with lock:
                chain = next(waiting, None)
            if chain is None:
                return
            _Chain(repository, chain, found, lock, crew).read()

    crew.start(_READERS, work, name="scan").wait()
    known = {chain.path for chain in chains}
    for entry in repository.objects.list(MAPS):
        crew.check()
        if chain_of(entry.key).path not in known:
            found.loose_maps[entry.key] = entry
    _forward(repository, found)
    return found


@dataclass(frozen=True)
class _Chain:
    """The scan of one chain."""

    repository: Repository
    chain: Chain
    found: Scan
    lock: Lock
    crew: Crew

    def read(self) -> None:
        # Listed before the heads are: what a head that comes meanwhile needs is not taken for loose.
        maps = {entry.key: entry for entry in self.repository.objects.list(f"{MAPS}/{self.chain.path}")}
        seen = KnownBlocks(_REMEMBERED if len(maps) > 1 else 0)
        points = 0
        for head in self._heads():
            points += 1
            for volume in head.volumes:
                for ref in volume.segments:
                    maps.pop(map_key(self.chain, ref.name), None)
                self._read(volume, seen)
        with self.lock:
            self.found.points += points
            self.found.loose_maps |= maps

    def _heads(self) -> Iterator[Head]:
        for point in list(self.repository.points(self.chain)):
            self.crew.pause(0)
            try:
                yield self.repository.point(self.chain, point)
            except Missing:
                continue  # another retention has deleted it since

    def _read(self, volume: Volume, seen: KnownBlocks) -> None:
        fresh = []
        for ref in volume.segments:
            digest = hashlib.sha256(f"{ref.name}#{ref.offset}".encode()).digest()
            if seen.find(digest) is None:
                seen.add(digest, bytes(20), 0)
                fresh.append(ref)
        for gathered in windows(self.repository, self.chain, replace(volume, segments=tuple(fresh)), window=_WINDOW):
            for wanted in grouped(gathered):
                with self.lock:
                    self.found.live.add(wanted.pack_id, wanted.slots)


def _forward(repository: Repository, found: Scan) -> None:
    """Follow forwardings: what is needed of an old place is needed of the new one instead."""
    waiting = {entry.key: entry for entry in repository.objects.list(FORWARDS)}
    idle = dict(waiting)
    is_changing = True
    while is_changing:
        # Again and again, because names that clocks have made may not be in the order in which blobs were moved.
        is_changing = False
        for key in waiting:
            try:
                moves = read_forwards(repository.objects, key, repository.ring.find)
            except Missing:
                idle.pop(key, None)
                continue
            if _move(found.live, moves):
                is_changing = True
                idle.pop(key, None)
    found.idle_forwards = idle


def _move(live: LivePacks, moves: dict[Place, Place]) -> bool:
    by_pack: dict[bytes, list[int]] = {}
    for pack_id, slot in moves:
        by_pack.setdefault(pack_id, []).append(slot)
    arrived: dict[bytes, list[int]] = {}
    for pack_id, slots in by_pack.items():
        bits = live.find(pack_id)
        if bits is None:
            continue
        gone = [slot for slot in slots if bits[slot]]
        for slot in gone:
            target, place = moves[pack_id, slot]
            arrived.setdefault(target, []).append(place)
        if gone:
            bits[gone] = False
            live.set(pack_id, bits)
    for pack_id, slots in arrived.items():
        live.add(pack_id, slots)
    return bool(arrived)
