"""Orchestration side by side: raw Celery's chord of chains, DBOS, and ours with the ledger on.

Contenders take turns, each run with servers and Celery workers of its own; figures are medians, ratios are to raw
Celery of the same round. Processor time counts every process: publisher, Celery workers with their children, servers.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import statistics
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from benchmarks.contenders import Contender, ours, raw
from benchmarks.dbos import dbos
from benchmarks.peers.environments import PeerMissing

Setup = Callable[[Path], AbstractContextManager[Contender]]

CONTENDERS: dict[str, Setup] = {
    "raw Celery": raw,
    "Daywork on SQLite": partial(ours, database="sqlite"),
    "Daywork on PostgreSQL": partial(ours, database="postgresql"),
    "DBOS on SQLite": partial(dbos, database="sqlite"),
    "DBOS on PostgreSQL": partial(dbos, database="postgresql"),
}
_RAW = "raw Celery"


@dataclass(frozen=True)
class Run:
    """One session of one contender."""

    contender: str
    resources: int
    round: int
    seconds: float
    processor_seconds: float


def compare(names: Sequence[str], counts: Sequence[int], rounds: int) -> tuple[list[Run], dict[str, str]]:
    """Let the contenders take turns. Returns the runs, and why contenders are missing."""
    runs: list[Run] = []
    missing: dict[str, str] = {}
    for number, count, name in itertools.product(range(rounds), counts, names):
        try:
            runs.append(_run(name, count, number))
        except PeerMissing as error:
            missing[name] = str(error)
            continue
        print(f"{name}, {count} resources: {runs[-1].seconds} s, processor {runs[-1].processor_seconds} s", flush=True)
    return runs, missing


def _run(name: str, count: int, number: int) -> Run:
    with (
        tempfile.TemporaryDirectory(prefix="daywork-bench-") as folder,
        CONTENDERS[name](Path(folder)) as contender,
    ):
        before = contender.stage.processor_seconds()
        seconds = contender.run(count)
        spent = contender.stage.processor_seconds() - before
    return Run(name, count, number, round(seconds, 3), round(spent, 3))


def summary(runs: Sequence[Run]) -> list[dict[str, object]]:
    """Return medians, spreads, and ratios to raw Celery in the same round."""
    rows: list[dict[str, object]] = []
    for name, count in dict.fromkeys((run.contender, run.resources) for run in runs):
        mine = [run for run in runs if (run.contender, run.resources) == (name, count)]
        peers = {run.round: run for run in runs if (run.contender, run.resources) == (_RAW, count)}
        times = [run.seconds for run in mine]
        row: dict[str, object] = {
            "contender": name,
            "resources": count,
            "runs": len(mine),
            "secondsMedian": round(statistics.median(times), 3),
            "secondsSpread": [min(times), max(times)],
            "processorSecondsMedian": round(statistics.median(run.processor_seconds for run in mine), 3),
        }
        both = [run for run in mine if run.round in peers]
        if both:
            row["timeRatio"] = round(statistics.median(run.seconds / peers[run.round].seconds for run in both), 2)
            row["processorRatio"] = round(
                statistics.median(run.processor_seconds / peers[run.round].processor_seconds for run in both), 2
            )
        rows.append(row)
    return rows


def table(rows: Sequence[dict[str, object]]) -> str:
    """Return the summary as a table in Markdown."""
    head = (
        "contender",
        "resources",
        "runs",
        "time, median (spread)",
        "processor time",
        "time ratio",
        "processor ratio",
    )
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        spread = row["secondsSpread"]
        shown = f"{row['secondsMedian']} s ({spread[0]}-{spread[1]})" if isinstance(spread, list) else ""
        cells = (
            row["contender"], row["resources"], row["runs"], shown, f"{row['processorSecondsMedian']} s",
            row.get("timeRatio", ""), row.get("processorRatio", ""),
        )  # fmt: skip
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run what the command line asks for and print it; `--json` also keeps it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resources", type=int, nargs="+", default=[200, 1000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--contenders", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    runs, missing = compare(given.contenders, given.resources, given.rounds)
    rows = summary(runs)
    print(table(rows))
    for name, reason in missing.items():
        print(f"{name} was not measured: {reason}")
    if given.json:
        machine = {"cores": os.cpu_count(), "python": platform.python_version()}
        document = {"machine": machine, "summary": rows, "runs": [asdict(run) for run in runs], "missing": missing}
        given.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
