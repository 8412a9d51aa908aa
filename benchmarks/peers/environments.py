"""Making a peer's virtual environment, from its own hashed lock file, below `build/`."""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
_PLACE = ROOT / "build" / "peers"


class PeerMissing(Exception):
    """A peer could not be installed; the message says why. It is reported among the results, not passed over."""


def python_of(peer: str) -> Path:
    """Return the Python of a peer's environment, made now if it is not there. Raises `PeerMissing`."""
    lock = Path(__file__).with_name(f"{peer}.txt")
    place = _PLACE / peer
    made, python = place / "made.txt", place / "bin" / "python"
    if made.exists() and made.read_bytes() == lock.read_bytes():
        return python
    venv.create(place, clear=True, with_pip=True)
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", lock],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise PeerMissing(f"{peer} does not install: {lines[-1] if lines else f'pip ended with {done.returncode}'}")
    made.write_bytes(lock.read_bytes())
    return python
