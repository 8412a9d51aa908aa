"""Entering restore points into the ledger from what their repositories hold: a lost ledger loses no backup.

The repositories are the truth about restore points, the ledger is their index. What is entered already stays as it is,
so an import may be repeated, stopped half-way, and run beside sessions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol, TypeVar

import structlog

from orchestrator.ledger import points
from orchestrator.ledger.points import RestorePoint
from orchestrator.ledger.store import Ledger, Transaction

log = structlog.get_logger(__name__)

#: Restore points that are read, and then entered in one transaction, at a time.
BATCH: Final = 200

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a restore point stands in its repository: whose it is, and its id."""

    account: str
    region: str
    resource_id: str
    point: str

    def __str__(self) -> str:
        """One word for a person."""
        return f"{self.account}/{self.region}/{self.resource_id}/{self.point}"


@dataclass(frozen=True, kw_only=True)
class Found:
    """A restore point as its repository has it. `install` is who had it made; empty: nobody wrote that down."""

    point: RestorePoint
    install: str


@dataclass(frozen=True, kw_only=True)
class Unread:
    """A restore point that cannot be read, and why."""

    name: str
    reason: str
    remedy: str = ""


class Shelf(Protocol):
    """One repository, open for reading its restore points. What is said of the errors is in `CloudError`s."""

    def places(self) -> Iterator[Place | Unread]:
        """List all restore points; what stands among them and is none is `Unread`."""

    def read(self, places: Sequence[Place]) -> list[Found | Unread]:
        """Read some of them. Raises `Permanent` when nothing at all can be read."""


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What became of one repository's restore points: entered now, known before, another install's, unreadable."""

    repository: str
    entered: int
    known: int
    foreign: Mapping[str, int]
    unread: tuple[Unread, ...]

    @property
    def is_whole(self) -> bool:
        """Whether the ledger now knows everything that the repository holds."""
        return not self.foreign and not self.unread


def import_points(ledger: Ledger, repository: str, shelf: Shelf, *, install: str, adopt: bool = False) -> Imported:
    """Enter what a repository holds. Points of another install are only counted, unless `adopt` takes them over.

    Raises `LedgerUnavailable`, `CloudError`; what was entered by then stays.
    """
    entered = known = 0
    foreign: Counter[str] = Counter()
    unread: list[Unread] = []
    for batch in _batches(shelf.places(), BATCH):
        places = [one for one in batch if isinstance(one, Place)]
        unread += [one for one in batch if isinstance(one, Unread)]
        with ledger.read() as tx:
            there = points.known(tx, [one.point for one in places])
        known += len(there)
        fresh: list[RestorePoint] = []
        for one in shelf.read([one for one in places if one.point not in there]):
            if isinstance(one, Unread):
                unread.append(one)
            elif one.install in ("", install) or adopt:
                fresh.append(one.point)
            else:
                foreign[one.install] += 1
        _enter(ledger, fresh)
        entered += len(fresh)
    for one in unread:
        log.warning("restore point not entered", repository=repository, name=one.name, reason=one.reason)
    log.info("restore points entered", repository=repository, entered=entered, known=known)
    return Imported(repository=repository, entered=entered, known=known, foreign=foreign, unread=tuple(unread))


def _enter(ledger: Ledger, fresh: Sequence[RestorePoint]) -> None:
    def work(tx: Transaction) -> None:
        for one in fresh:
            points.add(tx, one)

    if fresh:
        ledger.run(work)


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch
