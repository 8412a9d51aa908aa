"""What every contender stands on: a fresh Valkey, Celery workers, and the processor time of all that runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
QUEUES = "daywork.steps,daywork.control,daywork.periodic"


@dataclass
class Stage:
    """A folder, an environment for child processes, and the processes whose time counts."""

    directory: Path
    environment: dict[str, str]
    counted: list[int] = field(default_factory=list)

    @contextmanager
    def celery_worker(self, application: str, children: int = 2) -> Iterator[subprocess.Popen[bytes]]:
        """Run a Celery worker as the product does; killed with its children at the end."""
        command = [
            sys.executable, "-m", "celery", "-A", application, "worker", "-c", str(children), "-E", "-l", "WARNING",
            "--without-gossip", "--without-mingle", "-Q", QUEUES, "-n", f"bench-{len(self.counted)}@%h",
        ]  # fmt: skip
        with self.process(command, "worker") as running:
            yield running

    @contextmanager
    def process(self, command: Sequence[str], name: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a process of its own group; killed with its children at the end."""
        with (self.directory / f"{name}.log").open("ab") as log:
            running = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        self.counted.append(running.pid)
        try:
            yield running
        finally:
            kill_group(running)
            self.counted.remove(running.pid)

    def processor_seconds(self) -> float:
        """Return the processor time so far of the counted processes with their children, and of this one."""
        total = sum(os.times()[:2])
        for pid in self.counted:
            try:
                parent = psutil.Process(pid)
                family = [parent, *parent.children(recursive=True)]
            except psutil.NoSuchProcess:
                continue
            for one in family:
                try:
                    spent = one.cpu_times()
                except psutil.NoSuchProcess:
                    continue
                total += spent.user + spent.system
        return total

    def memory_bytes(self) -> int:
        """Return the proportional memory of the counted Celery processes."""
        total = 0
        for pid in self.counted:
            parent = psutil.Process(pid)
            total += sum(one.memory_full_info().pss for one in [parent, *parent.children(recursive=True)])
        return total


def kill_group(running: subprocess.Popen[bytes]) -> None:
    """End a process and all of its group at once."""
    if running.poll() is None:
        os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def stage_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a contender's processes."""
    return {**os.environ, **variables, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}
