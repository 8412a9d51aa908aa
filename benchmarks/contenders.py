"""Who is compared: raw Celery, and ours on SQLite and on PostgreSQL. Each brings one no-op session to its end."""

from __future__ import annotations

import gc
import importlib
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import redis
from support.postgres import postgres
from support.servers import valkey

from benchmarks.stage import Stage, stage_environment
from orchestrator.ledger import sessions
from orchestrator.ledger.migrate import upgrade
from orchestrator.ledger.store import make_engine
from orchestrator.model.status import SessionStatus
from orchestrator.model.work import SESSION, WorkKey

#: How often the end of a session is looked for: by this part of the time it has taken, so that looking costs nothing.
LOOK = 0.02


class Contender(Protocol):
    """One way to run sessions, with everything it needs running."""

    stage: Stage

    def run(self, count: int) -> float:
        """Run a session over `count` resources to its end; returns the seconds it took."""


@dataclass
class Raw:
    """Raw Celery."""

    stage: Stage
    app: Any
    broker: redis.Redis

    def run(self, count: int) -> float:
        """See `Contender`."""
        began = time.perf_counter()
        self.app.publish(f"s-{began}", count)
        if self.broker.blpop([self.app.DONE], timeout=600) is None:
            raise TimeoutError("raw Celery's chord did not call back")
        return time.perf_counter() - began


@dataclass
class Ours:
    """Daywork's orchestration with plain steps."""

    stage: Stage
    services: Any
    options: dict[str, Any]
    broker: str

    def run(self, count: int) -> float:
        """See `Contender`."""
        from support.plain import submit

        began = time.perf_counter()
        session = submit(self.services, count, **self.options)
        self.services.dispatch.drive([WorkKey(session, SESSION)])
        while not (status := self.status(session)).is_final:
            time.sleep(LOOK * max(time.perf_counter() - began, 0.5))
        if status is not SessionStatus.SUCCESS:
            raise RuntimeError(f"the session ended {status}")
        return time.perf_counter() - began

    def status(self, session: str) -> SessionStatus:
        """Return a session's status."""
        with self.services.ledger.read() as tx:
            return sessions.get(tx, session).status


def variables_of(url: str, directory: Path, database: str) -> dict[str, str]:
    """Return the settings that a contender of ours needs."""
    return {
        "DAYWORK_BROKER_URL": url,
        "DAYWORK_STATE_DIR": str(directory),
        "DAYWORK_DATABASE_URL": database,
        "DAYWORK_CONTROL_BUCKET": "none",
        "DAYWORK_REPORT_QUEUE": "none",
    }


@contextmanager
def raw(directory: Path) -> Iterator[Contender]:
    """Set raw Celery up."""
    with valkey(directory) as (url, server):
        variables = variables_of(url, directory, "")
        os.environ |= variables
        app = importlib.reload(importlib.import_module("benchmarks.raw_app"))
        stage = Stage(directory, stage_environment(variables), [server.pid])
        client = redis.Redis.from_url(url, socket_timeout=660)
        with stage.celery_worker("benchmarks.raw_app:app"):
            made = Raw(stage, app, client)
            made.run(8)
            yield made
            # Results of chords tell their server that nobody waits for them any more: as long as there is one.
            gc.collect()
        app.app.close()
        client.close()


@contextmanager
def ours(directory: Path, database: str, **options: Any) -> Iterator[Ours]:
    """Set Daywork up on `sqlite` or `postgresql`, the latter with all its guarantees to keep what it committed."""
    with ExitStack() as stack:
        url, server = stack.enter_context(valkey(directory))
        counted = [server.pid]
        address = f"sqlite:///{directory / 'ledger.sqlite3'}"
        if database == "postgresql":
            postgresql = stack.enter_context(postgres({}))
            postgresql.run("CREATE DATABASE daywork")
            address = postgresql.url("daywork")
            counted.append(postgresql.pid)
        variables = variables_of(url, directory, address)
        os.environ |= variables
        engine = make_engine(address)
        upgrade(engine)
        engine.dispose()
        module = importlib.reload(importlib.import_module("support.plain_app"))
        stack.callback(module.app.close)
        stage = Stage(directory, stage_environment(variables), counted)
        stack.enter_context(stage.celery_worker("support.plain_app:app"))
        made = Ours(stage, module.app.services, options, url)
        stack.callback(made.services.ledger.close)
        Ours(stage, module.app.services, {}, url).run(8)
        yield made
