"""The ledger's engine and transactions.

SQLite: every write transaction begins as one (`BEGIN IMMEDIATE`), because a read that turns into a write fails at once
when somebody else has written meanwhile, whatever the time-out. The engine must be made after a fork. Opening never
makes a file (`migrate` does), and a file that was removed or replaced is noticed: without that, whoever has it open
would go on writing into nothing, and everybody else would find an empty ledger.

PostgreSQL: transactions see what others have committed (`READ COMMITTED`), so what is read in order to be written is
read with its rows locked, or written by one conditional update. Two transactions that lock in different orders stop
each other, so all of them keep one order: rows of `work` first, by session and ordinal, then everything else.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine, make_url

from orchestrator import retry
from orchestrator.errors import LedgerContended, LedgerUnavailable
from orchestrator.ledger import troubles
from orchestrator.ledger.holders import Holder
from orchestrator.ports import Clock

#: How long a writer waits for SQLite's one write lock before it gives up.
BUSY = timedelta(seconds=30)

#: How long PostgreSQL may take to accept a connection, to give a row lock and to answer a statement.
CONNECT = timedelta(seconds=5)
LOCK = timedelta(seconds=10)
STATEMENT = timedelta(seconds=30)

#: A connection that was idle for longer is tried before it is used: a restart of the database costs nobody an error.
IDLE = timedelta(seconds=2)

T = TypeVar("T")

_READ_ONLY = {"daywork_read_only": True}
_SINGLE = {"daywork_single": True}
_MOMENT = {"daywork_moment": True}

#: PostgreSQL's words for "rolled back for the sake of another transaction": deadlock, serialization, lock time-out.
_CONTENDED = frozenset({"40001", "40P01", "55P03"})

#: A machine that vanishes while it holds row locks must not hold them for hours.
_SESSION = {
    "statement_timeout": int(STATEMENT.total_seconds() * 1000),
    "lock_timeout": int(LOCK.total_seconds() * 1000),
    "idle_in_transaction_session_timeout": 60_000,
    "tcp_keepalives_idle": 10,
    "tcp_keepalives_interval": 5,
    "tcp_keepalives_count": 3,
}


#: Nor may a server that vanishes without closing its connections be waited for.
_TCP = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": int(STATEMENT.total_seconds() * 1000),
}


@dataclass(frozen=True)
class Transaction:
    """A running transaction and the moment at which it began; every row it writes carries that moment."""

    connection: Connection
    now: datetime

    def execute(self, statement: sa.Executable, parameters: Any = None) -> sa.CursorResult[Any]:
        """Run a statement."""
        return self.connection.execute(statement, parameters)

    def row(self, statement: sa.Executable, parameters: Any = None) -> sa.Row[Any] | None:
        """Return the one row, or None."""
        return self.connection.execute(statement, parameters).one_or_none()

    def rows(self, statement: sa.Executable, parameters: Any = None) -> list[sa.Row[Any]]:
        """Return all rows."""
        return list(self.connection.execute(statement, parameters).all())

    def insert_missing(self, table: sa.Table, rows: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> bool:
        """Insert rows; those whose key is there already stay as they are. Returns whether any was inserted.

        Two transactions that insert the same key wait for each other and neither fails.
        """
        if not rows:
            return False
        return self.connection.execute(_insert_missing(self.connection.dialect.name, table), rows).rowcount > 0

    def put(self, table: sa.Table, row: Mapping[str, Any], *, update: Sequence[str]) -> None:
        """Insert a row, or set the columns `update` of the one that has its primary key."""
        self.connection.execute(_put(self.connection.dialect.name, table, tuple(update)), row)


@cache
def _insert_missing(dialect: str, table: sa.Table) -> sa.Executable:
    if dialect == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing().execution_options(preserve_rowcount=True)
    return sqlite.insert(table).on_conflict_do_nothing().execution_options(preserve_rowcount=True)


@cache
def _put(dialect: str, table: sa.Table, update: tuple[str, ...]) -> sa.Executable:
    insert = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    return insert.on_conflict_do_update(
        index_elements=list(table.primary_key.columns), set_={name: insert.excluded[name] for name in update}
    )


def make_engine(url: str) -> Engine:
    """Open the database. For SQLite, journal, lock and foreign keys are set as we need them."""
    parsed = make_url(url)
    return _sqlite(parsed) if parsed.get_backend_name() == "sqlite" else _postgresql(parsed)


def file_of(engine: Engine) -> Path | None:
    """Return the file of a SQLite database, or None for any other."""
    url = engine.url
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    return Path(url.database)


def _sqlite(url: sa.URL) -> Engine:
    path = None if not url.database or url.database == ":memory:" else Path(url.database).absolute()

    def connect() -> sqlite3.Connection:
        # `mode=rw` opens what is there and makes nothing
        place = ":memory:" if path is None else f"{path.as_uri()}?mode=rw"
        return sqlite3.connect(
            place, uri=path is not None, timeout=BUSY.total_seconds(), isolation_level=None, check_same_thread=False
        )

    engine = sa.create_engine(url, creator=connect)

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, record: Any) -> None:
        record.info["file"] = _identity(path)
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "checkout")
    def _on_checkout(_connection: Any, record: Any, _proxy: Any) -> None:
        if record.info["file"] != _identity(path):
            raise sa.exc.InvalidatePoolError

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if not options.get("daywork_single", False):
            connection.exec_driver_sql("BEGIN" if options.get("daywork_read_only", False) else "BEGIN IMMEDIATE")

    return engine


def _identity(path: Path | None) -> tuple[int, int] | None:
    """Return what tells a file from another one of the same name; None when there is none."""
    if path is None:
        return None
    try:
        found = os.stat(path)  # noqa: PTH116 - asked for at every use: a Path would cost more than the answer
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _postgresql(url: sa.URL) -> Engine:
    engine = sa.create_engine(
        url,
        pool_size=4,
        max_overflow=4,
        pool_timeout=CONNECT.total_seconds(),
        connect_args={"connect_timeout": int(CONNECT.total_seconds()), **_TCP},
    )

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        # Transactions are begun by hand below: what is one statement then costs one round trip.
        connection.autocommit = True
        with connection.cursor() as cursor:
            for name, value in _SESSION.items():
                cursor.execute(f"SET {name} = {value}")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        # Statements that only read see what is committed when each of them begins, in a transaction or not.
        options = connection.get_execution_options()
        if options.get("daywork_moment", False):
            connection.exec_driver_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        elif not options.get("daywork_single", False) and not options.get("daywork_read_only", False):
            connection.exec_driver_sql("BEGIN")

    @event.listens_for(engine, "checkin")
    def _on_checkin(_connection: Any, record: Any) -> None:
        record.info["used"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _on_checkout(connection: Any, record: Any, _proxy: Any) -> None:
        used = record.info.get("used")
        if used is None or time.monotonic() - used < IDLE.total_seconds():
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise sa.exc.InvalidatePoolError from error

    return engine


class Ledger:
    """The database of record. Safe to use from many threads; made once in every process, after the fork."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        """Take an engine (see `make_engine`) and the clock that stamps every row."""
        self._engine = engine
        self._reader = engine.execution_options(**_READ_ONLY)
        self._single = engine.execution_options(**_SINGLE)
        self.clock = clock
        #: As whom this process claims work; set by whoever runs steps.
        self.holder: Holder | None = None

    @property
    def engine(self) -> Engine:
        """The engine itself, for migrations."""
        return self._engine

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """A transaction that is committed at the end, or rolled back on any exception.

        Raises `LedgerUnavailable` when the database does not answer, `LedgerContended` when it was rolled back for the
        sake of another transaction.
        """
        with _available(), self._engine.begin() as connection:
            yield Transaction(connection, self.clock.now())

    @contextmanager
    def single(self) -> Iterator[Transaction]:
        """Statements that are each a transaction of its own: the cheapest way to make one change that stands alone."""
        with _available(), self._single.connect() as connection:
            yield Transaction(connection, self.clock.now())

    def run(self, work: Callable[[Transaction], T], *, single: bool = False) -> T:
        """Call `work` with a write transaction (see also `single`) and return what it returns.

        A transaction that gave way to another one, or whose connection broke, is repeated: `work` must bear that, also
        when the first one was committed and only the answer was lost. Raises `LedgerUnavailable`.
        """
        tries = 1
        while True:
            try:
                with self.single() if single else self.write() as tx:
                    return work(tx)
            except LedgerContended:
                if retry.CONTENDED.is_over(tries):
                    raise
                time.sleep(retry.CONTENDED.delay(tries).total_seconds())
            tries += 1

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """A transaction that only reads. Raises `LedgerUnavailable`."""
        with _available(), self._reader.connect() as connection:
            yield Transaction(connection, self.clock.now())

    @contextmanager
    def snapshot(self) -> Iterator[Transaction]:
        """A transaction that reads one moment, however long it reads. Raises `LedgerUnavailable`."""
        # A read transaction of SQLite always is one.
        options = _MOMENT if self._engine.dialect.name == "postgresql" else {}
        with _available(), self._reader.execution_options(**options).connect() as connection:
            yield Transaction(connection, self.clock.now())

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except sa.exc.TimeoutError as error:
        raise LedgerUnavailable("the ledger does not answer: no connection was free in time") from error
    except sa.exc.DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) in _CONTENDED:
            raise LedgerContended("the ledger rolled a transaction back for the sake of another one") from error
        if error.connection_invalidated:
            raise LedgerContended("the connection to the ledger broke") from error
        if isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError) or troubles.is_broken(error.orig):
            raise LedgerUnavailable(f"the ledger does not answer: {troubles.words(error.orig)}") from error
        raise
    except sa.exc.DisconnectionError as error:
        raise LedgerUnavailable("the ledger does not answer: it closed the connection") from error
