"""Rows: indexing a tree of 200,000 files, and searching an index of a million rows.

`python -m benchmarks.data.index < WHAT` is the process that does it; it prints what that took without its own start.
Each turn says how many bytes of the repository a row took: 30 at most are to be reached.
"""

from __future__ import annotations

import json
import os
import random
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

from botocore.session import Session

from agent.jobs.context import JobContext
from agent.jobs.opening import repository_of
from agent.protocol import IndexJob, MountTarget, RepositoryRef, ResourceRef
from agent.repository.layout import Chain
from benchmarks.data.lab import ACCOUNT, REGION
from benchmarks.data.measuring import Run, measured
from benchmarks.data.row import Deed, Reach, Row, Turn

FILES = 200_000
ROWS = 1_000_000
_EACH = 200
_BATCH = 10_000
_FILE_SYSTEM = "fs-0123456789abcdef0"
_CHAIN = Chain(account=ACCOUNT, region=REGION, resource=_FILE_SYSTEM)
#: The latest time of a file: its nanoseconds are as different as real ones.
_NEWEST = 1_780_300_800 * 10**9
_YEARS = 10**17


def _name(chance: random.Random, number: int) -> str:
    kind = chance.choice(("report", "image", "invoice", "backup", "main", "test"))
    return f"{kind}-{number % _EACH:03d}-{chance.randrange(10**6):06d}.{chance.choice(('txt', 'jpg', 'pdf', 'py'))}"


def _folder(number: int) -> str:
    return f"project-{number // 8000:04d}/{('src', 'doc', 'build', 'data')[number // _EACH % 4]}/{number // _EACH:06d}"


def _plant(root: Path) -> None:
    """Make the tree: files that are nothing but a size and times."""
    chance = random.Random(1)
    for number in range(FILES):
        folder = root / _folder(number)
        if number % _EACH == 0:
            folder.mkdir(parents=True)
        place = folder / _name(chance, number)
        with place.open("wb") as file:
            file.truncate(int(chance.lognormvariate(9, 3)))
        moment = _NEWEST - chance.randrange(_YEARS)
        os.utime(place, ns=(moment, moment))


def _doing(what: str) -> Deed:
    def deed(turn: Turn) -> Run:
        root = turn.lab.folder / "file-systems" / _FILE_SYSTEM
        if what == "walk" and not root.exists():
            root.mkdir(parents=True)
            _plant(root)
        name = f"{turn.repository}-{what}"
        order = {"do": what, "repository": turn.lab.repository(name), "root": str(root.parent)}
        run = measured([sys.executable, "-m", "benchmarks.data.index"], turn.lab.environment, text=json.dumps(order))
        turn.lab.forget(name)
        said = json.loads(run.output)
        print(f"    {said['rows']} rows, {said['stored'] / said['rows']:.1f} bytes each, {said['found']} found")
        return Run(said["cpu"], said["wall"], run.memory)

    return deed


WALK = Row(
    name="index",
    what=f"walk and index of {FILES:,} files, without the start of the process",
    agent=_doing("walk"),
    reach=(Reach(None, "wall", FILES / 100_000), Reach(None, "memory", 512)),
    is_asked_for=True,
)
SEARCH = Row(
    name="search",
    what=f"search of a part of a name in an index of {ROWS:,} rows, the opening of the repository included",
    agent=_doing("search"),
    reach=(Reach(None, "wall", 1.0),),
    is_asked_for=True,
)


def _rows() -> Iterator[list[Any]]:
    chance, batch = random.Random(2), []
    for number in range(ROWS):
        moment = _NEWEST - chance.randrange(_YEARS)
        size = int(chance.lognormvariate(9, 3))
        changed = moment + chance.randrange(10**13)
        owner = 1000 + chance.randrange(3)
        batch.append(
            (f"/{_folder(number)}", _name(chance, number), stat.S_IFREG | 0o644, size, moment, changed, owner, 100)
        )
        if len(batch) == _BATCH:
            yield batch
            batch = []


def _made(repository: Any) -> int:
    """Write an index of a million rows; return the bytes of its parts."""
    from agent.index.head import IndexHead, write_head, write_part
    from agent.index.parts import Gatherer

    with tempfile.TemporaryDirectory() as scratch:
        gatherer = Gatherer(Path(scratch))
        made = (*(gatherer.add(batch) for batch in _rows()), gatherer.finish())
        parts = [write_part(repository, _CHAIN, one) for one in made if one is not None]
        gatherer.close()
    now = "2026-11-25T00:00:00.000Z"
    head = IndexHead(
        index="ix-bench", account=ACCOUNT, region=REGION, file_system=_FILE_SYSTEM, taken_at=now, finished_at=now,
        path="/", exclude_paths=(), recovery_point=None, install="bench", session="s-bench", writer="i-bench", fence=1,
        rows=ROWS, parts=tuple(parts),
    )  # fmt: skip
    write_head(repository, head)
    return sum(one.length for one in parts)


def main() -> None:
    """Do what standard input says."""
    from agent.index.head import read_head
    from agent.index.search import Wanted, opening, search
    from agent.jobs import efs_index

    order = json.load(sys.stdin)
    ref = RepositoryRef.from_dict(order["repository"])
    context = JobContext(
        session=Session(),
        worker_id="i-bench",
        stop=Event(),
        progress=lambda _done, _total: None,
        install="bench",
        for_session="s-bench",
        file_systems=Path(order["root"]),
    )
    stored = _made(repository_of(context, ref, create=True)) if order["do"] == "search" else 0
    wall, cpu = time.perf_counter(), time.process_time()
    if order["do"] == "search":
        repository = repository_of(context, ref, create=False)
        head = read_head(repository, _CHAIN, "ix-bench")
        found, rows = len(list(search(head, Wanted(pattern="*voice-1*7.pdf"), opening(repository)))), ROWS
    else:
        job = IndexJob(
            repository=ref,
            resource=ResourceRef(account=ACCOUNT, region=REGION, id=_FILE_SYSTEM),
            index="ix-bench",
            mount_targets=(MountTarget(id="fsmt-bench", address="127.0.0.1"),),
        )
        detail = efs_index.run(context, job).detail
        stored, found = detail["bytesStored"], detail["files"]
        rows = found + detail["directories"]
    took = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    print(json.dumps({"rows": rows, "stored": stored, "found": found, **took}))


if __name__ == "__main__":
    main()
