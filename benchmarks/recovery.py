"""Recovery side by side: everything is killed in mid-session and started again.

Each contender runs a session undisturbed, then another one. When half of its steps have ended, all of its processes are
killed with -9 at once, servers too, and started again. Told is when the first step ends after the restart; the time
from the restart to the session's end, minus what the rest would have taken undisturbed; and what the steps' traces say:
resources lost, machines leaked, steps done twice.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from benchmarks.mortals import Mortal, dbos, ours
from benchmarks.peers.environments import PeerMissing
from benchmarks.world import STEPS, Found

#: How often the progress of a session is looked at.
_LOOK = 0.01

Setup = Callable[[Path, float], AbstractContextManager[Mortal]]

CONTENDERS: dict[str, Setup] = {
    "Daywork on SQLite": partial(ours, database="sqlite"),
    "Daywork on PostgreSQL": partial(ours, database="postgresql"),
    "DBOS on SQLite": partial(dbos, database="sqlite"),
    "DBOS on PostgreSQL": partial(dbos, database="postgresql"),
}


@dataclass(frozen=True)
class Recovery:
    """One killing; times in seconds."""

    contender: str
    resources: int
    undisturbed: float
    killed_after_steps: int
    first_step_after_restart: float
    ended_after_restart: float
    recovery: float
    found: Found


def measure(name: str, count: int, pause: float) -> Recovery:
    """Run, kill and restart one contender."""
    with (
        tempfile.TemporaryDirectory(prefix="daywork-bench-") as folder,
        CONTENDERS[name](Path(folder), pause) as mortal,
    ):
        mortal.wait(mortal.begin(4))
        began = time.perf_counter()
        mortal.wait(mortal.begin(count))
        undisturbed = time.perf_counter() - began
        session = mortal.begin(count)
        world = mortal.world(session)
        while (done := world.progress()) < count * len(STEPS) // 2:
            time.sleep(_LOOK)
        mortal.kill()
        done = world.progress()
        restarted, began = time.time(), time.perf_counter()
        mortal.start()
        mortal.wait(session)
        ended = time.perf_counter() - began
        rest = undisturbed * (1 - done / (count * len(STEPS)))
        return Recovery(
            contender=name,
            resources=count,
            undisturbed=round(undisturbed, 2),
            killed_after_steps=done,
            first_step_after_restart=round(world.ends()[done] - restarted, 2),
            ended_after_restart=round(ended, 2),
            recovery=round(ended - rest, 2),
            found=world.find(count),
        )


def table(runs: Sequence[Recovery]) -> str:
    """Return a table in Markdown: medians and spreads."""
    head = (
        "contender", "runs", "first step after restart, median (spread)", "recovery, median (spread)",
        "lost", "leaked", "steps done twice", "begun again",
    )  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name in dict.fromkeys(run.contender for run in runs):
        mine = [run for run in runs if run.contender == name]
        found = [run.found for run in mine]
        cells = (
            name,
            len(mine),
            _spread([run.first_step_after_restart for run in mine]),
            _spread([run.recovery for run in mine]),
            sum(one.lost for one in found),
            sum(one.leaked for one in found),
            sum(one.twice for one in found),
            sum(one.repeated for one in found),
        )
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines)


def _spread(times: Sequence[float]) -> str:
    return f"{statistics.median(times):.2f} s ({min(times):.2f} to {max(times):.2f})"


def main() -> None:
    """Run what the command line asks for and print it; `--json` also keeps it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resources", type=int, default=100)
    parser.add_argument("--pause", type=float, default=0.05, help="how long a step takes, in seconds")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--contenders", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    runs: list[Recovery] = []
    missing: dict[str, str] = {}
    for _ in range(given.rounds):
        for name in given.contenders:
            try:
                runs.append(measure(name, given.resources, given.pause))
            except PeerMissing as error:
                missing[name] = str(error)
                continue
            print(json.dumps(asdict(runs[-1])), flush=True)
    print(table(runs))
    for name, reason in missing.items():
        print(f"{name} was not measured: {reason}")
    if given.json:
        given.json.write_text(json.dumps({"runs": [asdict(run) for run in runs], "missing": missing}, indent=2) + "\n")


if __name__ == "__main__":
    main()
