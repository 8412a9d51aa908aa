"""Ledgers for tests: the same test on SQLite and on PostgreSQL, each with a migrated database of its own.

The databases are migrated once in a test run and copied for each test.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.ledger import sessions, settling, work
from orchestrator.ledger.migrate import upgrade
from orchestrator.ledger.store import Ledger, make_engine
from orchestrator.model.request import SessionRequest
from orchestrator.model.status import DeploymentMode, Step
from orchestrator.model.work import SESSION, Claim, Done, Outcome, WorkKey
from support.clock import FakeClock
from support.postgres import Postgres, postgres

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
        with self._made(self._postgresql_template(self.server())) as url:
            yield url

    @contextmanager
    def empty(self, kind: str) -> Iterator[str]:
        """Make a database without any table; yields its URL and removes it afterwards."""
        if kind == "sqlite":
            yield f"sqlite:///{self.directory / f'{next(_numbers)}.sqlite3'}"
            return
        with self._made("template1") as url:
            yield url

    @contextmanager
    def _made(self, template: str) -> Iterator[str]:
        name = f"daywork_{next(_numbers)}"
        server = self.server()
        server.run(f"CREATE DATABASE {name} TEMPLATE {template}")
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
    with ExitStack() as stack:

        def server() -> Postgres:
            if not running:
                running.append(stack.enter_context(postgres()))
            return running[0]

        yield Databases(directory=directory, server=server)


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


def request_of(count: int, *, name: str = "nightly", **more: Any) -> SessionRequest:
    """Return a request for a backup of `count` instances."""
    document = {
        "source": "tests",
        "id": name,
        "operation": "ec2-backup",
        "resources": [
            {"account": "1" * 12, "region": "eu-west-1", "id": f"i-{number:017x}"} for number in range(count)
        ],
        **more,
    }
    return SessionRequest.model_validate(document)


def submit(ledger: Ledger, count: int, *, name: str = "nightly", **more: Any) -> str:
    """Put a session over `count` resources into the ledger; returns its id."""
    request = request_of(count, name=name, **more)
    wanted = [sessions.Wanted(account=one.account, region=one.region, resource_id=one.id) for one in request.resources]
    with ledger.write() as tx:
        session, _ = sessions.submit(tx, request, mode=DeploymentMode.BACKUP, resources=wanted)
    return session


def under_way(ledger: Ledger, count: int, *, name: str = "nightly") -> str:
    """Put a session into the ledger whose start is done: each of its resources stands at its first step."""
    session = submit(ledger, count, name=name)
    key = WorkKey(session, SESSION)
    with ledger.write() as tx:
        held = work.claim(tx, key, Step.START, 1)
        assert isinstance(held, Claim)
        work.enrol(tx, session, range(count), Step.ASSUME_ROLE)
        settling.settle(tx, held, Done())
    return session


def claimed(ledger: Ledger, key: WorkKey, step: Step = Step.ASSUME_ROLE, attempt: int = 1) -> Claim:
    """Claim a step that is free."""
    with ledger.write() as tx:
        held = work.claim(tx, key, step, attempt)
    assert isinstance(held, Claim), held
    return held


def settled(ledger: Ledger, held: Claim, outcome: Outcome) -> work.Settled:
    """Settle a claim."""
    with ledger.write() as tx:
        return settling.settle(tx, held, outcome)
