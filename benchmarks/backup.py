"""Full backup, incremental, restore and repository size, side by side with restic on the same S3 server.

    apt-get install restic
    python -m venv DIR && DIR/bin/pip install nanio
    python -m benchmarks.backup --s3-server DIR/bin/nanio

Figures are processor seconds (user and system, children included) per GiB that is not zero, wall seconds, and the
highest memory in use. The agent reads blocks over HTTP and verifies them; restic reads a file. restic compresses at its
default level, which is about zstd's 3: compare it with `size`. Runs alternate; the best of each is shown, since what
disturbs a run only ever adds to it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import image

ROOT = Path(__file__).parents[1]
GIB = 1024**3
_KEY, _SECRET = "bench-access-key", "bench-secret-access-key"


@dataclass
class Run:
    """What one process took: processor seconds, wall seconds, highest memory in MiB, and what it printed."""

    cpu: float
    wall: float
    memory: float
    output: str


def measured(command: Sequence[str], environment: Mapping[str, str], text: str = "") -> Run:
    """Run a process to its end. Raises `RuntimeError` with its error output when it fails."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(text.encode())
        given.seek(0)
        began = time.monotonic()
        process = subprocess.Popen(command, stdin=given, stdout=out, stderr=err, env=dict(environment), cwd=ROOT)
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


class Bench:
    """The folder, the servers and the contenders."""

    def __init__(self, folder: Path, s3: int, blocks: int) -> None:
        """Take where everything is and listens."""
        self.folder = folder
        self.data = folder / "s3" / "bench"
        self._s3 = s3
        base = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self._environment = base | {
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": _SECRET,
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{s3}",
            "AWS_ENDPOINT_URL_EBS": f"http://127.0.0.1:{blocks}",
            "AWS_ENDPOINT_URL_KMS": f"http://127.0.0.1:{blocks}",
            "AWS_EC2_METADATA_DISABLED": "true",
            "RESTIC_PASSWORD": "bench",
            "RESTIC_CACHE_DIR": str(folder / "cache"),
        }

    def _repository(self, name: str) -> dict[str, Any]:
        return {"url": f"s3://bench/{name}", "region": "us-east-1", "kmsKey": "bench"}

    def agent(self, name: str, job: dict[str, Any], rate: float) -> Run:
        """Do one job of the agent."""
        order = json.dumps({"name": name, "job": job, "rate": rate})
        return measured([sys.executable, "-m", "benchmarks.backup_agent"], self._environment, order)

    def backup(
        self, repository: str, point: str, snapshot: str, *, size: int, compression: str, rate: float, parent: str = ""
    ) -> Run:
        """Back up a snapshot with the agent; incrementally against `parent`, a point made of the snapshot `old`."""
        volume: dict[str, Any] = {"volumeId": "vol-1", "snapshotId": snapshot, "sizeBytes": size, "device": "/dev/xvda"}
        job: dict[str, Any] = {
            "repository": self._repository(repository),
            "data": {"region": "us-east-1"},
            "resource": {"account": "111111111111", "region": "us-east-1", "id": "i-1"},
            "restorePoint": point,
            "createdAt": "2026-11-25T00:00:00.000Z",
            "volumes": [volume],
            "compression": compression,
        }
        if parent:
            job["parent"] = parent
            volume["previousSnapshotId"] = "snap-0"
        return self.agent("ec2-backup", job, rate)

    def restore(self, repository: str, point: str, snapshot: str, *, size: int, rate: float) -> Run:
        """Restore a point with the agent."""
        job = {
            "repository": self._repository(repository),
            "data": {"region": "us-east-1"},
            "source": {"account": "111111111111", "region": "us-east-1", "id": "i-1"},
            "restorePoint": point,
            "volumes": [{"volumeId": "vol-1", "snapshotId": snapshot, "sizeBytes": size}],
        }
        return self.agent("ec2-restore-volume", job, rate)

    def restic(self, repository: str, *arguments: str) -> Run:
        """Run restic."""
        place = f"s3:http://127.0.0.1:{self._s3}/bench/{repository}"
        return measured(["restic", "-q", "-r", place, *arguments], self._environment)

    def stored(self, name: str) -> float:
        """Return how many MiB a repository takes."""
        return sum(path.stat().st_size for path in (self.data / name).rglob("*") if path.is_file()) / 1024**2


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--s3-server", required=True, help="the nanio program")
    parser.add_argument("--blocks", type=int, default=3072, help="512 KiB each (default: 1.5 GiB)")
    parser.add_argument("--zero", type=float, default=0.4, help="share of blocks that are zero")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rate", type=float, default=1000.0, help="blocks a second that the agent may ask for")
    parser.add_argument("--only-agent", action="store_true", help="for profiling")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="daywork-bench-", dir="/dev/shm") as made:
        _compare(Path(made), options)


def _compare(folder: Path, options: argparse.Namespace) -> None:
    images = folder / "images"
    images.mkdir()
    (folder / "s3" / "bench").mkdir(parents=True)
    first = images / "snap-0.img"
    noise = 0.2 if options.zero else 1 / 3
    allocated = image.make(first, options.blocks, zero=options.zero, noise=noise) * image.BLOCK / GIB
    shutil.copy(first, images / "snap-1.img")
    changed = image.change(images / "snap-1.img", 0.01)
    size = options.blocks * image.BLOCK
    print(f"image: {size / GIB:.2f} GiB, {allocated:.2f} GiB not zero; incremental: {changed} blocks changed")
    port = free_port()
    given = os.environ | {"NANIO_ACCESS_KEY": _KEY, "NANIO_SECRET_KEY": _SECRET}
    command = [
        options.s3_server, "serve", "--data-dir", str(folder / "s3"), "--host", "127.0.0.1", "--port", str(port),
        "--no-access-log", "--log-level", "error",
    ]  # fmt: skip
    blocks = [sys.executable, "-m", "benchmarks.block_server", str(images)]
    with served(command, given, port), served(blocks, os.environ) as block_port:
        bench = Bench(folder, port, block_port)
        table: dict[str, list[Run]] = {}
        sizes: dict[str, float] = {}
        for number in range(options.runs):
            _round(bench, number, table, sizes, size=size, options=options)
    _show(table, sizes, allocated)


def _round(
    bench: Bench,
    number: int,
    table: dict[str, list[Run]],
    sizes: dict[str, float],
    *,
    size: int,
    options: argparse.Namespace,
) -> None:
    def note(name: str, run: Run) -> None:
        table.setdefault(name, []).append(run)
        print(f"  {name:28} cpu {run.cpu:6.2f}  wall {run.wall:6.2f}  {run.memory:5.0f} MiB", flush=True)

    for compression in ("balanced", "size"):
        name = f"agent-{compression}-{number}"
        title = f"agent {compression}"
        note(
            f"{title} full", bench.backup(name, "rp-0", "snap-0", size=size, compression=compression, rate=options.rate)
        )
        sizes[title] = bench.stored(name)
        note(
            f"{title} incremental",
            bench.backup(name, "rp-1", "snap-1", size=size, compression=compression, rate=options.rate, parent="rp-0"),
        )
        sizes[f"{title} growth"] = bench.stored(name) - sizes[title]
        target = bench.folder / "images" / f"snap-{compression}-{number}.img"
        with target.open("wb") as file:
            file.truncate(size)
        note(f"{title} restore", bench.restore(name, "rp-1", target.stem, size=size, rate=options.rate))
        subprocess.run(["cmp", target, bench.folder / "images" / "snap-1.img"], check=True)
        target.unlink()
        shutil.rmtree(bench.data / name)
    if options.only_agent:
        return
    name = f"restic-{number}"
    volume = bench.folder / "volume.img"
    bench.restic(name, "init")
    shutil.copy(bench.folder / "images" / "snap-0.img", volume)
    note("restic full", bench.restic(name, "backup", str(volume)))
    sizes["restic"] = bench.stored(name)
    shutil.copy(bench.folder / "images" / "snap-1.img", volume)
    note("restic incremental", bench.restic(name, "backup", str(volume)))
    sizes["restic growth"] = bench.stored(name) - sizes["restic"]
    target = bench.folder / "restored"
    note("restic restore", bench.restic(name, "restore", "latest", "--target", str(target)))
    shutil.rmtree(target)
    shutil.rmtree(bench.data / name)


def _show(table: Mapping[str, Sequence[Run]], sizes: Mapping[str, float], allocated: float) -> None:
    print()
    best = {name: (min(run.cpu for run in runs), min(run.wall for run in runs)) for name, runs in table.items()}
    for name, runs in table.items():
        cpu, wall = best[name]
        peer = best.get(f"restic {name.rpartition(' ')[2]}")
        ratio = f"  {cpu / peer[0]:.2f} x restic's cpu, {wall / peer[1]:.2f} x its wall" if peer else ""
        memory = max(run.memory for run in runs)
        print(f"{name:28} {cpu / allocated:6.2f} cpu-s/GiB  wall {wall:6.2f} s  {memory:5.0f} MiB{ratio}")
    for name, size in sizes.items():
        print(f"{name:28} {size:7.1f} MiB in the repository")


if __name__ == "__main__":
    main()
