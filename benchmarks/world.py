"""What a benchmark's steps do: leave traces in a folder as if it were a cloud, so that nothing is taken on trust.

Only the standard library, because peers run it in environments of their own.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

STEPS = ("assume_role", "launch_worker", "run_job", "teardown")


@dataclass(frozen=True)
class Found:
    """What a session has left in its world.

    `lost` counts resources that did not get through all steps, `leaked` machines that still run, `twice` steps that
    were done to their end again. `repeated` counts beginnings after the first: at least once is what every contender
    promises of a step that was interrupted.
    """

    lost: int
    leaked: int
    twice: int
    repeated: int


@dataclass(frozen=True)
class World:
    """A folder with machines and a journal; each step takes `pause` seconds."""

    directory: Path
    pause: float = 0.0

    def make(self) -> None:
        """Make the folder of machines."""
        self._machines.mkdir(parents=True)

    def act(self, step: str, ordinal: int) -> None:
        """Carry a step out: launching makes a machine under its token, a job needs one, teardown ends it."""
        machine = self._machines / str(ordinal)
        self._note("begun", step, ordinal)
        time.sleep(self.pause)
        if step == "launch_worker":
            machine.touch()
        elif step == "run_job" and not machine.exists():
            raise RuntimeError(f"resource {ordinal} has no machine to work on")
        elif step == "teardown":
            machine.unlink(missing_ok=True)
        self._note("ended", step, ordinal)

    @property
    def _machines(self) -> Path:
        return self.directory / "machines"

    def _note(self, what: str, step: str, ordinal: int) -> None:
        # One write of a short line to a file opened for appending is never mixed with another's.
        handle = os.open(self.directory / "journal", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(handle, f"{time.time()} {what} {step} {ordinal}\n".encode())
        finally:
            os.close(handle)

    def progress(self) -> int:
        """Return how many steps have ended."""
        return sum(what == "ended" for what, _, _ in self._journal())

    def ends(self) -> list[float]:
        """Return when steps ended, in order, in seconds since 1970."""
        return sorted(float(moment) for moment, what, _, _ in self._lines() if what == "ended")

    def find(self, count: int) -> Found:
        """Look at what a session over `count` resources has left."""
        journal = self._journal()
        through = [all(journal["ended", step, ordinal] for step in STEPS) for ordinal in range(count)]

        def beyond_one(wanted: str) -> int:
            return sum(times - 1 for (what, _, _), times in journal.items() if what == wanted)

        return Found(
            lost=through.count(False),
            leaked=len(list(self._machines.iterdir())),
            twice=beyond_one("ended"),
            repeated=beyond_one("begun"),
        )

    def _journal(self) -> Counter[tuple[str, str, int]]:
        return Counter((what, step, int(ordinal)) for _, what, step, ordinal in self._lines())

    def _lines(self) -> list[list[str]]:
        path = self.directory / "journal"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []
