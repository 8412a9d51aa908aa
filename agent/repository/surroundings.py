"""What stands around restore points: index, forwarding objects, marks, leases. A health check reads these as well.

Nothing of it is needed to restore, but for forwardings; so what is wrong with it is named, and no point is damaged by
it. Packs that no index segment lists any more are listed again: otherwise their blocks would be stored twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from agent.repository.errors import Damaged, Missing
from agent.repository.forward import read_forwards
from agent.repository.index import decode_index, encode_index
from agent.repository.layout import FORWARDS, INDEX, LEASES, MARKS, Chain, index_key, time_id
from agent.repository.live import LivePacks
from agent.repository.pack import PackTable
from agent.repository.reader import load_table
from agent.repository.repository import Repository
from agent.repository.seal import unseal

#: Rows of an index segment that is written anew.
_ROWS: Final = 65_536

#: Called with an object and what is wrong with it.
Tell = Callable[[str, str], None]


def index_tables(repository: Repository, tell: Tell) -> Iterator[PackTable]:
    """Read the whole index, segment by segment; segments that cannot be read are told of and left out."""
    for entry in repository.objects.list(INDEX):
        try:
            sealed = repository.objects.get(entry.key)
            yield from decode_index(sealed, place=entry.key, find_key=repository.ring.find)
        except Missing:
            continue  # written anew by a collection meanwhile
        except Damaged as error:
            tell(entry.key, str(error))


def look_around(repository: Repository, tell: Tell) -> None:
    """Read forwarding objects, marks and leases."""
    for prefix in (FORWARDS, MARKS, LEASES):
        for entry in repository.objects.list(prefix):
            try:
                if prefix == FORWARDS:
                    read_forwards(repository.objects, entry.key, repository.ring.find)
                else:
                    unseal(repository.objects.get(entry.key), place=entry.key, find_key=repository.ring.find)
            except Missing:
                continue
            except Damaged as error:
                tell(entry.key, str(error))


def index_again(repository: Repository, chain: Chain, packs: LivePacks) -> list[bytes]:
    """Write index rows for those packs that have none any more. Returns these packs."""
    waiting: list[PackTable] = []
    done: list[bytes] = []

    def write() -> None:
        key_id, data_key = repository.ring.current()
        key = index_key(chain, time_id())
        repository.objects.create(key, encode_index(waiting, place=key, key_id=key_id, data_key=data_key))

    for pack_id, bits in packs:
        if not bits.any():
            continue
        try:
            waiting.append(load_table(repository, pack_id))
        except (Missing, Damaged):
            continue  # named by whoever looked at its blocks
        done.append(pack_id)
        if sum(table.slots for table in waiting) >= _ROWS:
            write()
            waiting.clear()
    if waiting:
        write()
    return done
