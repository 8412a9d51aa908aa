"""Marks: what is going to be deleted. From the moment a mark is written, no writer uses what it names again.

A mark is written twice: first what it names, then which writers were at work just after. Whoever began later has read
the mark; those who had begun before may still use what it names, so the mark is not carried out before they have ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from agent.repository.errors import Damaged, Missing
from agent.repository.layout import MARKS, PACK_ID, time_id
from agent.repository.lease import SKEW, Held, all_held
from agent.repository.repository import Repository
from agent.repository.seal import pack_document, seal, unpack_document, unseal

#: How long a writer can be silent and still be at work, in seconds: a job lives a day, and its worker no longer.
_LONGEST_SILENCE: Final = 24 * 3600.0
#: Packs and other objects of one mark.
MOST: Final = 20_000


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One mark. `at` is when it was written (seconds since 1970), `objects` are keys of maps and forwarding objects.

    `writers` are those that were at work then: fencing number and owner by chain; None: not looked yet.
    """

    key: str
    at: float
    packs: frozenset[bytes] = frozenset()
    objects: tuple[str, ...] = ()
    writers: Mapping[str, tuple[int, str]] | None = None

    def sealed(self, repository: Repository) -> bytes:
        """Return the object that holds the mark."""
        key_id, data_key = repository.ring.current()
        document: dict[str, Any] = {"at": self.at, "packs": b"".join(sorted(self.packs)), "objects": list(self.objects)}
        if self.writers is not None:
            document["writers"] = {path: list(one) for path, one in self.writers.items()}
        return seal(pack_document(document), place=self.key, key_id=key_id, data_key=data_key)


def read_marks(repository: Repository, *, clears: bool = False) -> Iterator[Mark]:
    """Read all marks, the oldest first. Raises `Damaged`.

    With `clears` a damaged one is removed instead: what it named is marked anew, and nothing was deleted by it whose
    index rows are still there.
    """
    for entry in repository.objects.list(MARKS):
        try:
            sealed = repository.objects.get(entry.key)
        except Missing:
            continue  # carried out meanwhile
        try:
            plain = unseal(sealed, place=entry.key, find_key=repository.ring.find)
            mark = _decoded(entry.key, unpack_document(plain, place=entry.key))
        except Damaged:
            if not clears:
                raise
            repository.objects.delete(entry.key)
            continue
        yield mark


def marked_packs(repository: Repository) -> set[bytes]:
    """Return the packs that are marked for deletion. Raises `Damaged`."""
    return {pack for mark in read_marks(repository) for pack in mark.packs}


def write_marks(
    repository: Repository, packs: Iterable[bytes], objects: Iterable[str], *, clock: Callable[[], float]
) -> list[Mark]:
    """Mark packs and other objects for deletion; returns the marks, complete with the writers at work."""
    waiting, names, made = sorted(packs), sorted(objects), []
    while waiting or names:
        mark = Mark(
            key=f"{MARKS}/{time_id(clock)}",
            at=clock(),
            packs=frozenset(waiting[:MOST]),
            objects=tuple(names[:MOST]),
        )
        waiting, names = waiting[MOST:], names[MOST:]
        repository.objects.put(mark.key, mark.sealed(repository))
        made.append(mark)
    return completed(repository, made, clock=clock) if made else []


def completed(repository: Repository, marks: Iterable[Mark], *, clock: Callable[[], float]) -> list[Mark]:
    """Write down which writers are at work into marks that do not say it yet: a collector may have died in between."""
    found = list(marks)
    if all(one.writers is not None for one in found):
        return found
    at_work = {
        path: (held.fence, held.owner)
        for path, held in all_held(repository.objects, repository.ring)
        if not _has_ended(held, clock(), frozenset())
    }
    done = []
    for mark in found:
        whole = mark if mark.writers is not None else replace(mark, at=clock(), writers=at_work)
        if whole is not mark:
            repository.objects.put(whole.key, whole.sealed(repository))
        done.append(whole)
    return done


def unended(
    repository: Repository, marks: Iterable[Mark], *, ended: frozenset[str], now: float
) -> set[tuple[str, int]]:
    """Return those writers of the marks (chain, fencing number) that may still be at work.

    `ended` are workers that are known to be gone.
    """
    named = {
        (path, fence) for mark in marks for path, (fence, owner) in (mark.writers or {}).items() if owner not in ended
    }
    if not named:
        return set()
    current = dict(all_held(repository.objects, repository.ring))
    return {
        (path, fence)
        for path, fence in named
        if (held := current.get(path)) is not None and held.fence == fence and not _has_ended(held, now, ended)
    }


def _has_ended(held: Held, now: float, ended: frozenset[str]) -> bool:
    return held.until == 0 or held.owner in ended or held.until + SKEW + _LONGEST_SILENCE < now


def _decoded(key: str, document: dict[str, Any]) -> Mark:
    packs, writers = document.get("packs", b""), document.get("writers")
    try:
        return Mark(
            key=key,
            at=float(document.get("at", 0.0)),
            packs=frozenset(packs[start : start + PACK_ID] for start in range(0, len(packs), PACK_ID)),
            objects=tuple(document.get("objects", ())),
            writers=None
            if writers is None
            else {path: (int(fence), str(who)) for path, (fence, who) in writers.items()},
        )
    except (TypeError, ValueError):
        raise Damaged(f"{key} is damaged: it holds no mark") from None
