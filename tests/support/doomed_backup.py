"""A backup in a process of its own that stands still before its last blocks, to be killed: `python -m ... FOLDER`."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from obstore.store import LocalStore

from support.block_devices import Content, FakeEbs, block
from support.data_jobs import Bench, volume
from support.repositories import FakeKeys, Watched

#: Blocks of the volume, and how many of them are read before it stands still: some packs, and a part of one.
BLOCKS, READ = 160, 140
WORKER = "i-doomed"


def bench(folder: Path) -> Bench:
    """Return the bench on the folder: the same one for whoever asks."""
    content: Content = {index: block("noise", index) for index in range(BLOCKS)}
    return Bench(
        objects=Watched(LocalStore(folder)),
        keys=FakeKeys(secret=bytes(32)),
        ebs=FakeEbs({"snap-1": content, "snap-2": dict(content)}),
        checkpoint=0.0,
    )


def main() -> None:
    """Back up and never end."""
    made = bench(Path(sys.argv[1]))
    made.worker = WORKER
    still = threading.Event()

    def stand_still(what: str, _snapshot: str, index: int) -> None:
        if what == "read" and index >= READ:
            still.wait()

    made.ebs.before = stand_still
    made.backup("rp-1", volume("snap-1"))


if __name__ == "__main__":
    main()
