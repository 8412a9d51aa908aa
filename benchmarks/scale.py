"""A session of thousands of resources with simulated workers: a resource shall cost the same however many there are.

Everything between the request and the end is the product's own, in processes of its own: Celery worker and children,
beat with watch and reconcile, listener, Valkey, ledger. Simulated are the cloud, which says that every worker runs, and
the agents, one process for all, whose time does not count (`tests/support/simulated.py`). Three things are shown: what
a resource costs from its request to its end, what it costs while it waits, and what stands in the broker meanwhile.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil
import redis
from support.postgres import postgres
from support.servers import valkey

from benchmarks.contenders import variables_of
from benchmarks.stage import QUEUES, Stage, stage_environment
from orchestrator.ledger import glance, sessions
from orchestrator.ledger.migrate import upgrade
from orchestrator.ledger.store import make_engine
from orchestrator.model.status import ResourceStatus, SessionStatus
from orchestrator.model.work import SESSION, WorkKey
from orchestrator.records import session_record

#: How often an agent sends a heartbeat, in seconds: the product's default.
HEARTBEAT = 20
_LOOK = 0.5
_PATIENCE = 3600.0
_MIB = 1 << 20


@dataclass
class Broker:
    """What stood in the broker at most, looked at twice a second."""

    queued: int = 0
    unacknowledged: int = 0

    def look(self, client: redis.Redis) -> int:
        """Take one look; returns how many messages there are now."""
        queued = sum(int(client.llen(queue)) for queue in QUEUES.split(","))  # type: ignore[arg-type]
        held = int(client.hlen("unacked"))  # type: ignore[arg-type]
        self.queued, self.unacknowledged = max(self.queued, queued), max(self.unacknowledged, held)
        return queued + held


@dataclass(frozen=True)
class Phase:
    """A part of a session's life: how long it took, processor time of each process, and the broker's fullest moment."""

    seconds: float
    processor_seconds: dict[str, float]
    queued: int
    unacknowledged: int

    @property
    def total(self) -> float:
        """Processor time of all."""
        return sum(self.processor_seconds.values())


@dataclass(frozen=True)
class Run:
    """One session."""

    database: str
    resources: int
    begun: Phase
    waiting: Phase
    ended: Phase
    messages_while_waiting: int
    memory_mib: dict[str, float]
    record_seconds: float
    glance_seconds: float

    @property
    def each(self) -> float:
        """Processor time of a resource from its request to its end, without its waiting, in milliseconds."""
        return 1000 * (self.begun.total + self.ended.total) / self.resources


@dataclass
class Scene:
    """Everything that runs."""

    stage: Stage
    app: Any
    client: redis.Redis
    wire: redis.Redis
    processes: dict[str, int]
    broker: Broker = field(default_factory=Broker)

    def spent(self) -> dict[str, float]:
        """Return the processor time of each process so far, its children's included; `request` is this one's."""
        found = {"request": sum(os.times()[:2])}
        for name, pid in self.processes.items():
            family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            times = [one.cpu_times() for one in family]
            found[name] = sum(one.user + one.system for one in times)
            found[name] += sum(one.children_user + one.children_system for one in times)
        return found

    def memory(self) -> dict[str, float]:
        """Return the proportional memory of each process with its children, in MiB."""
        return {
            name: round(
                sum(
                    one.memory_full_info().pss
                    for one in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
                )
                / _MIB,
                1,
            )
            for name, pid in self.processes.items()
        }

    @contextmanager
    def watched(self) -> Iterator[Callable[[], Phase]]:
        """Measure what happens inside; the function returns it afterwards."""
        self.broker = Broker()
        before, began, over = self.spent(), time.perf_counter(), Event()

        def look() -> None:
            while not over.wait(_LOOK):
                self.broker.look(self.client)

        looking = Thread(target=look)
        looking.start()
        found: list[Phase] = []
        try:
            yield lambda: found[0]
        finally:
            over.set()
            looking.join()
            seconds = time.perf_counter() - began
            spent = {name: round(now - before[name], 2) for name, now in self.spent().items()}
            found.append(Phase(round(seconds, 1), spent, self.broker.queued, self.broker.unacknowledged))

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that takes minutes."""
        end = time.monotonic() + _PATIENCE
        while not condition():
            dead = [name for name, pid in self.processes.items() if not _is_alive(pid)]
            if dead:
                raise RuntimeError(f"{dead[0]} has died; its log stands in {self.stage.directory}")
            if time.monotonic() > end:
                raise TimeoutError("the session stands still")
            time.sleep(_LOOK)


def _is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@contextmanager
def scene(directory: Path, database: str) -> Iterator[Scene]:
    """Start everything."""
    with ExitStack() as stack:
        url, server = stack.enter_context(valkey(directory))
        processes = {"valkey": server.pid}
        address = f"sqlite:///{directory / 'ledger.sqlite3'}"
        if database == "postgresql":
            running = stack.enter_context(postgres({}))
            running.run("CREATE DATABASE daywork")
            address, processes["postgresql"] = running.url("daywork"), running.pid
        variables = variables_of(url, directory, address)
        os.environ |= variables
        engine = make_engine(address)
        upgrade(engine)
        engine.dispose()
        app = importlib.reload(importlib.import_module("support.simulated_app")).app
        stack.callback(app.close)
        stack.callback(app.services.ledger.close)
        stage = Stage(directory, stage_environment(variables))
        processes["Celery worker"] = stack.enter_context(stage.celery_worker("support.simulated_app:app")).pid
        programs = {
            "beat": ["benchmarks.beat"],
            "listener": ["support.simulated_listener"],
            "agents": ["support.simulated_agents", str(HEARTBEAT)],
        }
        for name, program in programs.items():
            processes[name] = stack.enter_context(stage.process([sys.executable, "-m", *program], name)).pid
        del processes["agents"]
        client, wire = redis.Redis.from_url(url), redis.Redis.from_url(f"{url.rsplit('/', 1)[0]}/1")
        stack.callback(client.close)
        stack.callback(wire.close)
        yield Scene(stage, app, client, wire, processes)


def measure(database: str, count: int, hold: float) -> Run:
    """Run one session: up to where all jobs run, `hold` seconds of heartbeats, and to the end."""
    from support.plain import submit
    from support.simulated import GO

    with tempfile.TemporaryDirectory(prefix="daywork-bench-") as folder, scene(Path(folder), database) as play:
        services = play.app.services

        def counts() -> dict[ResourceStatus, int]:
            with services.ledger.read() as tx:
                return sessions.statuses(tx, session)

        def status() -> SessionStatus:
            with services.ledger.read() as tx:
                return sessions.get(tx, session).status

        # Everybody has done everything once before it is measured.
        play.wire.set(GO, 1)
        session = submit(services, 8)
        services.dispatch.drive([WorkKey(session, SESSION)])
        play.wait_until(lambda: status().is_final)
        play.wire.delete(GO)
        with play.watched() as begun:
            session = submit(services, count)
            services.dispatch.drive([WorkKey(session, SESSION)])
            play.wait_until(
                lambda: counts().get(ResourceStatus.RUNNING, 0) == count and not play.broker.look(play.client)
            )
        left = 0
        with play.watched() as waiting:
            end = time.monotonic() + hold
            while time.monotonic() < end:
                time.sleep(_LOOK)
                # A message of watch or reconcile is there for a moment; one that stays would be a resource's.
                left = min(play.broker.look(play.client) for _ in range(20))
        memory = play.memory()
        with play.watched() as ended:
            play.wire.set(GO, 1)
            play.wait_until(lambda: status().is_final)
        if status() is not SessionStatus.SUCCESS:
            raise RuntimeError(f"the session ended {status()}")
        return Run(
            database=database,
            resources=count,
            begun=begun(),
            waiting=waiting(),
            ended=ended(),
            messages_while_waiting=left,
            memory_mib=memory,
            record_seconds=_timed(lambda: _record(services.ledger, session)),
            glance_seconds=_timed(lambda: _glance(services.ledger, session)),
        )


def _timed(deed: Callable[[], object]) -> float:
    began = time.process_time()
    deed()
    return round(time.process_time() - began, 3)


def _record(ledger: Any, session: str) -> str:
    with ledger.read() as tx:
        return json.dumps(session_record(tx, session))


def _glance(ledger: Any, session: str) -> object:
    with ledger.read() as tx:
        return glance.glance(tx, session, rows=40), glance.statuses(tx, session)


def table(runs: list[Run]) -> str:
    """Return a table in Markdown."""
    head = (
        "ledger", "resources", "request to all at work", "results to the end", "processor time of a resource",
        "of a heartbeat", "messages in the broker at most: queued, in hand", "messages while all wait",
        "memory while all wait", "session show", "live view",
    )  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for run in runs:
        beats = run.resources * run.waiting.seconds / HEARTBEAT
        memory = ", ".join(f"{name} {mib} MiB" for name, mib in run.memory_mib.items())
        cells = (
            run.database, run.resources, f"{run.begun.seconds} s", f"{run.ended.seconds} s", f"{run.each:.1f} ms",
            f"{1000 * run.waiting.total / beats:.2f} ms" if beats else "-",
            f"{max(run.begun.queued, run.ended.queued)}, {max(run.begun.unacknowledged, run.ended.unacknowledged)}",
            run.messages_while_waiting, memory, f"{run.record_seconds} s", f"{run.glance_seconds} s",
        )  # fmt: skip
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run what the command line asks for and print it; `--json` also keeps it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resources", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--databases", nargs="+", choices=["sqlite", "postgresql"], default=["sqlite", "postgresql"])
    parser.add_argument("--hold", type=float, default=60, help="how long all jobs run, in seconds")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    runs: list[Run] = []
    for database in given.databases:
        for count in given.resources:
            runs.append(measure(database, count, given.hold))
            print(json.dumps(asdict(runs[-1])), flush=True)
    print(table(runs))
    if given.json:
        given.json.write_text(json.dumps([asdict(run) for run in runs], indent=2) + "\n")


if __name__ == "__main__":
    main()
