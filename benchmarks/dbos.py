"""DBOS as a contender: its program in its own environment, spoken to in lines."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from support.postgres import Postgres, postgres

from benchmarks.peers.environments import python_of
from benchmarks.stage import ROOT, Stage, kill_group, stage_environment

#: Workflows that one process of DBOS runs at once, and how often it looks for more: its best settings of those tried.
CONCURRENCY: Final = 32
POLL: Final = 0.05


class Program:
    """One running process of `benchmarks.peers.dbos_program`."""

    def __init__(self, python: Path, url: str, directory: Path, *, concurrency: int = CONCURRENCY) -> None:
        """Start it and wait until it is ready. `url` names its database."""
        with (directory / "dbos.log").open("ab") as log:
            self.process = subprocess.Popen(
                [python, "-m", "benchmarks.peers.dbos_program", url, str(concurrency), str(POLL)],
                cwd=ROOT,
                env=stage_environment({}),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self._expect("ready")

    def begin(self, session: str, count: int, *, world: Path | None = None, pause: float = 0.0) -> None:
        """Begin a session over `count` resources."""
        place = None if world is None else str(world)
        self._say({"run": session, "count": count, "world": place, "pause": pause})
        self._expect("started")

    def wait(self, session: str) -> None:
        """Wait for a session's end."""
        self._say({"wait": session})
        self._expect("ended")

    def kill(self) -> None:
        """Kill it with -9."""
        kill_group(self.process)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def _say(self, order: dict[str, Any]) -> None:
        if self.process.stdin is None:
            raise RuntimeError("DBOS was started without a pipe to it")
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def _expect(self, word: str) -> None:
        line = self.process.stdout.readline() if self.process.stdout is not None else ""
        if word not in (json.loads(line) if line else {}):
            raise RuntimeError(f"DBOS did not say {word!r}; its log is dbos.log")


def address(directory: Path, server: Postgres | None) -> str:
    """Return the URL of DBOS's database: SQLite in `directory`, or a new one on a server."""
    if server is None:
        return f"sqlite:///{directory / 'dbos.sqlite'}"
    server.run("CREATE DATABASE bench")
    return server.url("bench")


@dataclass
class Dbos:
    """DBOS with no-op steps."""

    stage: Stage
    program: Program
    _begun: int = 0

    def run(self, count: int) -> float:
        """See `benchmarks.contenders.Contender`."""
        self._begun += 1
        session = f"session-{self._begun}"
        began = time.perf_counter()
        self.program.begin(session, count)
        self.program.wait(session)
        return time.perf_counter() - began


@contextmanager
def dbos(directory: Path, database: str) -> Iterator[Dbos]:
    """Set DBOS up on `sqlite` or `postgresql`, the latter with all its guarantees. Raises `PeerMissing`."""
    python = python_of("dbos")
    with ExitStack() as stack:
        server = stack.enter_context(postgres({})) if database == "postgresql" else None
        program = Program(python, address(directory, server), directory)
        stack.callback(program.kill)
        counted = [program.process.pid, *([server.pid] if server is not None else [])]
        made = Dbos(Stage(directory, stage_environment({}), counted), program)
        made.run(8)
        yield made
