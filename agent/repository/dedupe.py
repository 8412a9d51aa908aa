"""Which blocks a writer need not store again: the ones it finds in the index, within a budget.

The chain's own index segments come first, newest first; then those of other chains (the same operating system is on
many volumes). The budget keeps the cost of an incremental in proportion: what is not looked up is stored again, which
costs room and nothing else. Packs that are marked for deletion are not used.
"""

from __future__ import annotations

from collections.abc import Iterator
from threading import Lock
from typing import Final

from agent.crew import Crew
from agent.repository.errors import Missing
from agent.repository.index import ROW_BYTES, decode_index
from agent.repository.known import KnownBlocks
from agent.repository.layout import INDEX, MARKS, PACK_ID, Chain, index_prefix
from agent.repository.objects import Entry
from agent.repository.pack import PackTable
from agent.repository.repository import Repository
from agent.repository.seal import unpack_document, unseal

_READERS: Final = 6
#: Segments of other chains that are looked at in the list, and read, at most.
_LISTED: Final = 20_000
_FOREIGN: Final = 256


def load_known(repository: Repository, chain: Chain, crew: Crew, *, budget: int, expected: int) -> KnownBlocks:
    """Return the blocks that need not be stored, at most about `budget`, with room for `expected` more."""
    known = KnownBlocks(budget + expected)
    marked = marked_packs(repository)
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
            tables = decode_index(sealed, place=entry.key, find_key=repository.ring.find)
            with lock:
                for table in tables:
                    if table.pack_id not in marked:
                        add_table(known, table)

    crew.start(_READERS, work, name="index").wait()
    return known


def add_table(known: KnownBlocks, table: PackTable) -> None:
    """Make a pack's blocks known."""
    for slot in range(table.slots):
        block_id = table.block_id(slot)
        if known.find(block_id) is None:
            known.add(block_id, table.pack_id, slot)


def marked_packs(repository: Repository) -> set[bytes]:
    """Return the packs that are marked for deletion."""
    marked: set[bytes] = set()
    for entry in repository.objects.list(MARKS):
        try:
            sealed = repository.objects.get(entry.key)
        except Missing:
            continue  # carried out or withdrawn meanwhile
        plain = unseal(sealed, place=entry.key, find_key=repository.ring.find)
        packs = unpack_document(plain, place=entry.key)["packs"]
        marked.update(packs[start : start + PACK_ID] for start in range(0, len(packs), PACK_ID))
    return marked


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
