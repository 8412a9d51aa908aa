"""The ledger's engine and transactions.

SQLite: every write transaction begins as one (`BEGIN IMMEDIATE`), because a read that turns into a write fails at once
when somebody else has written meanwhile, whatever the time-out. The engine must be made after a fork.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, make_url

from orchestrator.errors import LedgerUnavailable
from orchestrator.ports import Clock

#: How long a writer waits for SQLite's one write lock before it gives up.
BUSY = timedelta(seconds=30)

_READ_ONLY = {"daywork_read_only": True}


@dataclass(frozen=True)
class Transaction:
    """A running transaction and the moment at which it began; every row it writes carries that moment."""

    connection: Connection
    now: datetime

    def execute(self, statement: sa.Executable, parameters: Any = None) -> sa.CursorResult[Any]:
        """Run a statement."""
        return self.connection.execute(statement, parameters)

    def row(self, statement: sa.Select[Any]) -> sa.Row[Any] | None:
        """Return the one row, or None."""
        return self.connection.execute(statement).one_or_none()

    def rows(self, statement: sa.Select[Any]) -> list[sa.Row[Any]]:
        """Return all rows."""
        return list(self.connection.execute(statement).all())


def make_engine(url: str) -> Engine:
    """Open the database. For SQLite the folder is made, and journal, lock and foreign keys are set as we need them."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return sa.create_engine(parsed, pool_pre_ping=True, pool_size=4, max_overflow=4)
    if parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(parsed, connect_args={"timeout": BUSY.total_seconds(), "isolation_level": None})

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        reading = connection.get_execution_options().get("daywork_read_only", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


class Ledger:
    """The database of record. Safe to use from many threads; made once in every process, after the fork."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        """Take an engine (see `make_engine`) and the clock that stamps every row."""
        self._engine = engine
        self._reader = engine.execution_options(**_READ_ONLY)
        self.clock = clock

    @property
    def engine(self) -> Engine:
        """The engine itself, for migrations."""
        return self._engine

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """A transaction that is committed at the end, or rolled back on any exception.

        Raises `LedgerUnavailable` when the database does not answer.
        """
        with _available(), self._engine.begin() as connection:
            yield Transaction(connection, self.clock.now())

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """A transaction that only reads. Raises `LedgerUnavailable`."""
        with _available(), self._reader.connect() as connection:
            yield Transaction(connection, self.clock.now())

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.DisconnectionError) as error:
        raise LedgerUnavailable(
            f"the ledger does not answer: {type(getattr(error, 'orig', None) or error).__name__}"
        ) from error
