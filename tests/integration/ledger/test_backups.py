"""Copies of the ledger are taken when there is something new, kept for a while, and restored by name or the newest."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from support.clock import BEGINNING, FakeClock
from support.fakes.backups import FakeBackups
from support.ledgers import Databases, open_ledger, submit

from orchestrator.backups import Backup, back_up, restore, taken_at, too_many
from orchestrator.errors import NotFound, Refused, WrongRequest
from orchestrator.ledger import marks, sessions
from orchestrator.ledger.store import Ledger
from orchestrator.ports import Kept

INSTALL = "test"


@pytest.fixture
def store() -> FakeBackups:
    """An empty store."""
    return FakeBackups()


def take(ledger: Ledger, store: FakeBackups, keep: int = 10, epoch: str | None = None) -> Backup:
    """Take a copy."""
    return back_up(ledger, store, epoch=epoch, install=INSTALL, keep=keep)


def epoch_of(ledger: Ledger) -> str:
    """Return what a ledger that has swept a cloud leaves there."""
    with ledger.write() as tx:
        return str(marks.advance_epoch(tx)) if marks.epoch(tx) else ""


def test_an_unchanged_ledger_is_not_copied_again(ledger: Ledger, store: FakeBackups, clock: FakeClock) -> None:
    """However much time goes by; a change is."""
    first = take(ledger, store)
    clock.pass_by(timedelta(hours=1))
    second = take(ledger, store)
    submit(ledger, 1)
    third = take(ledger, store)

    assert (first.is_new, second.is_new, third.is_new) == (True, False, True)
    assert second.name == first.name
    assert [one.name for one in store.kept()] == [third.name, first.name]
    assert taken_at(third.name) == BEGINNING + timedelta(hours=1)


def test_the_newest_copy_is_restored_unless_one_is_named(
    ledger: Ledger, store: FakeBackups, clock: FakeClock, all_databases: Databases
) -> None:
    """What came after a copy is not in it."""
    submit(ledger, 1, name="first")
    early = take(ledger, store)
    clock.pass_by(timedelta(minutes=5))
    submit(ledger, 1, name="second")
    take(ledger, store)

    for name, count in ((None, 2), (early.name, 1)):
        with all_databases.empty("sqlite") as url, open_ledger(url, clock) as fresh:
            done = restore(fresh, store, install=INSTALL, name=name)
            with fresh.read() as tx:
                assert len(sessions.recent(tx)) == count
        assert done.rows > 0


def test_a_copy_that_is_not_there_or_damaged_is_told_as_that(
    ledger: Ledger, store: FakeBackups, all_databases: Databases, clock: FakeClock
) -> None:
    """With the name; nothing is restored."""
    with all_databases.empty("sqlite") as url, open_ledger(url, clock) as fresh:
        with pytest.raises(NotFound, match="no copy of the ledger"):
            restore(fresh, store, install=INSTALL)
        made = take(ledger, store)
        with pytest.raises(NotFound, match="2026"):
            restore(fresh, store, install=INSTALL, name="2026")
        store.bodies[made.name] = store.bodies[made.name][:-1]
        with pytest.raises(WrongRequest, match="damaged"):
            restore(fresh, store, install=INSTALL)


def test_a_new_ledger_is_not_copied_before_it_is_adopted(
    ledger: Ledger, store: FakeBackups, all_databases: Databases, clock: FakeClock
) -> None:
    """Its copies would be the newest, and push out those of the ledger that was lost. A restored one neither."""
    submit(ledger, 1)
    remembered = epoch_of(ledger)
    take(ledger, store, epoch=remembered)
    with all_databases.migrated("sqlite") as url, open_ledger(url, clock) as fresh:
        with pytest.raises(Refused, match="new or restored") as caught:
            take(fresh, store, epoch=remembered)
        restore(fresh, store, install=INSTALL)
        with pytest.raises(Refused, match="new or restored"):
            take(fresh, store, epoch=remembered)

        assert "sweep --adopt" in caught.value.remedy
        assert len(store.kept()) == 1
        submit(fresh, 1, name="adopted")
        assert take(fresh, store, epoch=epoch_of(fresh)).is_new


def test_copies_that_are_too_many_go(ledger: Ledger, store: FakeBackups, clock: FakeClock) -> None:
    """The newest stay, and what others have put there."""
    store.bodies["notes.txt"] = b"somebody's"
    for number in range(4):
        clock.pass_by(timedelta(minutes=1))
        submit(ledger, 1, name=f"n-{number}")
        newest = take(ledger, store, keep=2)

    names = [one.name for one in store.kept()]

    assert len(names) == 3
    assert newest.name in names
    assert "notes.txt" in names


def name_of(moment: datetime) -> str:
    """Return a copy's name."""
    return f"{moment:%Y%m%dT%H%M%SZ}-00000000.jsonl.zst"


def test_a_copy_of_each_of_the_last_days_stays() -> None:
    """The last one of its day: a mistake of Friday may be found on Monday."""
    times = [BEGINNING - timedelta(hours=number) for number in range(24 * 20)]
    kept = [Kept(name=name_of(one), size=1) for one in times]

    gone = too_many(kept, keep=5)

    stay = [taken_at(one.name) for one in kept if one.name not in gone]
    assert stay[:5] == times[:5]
    days = [one.date() for one in stay[5:] if one is not None]
    assert len(days) == len(set(days)) == 13
    assert all(one is not None and one.hour == 23 for one in stay[5:])
