"""Disk images to back up: part zero, part random, part what an operating system is made of (text and programs).

python -m benchmarks.image FOLDER BLOCKS ZERO     makes snap-0.img and, 1 % of its blocks changed, snap-1.img
"""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

BLOCK = 512 * 1024


def _system_files() -> Iterator[bytes]:
    """Yield the content of text and program files of this system, again from the start when they end."""
    places = [Path(sys.prefix) / "lib", Path("/usr/share"), Path("/usr/lib"), Path(sys.base_prefix) / "lib"]
    kinds = {".py", ".txt", ".so", ".pyi", ".json", ".html", ".h", ".c", ".a", ".pyc", ".md"}
    while True:
        for place in places:
            for path in sorted(place.rglob("*")):
                if path.suffix in kinds and path.is_file() and not path.is_symlink():
                    yield path.read_bytes()


def _blocks_of(files: Iterator[bytes], seed: random.Random) -> Iterator[bytes]:
    gathered = bytearray()
    for content in files:
        gathered += content
        while len(gathered) >= BLOCK:
            # A number of its own in each block: when the files come round again they are no duplicates.
            yield bytes(gathered[: BLOCK - 16]) + seed.randbytes(16)
            del gathered[: BLOCK - 16]


def make(path: Path, blocks: int, *, zero: float = 0.4, noise: float = 0.2) -> int:
    """Write an image of so many blocks, sparse where it is zero; return how many blocks are not zero."""
    seed = random.Random(20261125)
    text = _blocks_of(_system_files(), seed)
    count = 0
    with path.open("wb") as image:
        image.truncate(blocks * BLOCK)
        for index in range(blocks):
            kind = seed.random()
            if kind < zero:
                continue
            count += 1
            image.seek(index * BLOCK)
            image.write(seed.randbytes(BLOCK) if kind < zero + noise else next(text))
    return count


def change(path: Path, share: float) -> int:
    """Change 64 KiB in some of the image's blocks; return in how many."""
    seed = random.Random(7)
    with path.open("r+b") as image:
        blocks = path.stat().st_size // BLOCK
        chosen = seed.sample(range(blocks), max(1, round(blocks * share)))
        for index in chosen:
            image.seek(index * BLOCK + seed.randrange(7) * 65536)
            image.write(seed.randbytes(65536))
    return len(chosen)


def main() -> None:
    """Make both images; print how many blocks are not zero, and in how many they differ."""
    folder, blocks, zero = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    first, second = folder / "snap-0.img", folder / "snap-1.img"
    allocated = make(first, blocks, zero=zero, noise=0.2 if zero else 1 / 3)
    shutil.copy(first, second)
    print(json.dumps({"allocated": allocated, "changed": change(second, 0.01)}))


if __name__ == "__main__":
    main()
