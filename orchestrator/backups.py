"""Backups of the ledger itself: copies in the control bucket, taken again and again, and the way back from one.

Two at once are harmless: each copy is whole, and none is written twice under one name.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import IO, Final

import structlog

from orchestrator.errors import NotFound, Refused
from orchestrator.ledger import dump, marks
from orchestrator.ledger.store import Ledger
from orchestrator.ports import BackupStore, Kept

log = structlog.get_logger(__name__)

#: Besides the newest copies, the last one of each of so many days is kept.
DAYS: Final = 14

_ENDING: Final = ".jsonl.zst"
_TIME: Final = "%Y%m%dT%H%M%SZ"
#: Copies up to this size, in bytes, need no file.
_IN_MEMORY: Final = 16 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Backup:
    """A copy in the bucket. `is_new` says whether this call took it: an unchanged ledger is not copied again."""

    name: str
    rows: int
    is_new: bool


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What a ledger was made from, and how many rows it has got."""

    taken_at: datetime
    rows: int


def back_up(ledger: Ledger, store: BackupStore, *, epoch: str | None, install: str, keep: int) -> Backup:
    """Copy the ledger to the store, unless its newest copy is the same, and remove copies that are too many.

    `epoch` is what the cloud remembers of the ledger that it belongs to (`orchestrator.ports.Orders.epoch`), `keep` how
    many of the newest copies stay. Raises `Refused` for a ledger that the cloud does not belong to: copies of a new one
    would soon stand before those of the one that was lost. Raises `LedgerUnavailable`, `CloudError`.
    """
    owner = None if epoch is None else marks.Epoch.read(epoch)
    with ledger.write() as tx:
        own = marks.epoch(tx)
    if owner is not None and owner.name != own.name:
        raise Refused(
            "this ledger is new or restored, and the copies in the control bucket are another one's",
            remedy="Restore one of them (`daywork ledger restore`), or make this ledger the one that counts: look at "
            "what `daywork sweep --dry-run` reports, then `daywork sweep --adopt`",
        )
    with scratch() as file:
        copy = dump.write(ledger, file, install=install)
        before = copies(store)
        if before and store.content(before[0].name) == copy.content:
            return Backup(name=before[0].name, rows=copy.rows, is_new=False)
        name = f"{copy.taken_at:{_TIME}}-{copy.sha256[:8]}{_ENDING}"
        store.put(name, file, sha256=copy.sha256, content=copy.content)
    for one in too_many([Kept(name=name, size=0), *before], keep):
        store.absent(one)
    log.info("ledger backed up", backup=name, rows=copy.rows)
    return Backup(name=name, rows=copy.rows, is_new=True)


def restore(ledger: Ledger, store: BackupStore, *, install: str, name: str | None = None) -> Restored:
    """Fill an empty ledger from a copy in the store, the newest unless one is named.

    Raises `NotFound`, and what `orchestrator.ledger.dump.load` and the store raise.
    """
    kept = copies(store)
    wanted = next((one.name for one in kept if name in (None, one.name)), None)
    if wanted is None:
        raise NotFound(
            "there is no such copy of the ledger" if name is not None else "there is no copy of the ledger",
            field="backup",
            value=name,
            remedy="See daywork ledger backups for those there are",
        )
    with scratch() as file:
        store.fetch(wanted, file)
        return restore_file(ledger, file, install=install)


def restore_file(ledger: Ledger, file: IO[bytes], *, install: str) -> Restored:
    """Fill an empty ledger from a copy in a file. Raises what `orchestrator.ledger.dump.load` raises."""
    head, rows = dump.load(ledger, file, install=install)
    log.warning("ledger restored", taken_at=head.taken_at.isoformat(), rows=rows)
    return Restored(taken_at=head.taken_at, rows=rows)


def copies(store: BackupStore) -> list[Kept]:
    """List the copies in the store, the newest first; what does not bear a name of ours is nothing of ours."""
    return [one for one in store.kept() if taken_at(one.name) is not None]


def taken_at(name: str) -> datetime | None:
    """Return when a copy was taken, by its name; None when it is no name of ours."""
    try:
        return datetime.strptime(name.partition("-")[0], _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None


def too_many(kept: Sequence[Kept], keep: int) -> list[str]:
    """Return the names that go: all but the `keep` newest and the last one of each of `DAYS` days.

    `kept` are copies, the newest first.
    """
    ours = [(one.name, moment) for one in kept if (moment := taken_at(one.name)) is not None]
    newest = max((moment for _, moment in ours), default=None)
    if newest is None:
        return []
    stay = {name for name, _ in ours[:keep]}
    seen = set()
    for name, moment in ours:
        if moment.date() not in seen and newest - moment < timedelta(days=DAYS):
            stay.add(name)
        seen.add(moment.date())
    return [name for name, _ in ours if name not in stay]


def scratch() -> IO[bytes]:
    """Return a nameless file for one copy."""
    return tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)
