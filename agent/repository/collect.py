"""Collecting garbage: packs, maps and forwarding objects that no restore point leads to. In two phases, beside writers.

A collection carries out the marks of earlier ones that are ripe, and marks what has become garbage since. A mark is
ripe when the grace time has passed and every writer that was at work when it was written has ended; what a restore
point needs by then all the same is let go. Reading maps and index is enough: packs are opened only to be packed anew.

Whoever dies here leaves objects that the next collection understands. The order of the steps is what makes it so:
index rows go before the packs that they name, packs before the mark, new packs before the words that lead to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from threading import Lock
from typing import Final

from agent.crew import Crew
from agent.repository.errors import Damaged, Missing
from agent.repository.index import decode_index, encode_index
from agent.repository.layout import INDEX, PACKS, chain_of, index_key, time_id
from agent.repository.marks import Mark, completed, read_marks, unended, write_marks
from agent.repository.objects import Entry
from agent.repository.pack import PACK_SIZE, PackTable
from agent.repository.repack import Repacker, is_sparse
from agent.repository.repository import Repository
from agent.repository.scan import Scan, scan

_DELETERS: Final = 16
_NAME: Final = 40
#: Packs that one collection marks; what is left over is the next one's.
_MOST_GARBAGE: Final = 200_000


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a collection may do. Times in seconds.

    `grace` is how long garbage stays marked, `locked` how long the bucket's Object Lock keeps what was written (0:
    there is none), `ended` are workers that are known to be gone.
    """

    grace: float
    locked: float = 0.0
    ended: frozenset[str] = frozenset()
    pack_size: int = PACK_SIZE


@dataclass(frozen=True, kw_only=True)
class Collected:
    """What a collection has done; sizes in bytes.

    `waiting` counts the writers that ripe marks still wait for.
    """

    packs_deleted: int
    bytes_deleted: int
    packs_marked: int
    bytes_marked: int
    packs_repacked: int
    bytes_repacked: int
    objects_deleted: int
    waiting: int


def collect(
    repository: Repository,
    crew: Crew,
    rules: Rules,
    *,
    clock: Callable[[], float],
    hold: Callable[[], None] = lambda: None,
) -> Collected:
    """Carry ripe marks out and mark new garbage. Only one collector of a repository may be at work at a time.

    `hold` makes sure of that before anything is deleted, and raises. Raises `Damaged`, `Missing` when it cannot know
    what is needed; nothing is deleted then.
    """
    now = clock()
    marks = completed(repository, read_marks(repository, clears=True), clock=clock)
    old = [mark for mark in marks if mark.at + rules.grace <= now]
    waiting = unended(repository, old, ended=rules.ended, now=now)
    ripe = [mark for mark in old if not _waits(mark, waiting)]
    found = scan(repository, crew)
    hold()
    return _Collection(repository, crew, rules, clock, found, marks, ripe, len(waiting)).run()


def _waits(mark: Mark, waiting: set[tuple[str, int]]) -> bool:
    return any((path, fence) in waiting for path, (fence, _) in (mark.writers or {}).items())


@dataclass(frozen=True)
class _Collection:
    repository: Repository
    crew: Crew
    rules: Rules
    clock: Callable[[], float]
    found: Scan
    marks: list[Mark]
    ripe: list[Mark]
    waiting: int

    def run(self) -> Collected:
        going = {pack for mark in self.ripe for pack in mark.packs if not self.found.live.is_live(pack)}
        ripe = {mark.key for mark in self.ripe}
        still = {pack for mark in self.marks if mark.key not in ripe for pack in mark.packs}
        deleted, garbage, locked = self._packs(going, still)
        going -= locked
        emptied, repacked = self._index(going, still | locked | garbage.keys())
        self._delete(entry.key for entry in deleted)
        objects = self._objects()
        self._delete(objects)
        self._forget(locked)
        write_marks(self.repository, {*garbage, *emptied}, self._loose(ripe, objects), clock=self.clock)
        return Collected(
            packs_deleted=len(deleted),
            bytes_deleted=sum(entry.size for entry in deleted),
            packs_marked=len(garbage) + len(emptied),
            bytes_marked=sum(entry.size for entry in garbage.values()) + sum(emptied.values()),
            packs_repacked=len(emptied),
            bytes_repacked=repacked,
            objects_deleted=len(objects),
            waiting=self.waiting,
        )

    # --- packs ---

    def _packs(self, going: set[bytes], still: set[bytes]) -> tuple[list[Entry], dict[bytes, Entry], set[bytes]]:
        """Return the packs to delete now, new garbage, and those to delete that are still locked."""
        deleted: list[Entry] = []
        garbage: dict[bytes, Entry] = {}
        locked: set[bytes] = set()
        for entry in self.repository.objects.list(PACKS):
            self.crew.check()
            name = entry.key.rpartition("/")[2]
            if len(name) != _NAME:
                continue
            pack_id = bytes.fromhex(name)
            if pack_id in going and self._is_locked(entry):
                locked.add(pack_id)
            elif pack_id in going:
                deleted.append(entry)
            elif pack_id in still or len(garbage) >= _MOST_GARBAGE:
                continue
            elif self._is_garbage(entry) and not self.found.live.is_live(pack_id):
                garbage[pack_id] = entry
        return deleted, garbage, locked

    def _is_locked(self, entry: Entry) -> bool:
        return bool(self.rules.locked) and entry.modified + self.rules.locked > self.clock()

    def _is_garbage(self, entry: Entry) -> bool:
        """Whether an object is old enough to be garbage: what a running writer has made is none yet."""
        return entry.modified + self.rules.grace <= self.clock() and not self._is_locked(entry)

    # --- the index ---

    def _index(self, going: set[bytes], marked: Iterable[bytes]) -> tuple[dict[bytes, int], int]:
        """Take packs that go out of the index, and pack anew what is sparse.

        Returns the packs that became empty with their bytes, and how many bytes were written for it.
        """
        repacker = Repacker(self.repository, clock=self.clock, pack_size=self.rules.pack_size)
        done = {*going, *marked}
        for entry in list(self.repository.objects.list(INDEX)):
            self.crew.check()
            try:
                sealed = self.repository.objects.get(entry.key)
            except Missing:
                continue
            try:
                tables = decode_index(sealed, place=entry.key, find_key=self.repository.ring.find)
            except Damaged:
                self.repository.objects.delete(entry.key)  # it tells nobody anything, and nothing needs it to restore
                continue
            if not self.rules.locked:
                self._repack(repacker, entry, tables, done)
            left = [table for table in tables if table.pack_id not in going]
            if len(left) < len(tables):
                self._rewrite(entry, left)
        repacker.finish()
        return repacker.emptied, repacker.bytes_written

    def _repack(self, repacker: Repacker, entry: Entry, tables: list[PackTable], done: set[bytes]) -> None:
        for table in tables:
            if table.pack_id in done:
                continue
            done.add(table.pack_id)
            bits = self.found.live.find(table.pack_id)
            if bits is not None and bits.any() and is_sparse(table, bits):
                repacker.move(chain_of(entry.key), table, bits)

    def _rewrite(self, entry: Entry, left: list[PackTable]) -> None:
        if left:
            key_id, data_key = self.repository.ring.current()
            key = index_key(chain_of(entry.key), time_id(self.clock))
            self.repository.objects.create(key, encode_index(left, place=key, key_id=key_id, data_key=data_key))
        self.repository.objects.delete(entry.key)

    # --- maps, forwarding objects, marks ---

    def _objects(self) -> list[str]:
        """Return the maps and forwarding objects that ripe marks name and that nothing needs."""
        loose = self.found.loose_maps | self.found.idle_forwards
        named = {key for mark in self.ripe for key in mark.objects}
        return sorted(key for key in named & loose.keys() if not self._is_locked(loose[key]))

    def _loose(self, ripe: set[str], deleted: list[str]) -> set[str]:
        marked = {key for mark in self.marks if mark.key not in ripe for key in mark.objects}
        loose = self.found.loose_maps | self.found.idle_forwards
        return {key for key, entry in loose.items() if self._is_garbage(entry)} - marked - set(deleted)

    def _forget(self, locked: set[bytes]) -> None:
        """Remove the marks that are carried out; one stays for packs that Object Lock keeps a while longer."""
        for mark in self.ripe:
            left = mark.packs & locked
            if left:
                self.repository.objects.put(mark.key, replace(mark, packs=left, objects=()).sealed(self.repository))
            else:
                self.repository.objects.delete(mark.key)

    def _delete(self, keys: Iterable[str]) -> None:
        waiting, lock = iter(keys), Lock()

        def work() -> None:
            while not self.crew.is_over:
                with lock:
                    key = next(waiting, None)
                if key is None:
                    return
                self.repository.objects.delete(key)

        self.crew.start(_DELETERS, work, name="deleter").wait()
