"""Build agent.pyz, the one file that a worker downloads.

    python deploy/worker/build.py                          the agent alone: libraries come from the worker's image
    python deploy/worker/build.py --wheels DIRECTORY       libraries built in, unpacked by the agent when it starts
    python deploy/worker/build.py --download x86_64 3.11   the same, wheels fetched as requirements.lock says

Equal sources give equal bytes. Prints the file's path and SHA-256: the settings `agent_url` (where the file was put)
and `agent_sha256`.
"""

# ruff: noqa: INP001 - a script, not part of a package

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
AGENT: Final = HERE.parents[1] / "agent"
#: The earliest moment that a zip file can name.
_MOMENT: Final = (1980, 1, 1, 0, 0, 0)
_MODE: Final = 0o644 << 16
_SHEBANG: Final = b"#!/usr/bin/env python3\n"
#: glibc versions of the worker images we know (Amazon Linux 2023, Debian 12, Ubuntu 22.04) and the wheels that suit.
_GLIBC: Final = ("manylinux_2_34", "manylinux_2_31", "manylinux_2_28", "manylinux_2_17", "manylinux2014")


def contents(wheels: Path | None) -> Iterator[tuple[str, bytes]]:
    """Yield what goes into the archive, in order: name and bytes."""
    yield "__main__.py", (HERE / "launcher.py").read_bytes()
    for source in sorted(AGENT.rglob("*.py")):
        yield source.relative_to(AGENT.parent).as_posix(), source.read_bytes()
    for wheel in sorted(wheels.glob("*.whl")) if wheels is not None else ():
        yield f"wheels/{wheel.name}", wheel.read_bytes()


def build(output: Path, wheels: Path | None = None) -> str:
    """Write the archive; return its SHA-256 in hex. Nothing is compressed: what a zlib makes of it would differ."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("wb") as file:
        file.write(_SHEBANG)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, data in contents(wheels):
                entry = zipfile.ZipInfo(name, _MOMENT)
                entry.create_system = 3
                entry.external_attr = _MODE
                archive.writestr(entry, data)
    output.chmod(0o755)
    return hashlib.sha256(output.read_bytes()).hexdigest()


def download(machine: str, python: str, directory: Path) -> None:
    """Fetch the locked wheels for workers with this processor (`x86_64`, `aarch64`) and Python. Raises on failure."""
    platforms = [f"--platform={glibc}_{machine}" for glibc in _GLIBC]
    subprocess.run(
        [
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--only-binary=:all:",
            "--require-hashes", f"--requirement={HERE / 'requirements.lock'}", f"--dest={directory}",
            f"--python-version={python}", *platforms,
        ],
        check=True,
    )  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Build as asked."""
    parser = argparse.ArgumentParser(prog="build.py", description="Build agent.pyz, the one file a worker downloads.")
    parser.add_argument("--output", type=Path, default=AGENT.parent / "dist" / "agent.pyz", help="file to write")
    libraries = parser.add_mutually_exclusive_group()
    libraries.add_argument("--wheels", type=Path, help="directory of wheels to build in")
    libraries.add_argument(
        "--download", nargs=2, metavar=("MACHINE", "PYTHON"), help="fetch the locked wheels and build them in"
    )
    given = parser.parse_args(arguments)
    if given.wheels is not None and not any(given.wheels.glob("*.whl")):
        parser.error(f"--wheels {given.wheels}: there is no wheel; fetch them with --download or pip download")
    with tempfile.TemporaryDirectory() as fetched:
        wheels = given.wheels
        if given.download is not None:
            wheels = Path(fetched)
            download(*given.download, wheels)
        digest = build(given.output, wheels)
    sys.stdout.write(f"{given.output}\nsha256 {digest}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
