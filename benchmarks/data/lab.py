"""What all contenders share: two images, an S3 server, a block server, and the agent on them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.data.measuring import ROOT, Run, free_port, measured, served
from benchmarks.image import BLOCK
from benchmarks.peers.environments import python_of

GIB = 1024**3
REGION = "us-east-1"
ACCOUNT = "111111111111"
INSTANCE = "i-1"
VOLUME = "vol-1"
_KEY, _SECRET = "bench-access-key", "bench-secret-access-key"


@dataclass(frozen=True, kw_only=True)
class Lab:
    """The folder, the servers, the images.

    `size` is that of the volume in bytes; `allocated` what of it is not zero, in GiB; `changed` in how many blocks
    `snap-1` differs from `snap-0`. `rate` is how many blocks a second the agent may ask for.
    """

    folder: Path
    size: int
    allocated: float
    changed: int
    rate: float
    s3: int
    environment: Mapping[str, str]

    @property
    def images(self) -> Path:
        """The folder of the images: `<snapshot>.img`. The block server writes there what is restored."""
        return self.folder / "images"

    def repository(self, name: str) -> dict[str, Any]:
        """Return a repository as jobs name it."""
        return {"url": f"s3://bench/{name}", "region": REGION, "kmsKey": "bench"}

    def agent(self, name: str, job: dict[str, Any]) -> Run:
        """Do one job of the agent; `Run.output` is its result as JSON. Raises `RuntimeError` when it fails."""
        order = json.dumps({"name": name, "job": job, "rate": self.rate})
        run = measured([sys.executable, "-m", "benchmarks.data.agent"], self.environment, text=order)
        if (outcome := json.loads(run.output)["outcome"]) != "success":
            raise RuntimeError(f"{name} ended as {outcome}: {run.output}")
        return run

    def stored(self, name: str) -> float:
        """Return how many MiB a repository takes."""
        folder = self.folder / "s3" / "bench" / name
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1024**2

    def forget(self, name: str) -> None:
        """Remove a repository."""
        shutil.rmtree(self.folder / "s3" / "bench" / name, ignore_errors=True)


@contextmanager
def laboratory(*, blocks: int, zero: float, rate: float) -> Iterator[Lab]:
    """Make the images and run the servers; everything is in memory and gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="daywork-bench-", dir="/dev/shm") as temporary:
        folder = Path(temporary)
        (folder / "images").mkdir()
        (folder / "s3" / "bench").mkdir(parents=True)
        # In a process of its own: the highest memory of a process begins with its parent's.
        making = [sys.executable, "-m", "benchmarks.image", str(folder / "images"), str(blocks), str(zero)]
        made = json.loads(subprocess.run(making, check=True, capture_output=True, cwd=ROOT).stdout)
        port = free_port()
        given = os.environ | {"NANIO_ACCESS_KEY": _KEY, "NANIO_SECRET_KEY": _SECRET}
        server = [
            str(python_of("nanio")), str(ROOT / "benchmarks" / "peers" / "nanio_program.py"), "serve",
            "--data-dir", str(folder / "s3"), "--host", "127.0.0.1", "--port", str(port), "--no-access-log",
            "--log-level", "error",
        ]  # fmt: skip
        block_server = [sys.executable, "-m", "benchmarks.block_server", str(folder / "images")]
        with served(server, given, port), served(block_server, os.environ) as block_port:
            yield Lab(
                folder=folder,
                size=blocks * BLOCK,
                allocated=made["allocated"] * BLOCK / GIB,
                changed=made["changed"],
                rate=rate,
                s3=port,
                environment=_environment(folder, port, block_port),
            )


def _environment(folder: Path, s3: int, blocks: int) -> dict[str, str]:
    base = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return base | {
        "AWS_ACCESS_KEY_ID": _KEY,
        "AWS_SECRET_ACCESS_KEY": _SECRET,
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{s3}",
        "AWS_ENDPOINT_URL_EBS": f"http://127.0.0.1:{blocks}",
        "AWS_ENDPOINT_URL_KMS": f"http://127.0.0.1:{blocks}",
        "AWS_EC2_METADATA_DISABLED": "true",
        "RESTIC_PASSWORD": "bench",
        "RESTIC_CACHE_DIR": str(folder / "restic-cache"),
        "BORG_PASSPHRASE": "bench",
        "BORG_BASE_DIR": str(folder / "borg"),
    }
