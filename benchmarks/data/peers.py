"""restic and borg: which versions there are, and how each is run on a turn's repository."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from benchmarks.data.measuring import Run, measured
from benchmarks.data.row import Contender, Turn

_PEERS = {"restic": ["restic", "version"], "borg": ["borg", "--version"]}
_PACKAGES = {"restic": "restic", "borg": "borgbackup"}


def contenders(*, only_agent: bool) -> list[Contender]:
    """Return who takes part; a peer that is missing is reported."""
    found = [
        Contender(name=f"agent {one}", kind="agent", version="this one", compression=one)
        for one in ("balanced", "size")
    ]
    if only_agent:
        return found
    for name, command in _PEERS.items():
        if shutil.which(command[0]) is None:
            print(f"{name} is missing: apt-get install {_PACKAGES[name]}")
            continue
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        kind = "restic" if name == "restic" else "borg"
        found.append(Contender(name=name, kind=kind, version=said[1]))
    return found


def restic(turn: Turn, *arguments: str) -> Run:
    """Run restic on the turn's repository, on the S3 server that the agent uses."""
    place = f"s3:http://127.0.0.1:{turn.lab.s3}/bench/{turn.repository}"
    return measured(["restic", "-q", "-r", place, *arguments], turn.lab.environment)


def borg(turn: Turn, command: str, *arguments: str, archive: str = "", folder: Path | None = None) -> Run:
    """Run a command of borg on the turn's repository, a folder beside those of the S3 server."""
    place = f"{turn.lab.folder / 's3' / 'bench' / turn.repository}{archive and f'::{archive}'}"
    options = ["--compression", "zstd,3", "--chunker-params", "fixed,524288"] if command == "create" else []
    whole = ["borg", command, *options, *arguments]
    # borg takes the archive first, then its paths.
    whole.insert(len(whole) - _paths(arguments), place)
    return measured(whole, turn.lab.environment, folder=folder or turn.lab.folder)


def _paths(arguments: tuple[str, ...]) -> int:
    """Return how many of the last arguments are paths."""
    return sum(not one.startswith("-") for one in arguments)


def volume(turn: Turn, snapshot: str) -> Path:
    """Put a snapshot's image where restic and borg expect to find the volume; return the place."""
    place = turn.scratch / "volume.img"
    shutil.copy(turn.lab.images / f"{snapshot}.img", place)
    return place
