"""Contenders that can be killed as a whole and started again with what is on their disk."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from support.postgres import Postgres, postgres
from support.servers import free_port, valkey

from benchmarks.dbos import Program, address
from benchmarks.peers.environments import python_of
from benchmarks.stage import ROOT, kill_group, stage_environment
from benchmarks.world import World
from orchestrator.errors import LedgerUnavailable
from orchestrator.ledger import sessions
from orchestrator.ledger.migrate import upgrade
from orchestrator.ledger.store import make_engine
from orchestrator.model.work import SESSION, WorkKey

#: Workflows that DBOS runs at once: as many as Daywork has pool children.
AT_ONCE = 4

#: How often the end of a session is looked for.
_LOOK = 0.05


class Mortal(Protocol):
    """A contender whose processes can all be killed at once."""

    def start(self) -> None:
        """Start every process, with whatever earlier ones have left."""

    def kill(self) -> None:
        """Kill every process with -9."""

    def begin(self, count: int) -> str:
        """Begin a session over `count` resources; returns its name."""

    def world(self, session: str) -> World:
        """Return the world in which a session's steps act."""

    def wait(self, session: str) -> None:
        """Wait for a session's end, in whatever life it began."""


@dataclass
class Ours:
    """Valkey, the ledger's database, a Celery worker, and beat."""

    directory: Path
    postgresql: Postgres | None
    pause: float
    environment: dict[str, str] = field(default_factory=dict)
    app: Any = None
    _running: ExitStack = field(default_factory=ExitStack)
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _port: int = field(default_factory=free_port)

    def start(self) -> None:
        """See `Mortal`."""
        if self.postgresql is not None:
            self.postgresql.start()
        _, server = self._running.enter_context(valkey(self.directory, self._port))
        self._processes = [server]
        self._spawn("worker", [sys.executable, "-m", "benchmarks.recovery_app"])
        self._spawn("beat", [sys.executable, "-m", "benchmarks.beat"])

    def _spawn(self, name: str, command: list[str]) -> None:
        with (self.directory / f"{name}.log").open("ab") as log:
            self._processes.append(
                subprocess.Popen(
                    command, cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True
                )
            )

    def kill(self) -> None:
        """See `Mortal`."""
        _, *celery = self._processes
        for one in celery:
            kill_group(one)
        self._running.close()
        if self.postgresql is not None:
            self.postgresql.kill()

    def begin(self, count: int) -> str:
        """See `Mortal`."""
        from support.plain import submit

        session = submit(self.app.services, count)
        self.world(session).make()
        self.app.services.dispatch.drive([WorkKey(session, SESSION)])
        return session

    def world(self, session: str) -> World:
        """See `Mortal`."""
        return World(self.directory / "worlds" / session)

    def wait(self, session: str) -> None:
        """See `Mortal`."""
        while not self._has_ended(session):
            time.sleep(_LOOK)

    def _has_ended(self, session: str) -> bool:
        try:
            with self.app.services.ledger.read() as tx:
                return sessions.get(tx, session).status.is_final
        except LedgerUnavailable:
            return False


@dataclass
class Dbos:
    """DBOS's one process, and its database."""

    directory: Path
    postgresql: Postgres | None
    pause: float
    python: Path
    url: str
    program: Program | None = None
    _begun: int = 0

    def start(self) -> None:
        """See `Mortal`."""
        if self.postgresql is not None:
            self.postgresql.start()
        self.program = Program(self.python, self.url, self.directory, concurrency=AT_ONCE)

    @property
    def running(self) -> Program:
        """The process that runs now."""
        if self.program is None:
            raise RuntimeError("DBOS is not running")
        return self.program

    def kill(self) -> None:
        """See `Mortal`."""
        self.running.kill()
        if self.postgresql is not None:
            self.postgresql.kill()

    def begin(self, count: int) -> str:
        """See `Mortal`."""
        self._begun += 1
        session = f"session-{self._begun}"
        self.world(session).make()
        self.running.begin(session, count, world=self.world(session).directory, pause=self.pause)
        return session

    def world(self, session: str) -> World:
        """See `Mortal`."""
        return World(self.directory / "worlds" / session)

    def wait(self, session: str) -> None:
        """See `Mortal`."""
        self.running.wait(session)


@contextmanager
def ours(directory: Path, pause: float, *, database: str) -> Iterator[Ours]:
    """Set Daywork up on `sqlite` or `postgresql`."""
    with ExitStack() as stack:
        postgresql = stack.enter_context(postgres({})) if database == "postgresql" else None
        url = f"sqlite:///{directory / 'ledger.sqlite3'}"
        if postgresql is not None:
            postgresql.run("CREATE DATABASE daywork")
            url = postgresql.url("daywork")
        engine = make_engine(url)
        upgrade(engine)
        engine.dispose()
        if postgresql is not None:
            postgresql.stop()
        made = Ours(directory, postgresql, pause)
        variables = {
            "DAYWORK_BROKER_URL": f"redis://127.0.0.1:{made._port}/0",  # noqa: SLF001 - of this module
            "DAYWORK_STATE_DIR": str(directory),
            "DAYWORK_DATABASE_URL": url,
            "DAYWORK_CONTROL_BUCKET": "none",
            "DAYWORK_REPORT_QUEUE": "none",
            "BENCH_WORLDS": str(directory / "worlds"),
            "BENCH_PAUSE": str(pause),
        }
        os.environ |= variables
        made.environment = stage_environment(variables)
        made.app = importlib.reload(importlib.import_module("benchmarks.recovery_app")).app
        stack.callback(made.app.close)
        stack.callback(made.app.services.ledger.close)
        made.start()
        stack.callback(made.kill)
        yield made


@contextmanager
def dbos(directory: Path, pause: float, *, database: str) -> Iterator[Dbos]:
    """Set DBOS up on `sqlite` or `postgresql`. Raises `PeerMissing`."""
    python = python_of("dbos")
    with ExitStack() as stack:
        postgresql = stack.enter_context(postgres({})) if database == "postgresql" else None
        url = address(directory, postgresql)
        if postgresql is not None:
            postgresql.stop()
        made = Dbos(directory, postgresql, pause, python, url)
        made.start()
        stack.callback(made.kill)
        yield made
