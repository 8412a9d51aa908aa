"""A database that does not answer, or not now."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Thread

import pytest
from support.clock import FakeClock
from support.ledgers import claimed, open_ledger, submit, under_way
from support.postgres import Postgres, postgres
from support.servers import free_port

from orchestrator.errors import Fenced, LedgerContended, LedgerUnavailable
from orchestrator.ledger import sessions, store, work
from orchestrator.ledger.migrate import upgrade
from orchestrator.ledger.store import Ledger, Transaction
from orchestrator.model.status import Step
from orchestrator.model.work import Claim, WorkKey


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A server that these tests alone may stop, with durable commits."""
    with postgres({}) as running:
        running.run("CREATE DATABASE daywork")
        yield running


@pytest.fixture
def on_server(server: Postgres, clock: FakeClock) -> Iterator[Ledger]:
    """A ledger on it, with a connection open in its pool."""
    with open_ledger(server.url("daywork"), clock) as ledger:
        upgrade(ledger.engine)
        yield ledger


def look(ledger: Ledger) -> int:
    """Count the sessions."""
    with ledger.read() as tx:
        return len(sessions.recent(tx))


def test_a_stopped_database_is_unavailable_until_it_is_back(on_server: Ledger, server: Postgres) -> None:
    """Nothing hangs, nothing that was committed is lost, and the same process goes on."""
    submit(on_server, 1, name="before")

    server.stop()
    with pytest.raises(LedgerUnavailable):
        look(on_server)
    with pytest.raises(LedgerUnavailable), on_server.write():
        pass
    with pytest.raises(LedgerUnavailable):
        on_server.run(sessions.recent)
    server.start()

    submit(on_server, 1, name="after")
    assert look(on_server) >= 2


def test_what_is_wrong_with_a_server_is_told_in_words(server: Postgres, clock: FakeClock) -> None:
    """Nobody there, nobody let in, no such database, no tables; never an address or a password."""
    free = server.url("daywork").replace(str(server.port), str(free_port()))
    server.run("CREATE DATABASE empty")
    server.run("CREATE ROLE stranger NOLOGIN")
    cases = {
        free: "cannot be reached",
        server.url("nowhere"): "does not exist on its server",
        server.url("empty"): "not the tables of this version",
        server.url("daywork").replace("daywork@", "stranger:canary@"): "does not answer",
    }

    for url, words in cases.items():
        with open_ledger(url, clock) as ledger, pytest.raises(LedgerUnavailable, match=words) as caught:
            look(ledger)
        assert str(server.port) not in str(caught.value)
        assert "canary" not in str(caught.value)


def test_a_crashed_database_keeps_what_was_written_under_a_claim(
    on_server: Ledger, server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And with it the claim: nobody else gets the step."""
    monkeypatch.setattr(store, "IDLE", timedelta(0))
    key = WorkKey(under_way(on_server, 1, name="crash"), 0)
    held = claimed(on_server, key)
    with on_server.write() as tx:
        work.hold(tx, held)
        sessions.remember(tx, key, reason="under way")

    server.kill()
    server.start()

    with on_server.write() as tx:
        assert work.claim(tx, key, Step.ASSUME_ROLE, 1) is work.Refusal.TAKEN
        work.hold(tx, held)
        assert sessions.resource(tx, key).reason == "under way"


def test_a_claim_that_a_crash_forgets_is_fenced_off(
    on_server: Ledger, server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was written under it yet. Whether it survives or not, nobody gets its number again."""
    monkeypatch.setattr(store, "IDLE", timedelta(0))
    session = under_way(on_server, 20, name="forgotten")
    with on_server.write() as tx:
        sessions.remember(tx, WorkKey(session, 0), reason="on the disk, with all that went before")
    held = [claimed(on_server, WorkKey(session, ordinal)) for ordinal in range(20)]

    server.kill()
    server.start()

    for one in held:
        with on_server.write() as tx:
            again = work.claim(tx, one.key, Step.ASSUME_ROLE, 1)
            if again is work.Refusal.TAKEN:
                work.hold(tx, one)
                continue
            assert isinstance(again, Claim)
            assert again.fence > one.fence
            with pytest.raises(Fenced):
                work.hold(tx, one)


def test_a_restart_between_two_uses_is_not_noticed(
    on_server: Ledger, server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that was idle is tried before it is used."""
    monkeypatch.setattr(store, "IDLE", timedelta(0))
    look(on_server)
    server.stop()
    server.start()

    assert look(on_server) >= 0


def test_a_connection_that_breaks_in_the_middle_is_replaced(on_server: Ledger, server: Postgres) -> None:
    """`run` repeats the whole transaction; a plain transaction tells that the same again will do."""
    look(on_server)
    server.stop()
    server.start()
    assert on_server.run(lambda tx: len(sessions.recent(tx))) >= 0

    def lose_the_server(tx: Transaction) -> None:
        server.stop()
        server.start()
        sessions.recent(tx)

    with pytest.raises(LedgerContended), on_server.write() as tx:
        lose_the_server(tx)


def test_a_locked_file_is_unavailable_after_the_wait(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody holds SQLite's one write lock and does not let go; reading goes on all the while."""
    monkeypatch.setattr(store, "BUSY", timedelta(milliseconds=50))
    path = tmp_path / "ledger.sqlite3"
    with open_ledger(f"sqlite:///{path}", clock) as ledger:
        upgrade(ledger.engine)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(LedgerUnavailable), ledger.write():
            pass
        with pytest.raises(LedgerUnavailable):
            ledger.run(sessions.recent)
        assert look(ledger) == 0
        other.execute("ROLLBACK")
        other.close()

        submit(ledger, 1)
        assert look(ledger) == 1


def test_a_full_disk_is_told_as_that(tmp_path: Path, clock: FakeClock) -> None:
    """Nothing is half-written: what was there before can be read, and there is room again for what comes after."""
    with open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite3'}", clock) as ledger:
        upgrade(ledger.engine)
        submit(ledger, 1, name="before")

        def leave_room(pages_more: int) -> None:
            with ledger.write() as tx:
                pages = int(tx.connection.exec_driver_sql("PRAGMA page_count").scalar_one())
                tx.connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + pages_more}")

        leave_room(0)
        with pytest.raises(LedgerUnavailable, match="disk of its file is full"):
            submit(ledger, 1000, name="too-much")
        assert look(ledger) == 1
        leave_room(1000)

        submit(ledger, 1, name="after")
        assert look(ledger) == 2


def test_a_file_that_is_no_database_is_told_as_that(tmp_path: Path, clock: FakeClock) -> None:
    """Not as an error of ours."""
    path = tmp_path / "ledger.sqlite3"
    path.write_bytes(b"this is no database" * 100)

    with open_ledger(f"sqlite:///{path}", clock) as ledger:
        with pytest.raises(LedgerUnavailable, match="is not a database"):
            look(ledger)
        with pytest.raises(LedgerUnavailable, match="is not a database"), ledger.write():
            pass


def test_a_removed_file_is_noticed_by_whoever_has_it_open(tmp_path: Path, clock: FakeClock) -> None:
    """Nobody writes on into a file without a name, nobody makes an empty one, and the next real one is taken."""
    path = tmp_path / "ledger.sqlite3"
    with open_ledger(f"sqlite:///{path}", clock) as ledger:
        upgrade(ledger.engine)
        submit(ledger, 1, name="lost")

        path.unlink()
        for _ in range(2):
            with pytest.raises(LedgerUnavailable, match="not there"):
                look(ledger)
            with pytest.raises(LedgerUnavailable, match="not there"), ledger.write():
                pass
        assert not path.exists()

        upgrade(ledger.engine)

        assert look(ledger) == 0
        submit(ledger, 1, name="after")
        assert look(ledger) == 1
        assert path.stat().st_mode & 0o077 == 0


def test_a_writer_waits_for_another_one(tmp_path: Path, clock: FakeClock) -> None:
    """SQLite has one write lock: two writers take turns, and neither fails."""
    path = tmp_path / "ledger.sqlite3"
    with open_ledger(f"sqlite:///{path}", clock) as ledger:
        upgrade(ledger.engine)
        writers = [Thread(target=submit, args=(ledger, 1), kwargs={"name": f"n-{number}"}) for number in range(6)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(timeout=30)

        assert look(ledger) == 6
