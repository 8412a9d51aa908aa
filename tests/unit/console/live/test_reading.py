"""How fast, how long still, and a ledger that goes away."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from support.clock import BEGINNING, FakeClock
from support.desk import Desk, instances
from support.ledgers import Databases

from console.live.reading import Reader, Speed, left
from orchestrator.errors import LedgerUnavailable, NotFound
from orchestrator.ledger.glance import glance, named, statuses
from orchestrator.model.status import ResourceStatus


def seen(*changes: tuple[float, int]) -> list[float | None]:
    """Return the rates after each of these (second, done) readings."""
    speed = Speed()
    return [speed.see(BEGINNING + timedelta(seconds=at), done) for at, done in changes]


def test_a_rate_needs_two_different_readings() -> None:
    """One reading, or the same one again, says nothing."""
    assert seen((0, 0), (5, 0), (10, 0)) == [None, None, None]


def test_a_rate_is_taken_between_changes_not_between_looks() -> None:
    """Agents report every 20 s; looking four times a second does not make it slower."""
    assert seen((0, 0), (20, 2000), (20.25, 2000), (30, 2000), (40, 4000))[1:] == [100, 100, 100, 100]


def test_another_attempt_begins_from_nothing() -> None:
    """Less done than before is no negative rate."""
    assert seen((0, 0), (10, 1000), (20, 100), (30, 300)) == [None, 100, None, 20]


def test_a_rate_is_forgotten_when_reports_stay_away() -> None:
    """Rather no figure than a wrong one."""
    assert seen((0, 0), (10, 1000), (101, 1000))[-1] is None


def test_time_left_follows_from_the_rate() -> None:
    """Unknown without a rate, and at the end."""
    assert left(50, 100, 10) == timedelta(seconds=5)
    assert left(50, 100, None) is None
    assert left(50, 100, 0) is None
    assert left(100, 100, 10) is None


@pytest.fixture(params=["sqlite", "postgresql"])
def desk(all_databases: Databases, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """A ledger on each database."""
    with all_databases.migrated(request.param) as url:
        made = Desk(url=url)
        yield made
        made.ledger.close()


def test_a_glance_counts_everybody_and_shows_the_most_urgent(desk: Desk) -> None:
    """Failed ones first, then what moves, then what waits; all of them in order when they fit."""
    session = desk.session(*instances(6))
    desk.begin(session)
    desk.move(session, "success", 0, done=10, total=30)
    desk.move(session, "running", 3, done=5, total=10)
    desk.move(session, "failed", 4, done=1, total=10)
    desk.worker(session, 3, "i-0aaaaaaaaaaaaaaaa")

    with desk.ledger.read() as tx:
        few, everybody = glance(tx, session, rows=3), glance(tx, session, rows=6)

    assert [row.ordinal for row in few.rows] == [4, 3, 1]
    assert [row.ordinal for row in everybody.rows] == [0, 1, 2, 3, 4, 5]
    assert few.counts == {
        ResourceStatus.SUCCESS: 1, ResourceStatus.RUNNING: 1, ResourceStatus.FAILED: 1, ResourceStatus.PENDING: 3,
    }  # fmt: skip
    # Nobody waits for what a failed or finished one has left undone.
    assert (few.done, few.total) == (16, 21)
    assert (few.workers, few.resources) == (1, 6)


def test_a_glance_at_nothing(desk: Desk) -> None:
    """A session without resources is a session; an unknown one is not."""
    session = desk.session()

    with desk.ledger.read() as tx:
        found = glance(tx, session, rows=3)
        with pytest.raises(NotFound):
            glance(tx, "s-nobody", rows=3)

    assert (found.rows, found.resources, found.total) == ((), 0, 0)


def test_the_bare_statuses_and_chosen_rows(desk: Desk) -> None:
    """What a list of events is made from."""
    session = desk.session(*instances(1200))
    desk.move(session, "failed", 1100, reason="no")

    with desk.ledger.read() as tx:
        found = statuses(tx, session)
        rows = named(tx, session, list(range(1, 1200)))

    assert len(found) == 1200
    assert found[1100] == (ResourceStatus.FAILED, 1)
    assert [row.ordinal for row in rows] == list(range(1, 1200))
    assert rows[1099].reason == "no"


def test_a_ledger_that_goes_away_is_waited_for(all_databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last known picture stays, with the time since when; when it is back, so is the truth."""
    with all_databases.migrated("sqlite") as url:
        desk = Desk(url=url)
        clock = FakeClock()
        desk.ledger.clock = clock
        session = desk.session(*instances(1))
        reader = Reader(desk.ledger, session, names={})
        before = reader.read(5)

        def away() -> None:
            raise LedgerUnavailable("away")

        with monkeypatch.context() as patch:
            patch.setattr(desk.ledger, "read", away)
            clock.pass_by(timedelta(seconds=1))
            first = reader.read(5)
            clock.pass_by(timedelta(seconds=9))
            second = reader.read(5)
        back = reader.read(5)
        desk.ledger.close()

    assert before.lost_since is None
    assert first.lost_since == second.lost_since == BEGINNING + timedelta(seconds=1)
    assert second.glance == before.glance
    assert back.lost_since is None


def test_a_ledger_that_never_answered_is_an_error(all_databases: Databases) -> None:
    """Nobody waits for a wrong address."""
    with all_databases.empty("sqlite") as url:
        desk = Desk(url=url)
        with pytest.raises(LedgerUnavailable):
            Reader(desk.ledger, "s-x", names={}).read(5)
        desk.ledger.close()
