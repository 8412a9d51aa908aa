"""Running a process and measuring what it took; running servers beside it."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Run:
    """What one process took: processor seconds, wall seconds, highest memory in MiB, and what it printed."""

    cpu: float
    wall: float
    memory: float
    output: str = ""

    def plus(self, other: Run) -> Run:
        """Return both together, one after the other."""
        return Run(
            self.cpu + other.cpu, self.wall + other.wall, max(self.memory, other.memory), self.output + other.output
        )


def measured(command: Sequence[str], environment: Mapping[str, str], *, text: str = "", folder: Path = ROOT) -> Run:
    """Run a process to its end. Raises `RuntimeError` with its error output when it fails."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(text.encode())
        given.seek(0)
        began = time.monotonic()
        process = subprocess.Popen(command, stdin=given, stdout=out, stderr=err, env=dict(environment), cwd=folder)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            raise RuntimeError(f"{command[0]} failed: {err.read().decode()[-2000:]}")
        return Run(used.ru_utime + used.ru_stime, wall, used.ru_maxrss / 1024, out.read().decode())


@contextmanager
def served(command: Sequence[str], environment: Mapping[str, str], port: int | None = None) -> Iterator[int]:
    """Run a server; yields its port, read from its first line unless it is given."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE if port is None else subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=dict(environment), cwd=ROOT, start_new_session=True,
    )  # fmt: skip
    try:
        if port is None:
            assert process.stdout is not None
            port = int(process.stdout.readline())
        end = time.monotonic() + 20
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if time.monotonic() > end:
                raise TimeoutError(f"{command[0]} does not listen")
            time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
