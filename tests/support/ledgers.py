"""Ledgers for tests: the same test on SQLite and on PostgreSQL, each with a migrated database of its own.

The databases are migrated once in a test run and copied for each test.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.clock import FakeClock
from support.postgres import Postgres, postgres

from orchestrator.ledger.migrate import upgrade
from orchestrator.ledger.store import Ledger, make_engine

KINDS = ("sqlite", "postgresql")

_TEMPLATE = "daywork_template"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Databases:
    """Makes databases on both servers; PostgreSQL is started when the first one on it is asked for."""

    directory: Path
    server: Callable[[], Postgres]

    @contextmanager
    def migrated(self, kind: str) -> Iterator[str]:
        """Make a database that has the newest schema; yields its URL and removes it afterwards."""
        if kind == "sqlite":
            yield f"sqlite:///{shutil.copy(self._sqlite_template(), self.directory / f'{next(_numbers)}.sqlite3')}"
            return
        name = f"daywork_{next(_numbers)}"
        server = self.server()
        server.run(f"CREATE DATABASE {name} TEMPLATE {self._postgresql_template(server)}")
        try:
            yield server.url(name)
        finally:
            server.run(f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def empty(self, kind: str) -> Iterator[str]:
        """Make a database without any table; yields its URL and removes it afterwards."""
        if kind == "sqlite":
            yield f"sqlite:///{self.directory / f'{next(_numbers)}.sqlite3'}"
            return
        name = f"daywork_{next(_numbers)}"
        server = self.server()
        server.run(f"CREATE DATABASE {name}")
        try:
            yield server.url(name)
        finally:
            server.run(f"DROP DATABASE {name} WITH (FORCE)")

    def _sqlite_template(self) -> Path:
        path = self.directory / f"{_TEMPLATE}.sqlite3"
        if not path.exists():
            _migrate(f"sqlite:///{path}")
        return path

    def _postgresql_template(self, server: Postgres) -> str:
        marker = self.directory / _TEMPLATE
        if not marker.exists():
            server.run(f"CREATE DATABASE {_TEMPLATE}")
            _migrate(server.url(_TEMPLATE))
            marker.touch()
        return _TEMPLATE


@contextmanager
def databases(directory: Path) -> Iterator[Databases]:
    """Yield the maker of databases; ends the PostgreSQL server, if there was need of one."""
    running: list[Postgres] = []
    opened = []

    def server() -> Postgres:
        if not running:
            opened.append(postgres())
            running.append(opened[0].__enter__())
        return running[0]

    try:
        yield Databases(directory=directory, server=server)
    finally:
        for one in opened:
            one.__exit__(None, None, None)


@contextmanager
def open_ledger(url: str, clock: FakeClock) -> Iterator[Ledger]:
    """Open a ledger and close it afterwards."""
    ledger = Ledger(make_engine(url), clock)
    try:
        yield ledger
    finally:
        ledger.close()


def _migrate(url: str) -> None:
    engine = make_engine(url)
    try:
        upgrade(engine)
    finally:
        engine.dispose()
