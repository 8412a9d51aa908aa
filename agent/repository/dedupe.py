"""Which blocks a writer need not store again: the ones it finds in the index, within a budget.

The chain's own index segments come first, newest first; then those of other chains (the same operating system is on
many volumes). The budget keeps the cost of an incremental in proportion: what is not looked up is stored again, which
costs room and nothing else. Packs that are marked for deletion are not used.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from threading import Lock
from typing import Final

from agent.crew import Crew
from agent.repository.errors import Damaged, Missing
from agent.repository.forward import Place
from agent.repository.index import ROW_BYTES, decode_index
from agent.repository.known import KnownBlocks
from agent.repository.layout import INDEX, Chain, index_prefix
from agent.repository.marks import marked_packs
from agent.repository.mending import Mending
from agent.repository.objects import Entry
from agent.repository.pack import PackTable
from agent.repository.repository import Repository

_READERS: Final = 6
#: Segments of other chains that are looked at in the list, and read, at most.
_LISTED: Final = 20_000
_FOREIGN: Final = 256


def load_known(
    repository: Repository, chain: Chain, crew: Crew, *, budget: int, expected: int, mending: Mending | None = None
) -> KnownBlocks:
    """Return the blocks that need not be stored, at most about `budget`, with room for `expected` more.

    Places that `mending` knows to be damaged are left out. The caller holds a lease from before: a collector that marks
    packs from now on waits until it is given back.
    """
    known = KnownBlocks(budget + expected)
    try:
        marked = marked_packs(repository)
    except Damaged:
        return known  # nobody can say which packs are going, so none is relied upon
    bad = mending.bad if mending is not None else {}
    chosen = _within(_segments(repository, chain), budget)
    lock = Lock()

    def work() -> None:
        while True:
            with lock:
                entry = next(chosen, None)
            if entry is None or crew.is_over:
                return
            try:
                sealed = repository.objects.get(entry.key)
            except Missing:
                continue  # rewritten by retention meanwhile
            try:
                tables = decode_index(sealed, place=entry.key, find_key=repository.ring.find)
            except Damaged:
                continue  # it only saves room; a health check names it, and a collection clears it away
            with lock:
                for table in tables:
                    if table.pack_id not in marked:
                        add_table(known, table, bad)

    crew.start(_READERS, work, name="index").wait()
    return known


def add_table(known: KnownBlocks, table: PackTable, bad: Container[Place] = ()) -> None:
    """Make a pack's blocks known, but for those in a bad place."""
    for slot in range(table.slots):
        block_id = table.block_id(slot)
        if (table.pack_id, slot) not in bad and known.find(block_id) is None:
            known.add(block_id, table.pack_id, slot)


def _segments(repository: Repository, chain: Chain) -> Iterator[Entry]:
    yield from sorted(repository.objects.list(index_prefix(chain)), key=_name, reverse=True)
    own = f"{index_prefix(chain)}/"
    foreign = []
    for number, entry in enumerate(repository.objects.list(INDEX)):
        if number >= _LISTED:
            break
        if not entry.key.startswith(own):
            foreign.append(entry)
    yield from sorted(foreign, key=_name, reverse=True)[:_FOREIGN]


def _name(entry: Entry) -> str:
    return entry.key.rpartition("/")[2]


def _within(entries: Iterator[Entry], budget: int) -> Iterator[Entry]:
    rows = 0
    for entry in entries:
        if rows >= budget:
            return
        rows += entry.size // ROW_BYTES + 1
        yield entry
