"""Run the comparison: see `benchmarks.data`."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import benchmarks.data
from benchmarks.data.lab import GIB, Lab, laboratory
from benchmarks.data.measuring import Run
from benchmarks.data.peers import contenders
from benchmarks.data.row import Contender, Reach, Row, Turn
from benchmarks.data.rows import ROWS, chosen


@dataclass
class Results:
    """What was measured: runs by row and contender, and MiB in the repository after each row."""

    runs: dict[tuple[str, str], list[Run]] = field(default_factory=dict)
    sizes: dict[tuple[str, str], float] = field(default_factory=dict)

    def best(self, row: str, contender: str, of: str) -> float | None:
        """Return the least of one figure, None when it was not measured; of memory the most."""
        figures = [getattr(run, of) for run in self.runs.get((row, contender), ())]
        return (max if of == "memory" else min)(figures) if figures else None


def take_turn(turn: Turn, rows: Sequence[Row], results: Results) -> None:
    """Have one contender do the rows in a repository of its own."""
    try:
        for row in rows:
            deed = row.deed(turn.contender)
            if deed is None:
                continue
            run = deed(turn)
            results.runs.setdefault((row.name, turn.contender.name), []).append(run)
            results.sizes[row.name, turn.contender.name] = turn.lab.stored(turn.repository)
            figures = f"cpu {run.cpu:6.2f}  wall {run.wall:6.2f}  {run.memory:5.0f} MiB"
            print(f"  {turn.contender.name:16} {row.name:14} {figures}", flush=True)
    finally:
        turn.lab.forget(turn.repository)
        shutil.rmtree(turn.scratch)


def show(lab: Lab, who: Sequence[Contender], rows: Sequence[Row], results: Results) -> None:
    """Print the table."""
    print()
    for row in rows:
        print(row.what)
        for one in who:
            cpu, wall, memory = (results.best(row.name, one.name, of) for of in ("cpu", "wall", "memory"))
            if cpu is None or wall is None or memory is None:
                continue
            said = "; ".join(_reached(row.name, one.name, reach, results) for reach in row.reach if one.kind == "agent")
            print(
                f"  {one.name:16} {cpu:6.2f} cpu-s ({cpu / lab.allocated:5.2f}/GiB)  wall {wall:6.2f} s  "
                f"{memory:5.0f} MiB  {results.sizes[row.name, one.name]:7.1f} MiB stored  {said}"
            )


def _reached(row: str, contender: str, reach: Reach, results: Results) -> str:
    ours = results.best(row, contender, reach.of)
    if ours is None:
        return ""
    if reach.peer is None:
        return f"{reach.of} {ours:.2f} ({'at most' if ours <= reach.most else 'MISSED'} {reach.most:g})"
    theirs = results.best(row, reach.peer, reach.of)
    if not theirs:
        return f"{reach.peer} not measured"
    ratio = ours / theirs
    return f"{reach.of} {ratio:.2f} x {reach.peer} ({'to reach' if ratio <= reach.most else 'MISSED'} {reach.most:g})"


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(
        description=benchmarks.data.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", nargs="*", default=[], choices=[row.name for row in ROWS], help="only these")
    parser.add_argument("--blocks", type=int, default=3072, help="of the image, 512 KiB each (default: 1.5 GiB)")
    parser.add_argument("--zero", type=float, default=0.4, help="share of blocks that are zero")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=1000.0, help="blocks a second that the agent may ask for")
    parser.add_argument("--only-agent", action="store_true", help="for profiling")
    parser.add_argument("--output", type=Path, help="write all runs there as JSON")
    options = parser.parse_args()
    # Whoever ends this early ends its servers and frees its memory as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended early"))
    rows, results = chosen(options.rows), Results()
    who = contenders(only_agent=options.only_agent)
    with laboratory(blocks=options.blocks, zero=options.zero, rate=options.rate) as lab:
        print(
            f"image: {lab.size / GIB:.2f} GiB, {lab.allocated:.2f} GiB not zero; incremental: {lab.changed} blocks "
            f"changed; {', '.join(f'{one.name} {one.version}' for one in who if one.kind != 'agent')}"
        )
        for number in range(options.rounds):
            for one in who:
                take_turn(Turn(lab=lab, contender=one, number=number), rows, results)
        show(lab, who, rows, results)
    if options.output is not None:
        runs = [
            {"row": row, "contender": name, "runs": [asdict(run) for run in found]}
            for (row, name), found in results.runs.items()
        ]
        options.output.write_text(json.dumps(runs, indent=1))


if __name__ == "__main__":
    main()
