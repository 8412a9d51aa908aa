"""Beats as processes of their own, each with a clock in the test's hand."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO

_PROGRAM = Path(__file__).with_name("beating.py")


class Beat:
    """One process. Starting it takes half a second, so that it serves many ledgers, one after the other."""

    def __init__(self) -> None:
        """Start it."""
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(_PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def tell(self, url: str, now: datetime) -> None:
        """Have it look at this ledger at this moment, without waiting for it."""
        _pipe(self._process.stdin).write(f"{now.isoformat()} {url}\n")
        _pipe(self._process.stdin).flush()

    def made(self) -> int:
        """Wait until it has looked; return how many sessions it made."""
        line = _pipe(self._process.stdout).readline()
        assert line, "a beat has died"
        return int(line)

    def kill(self) -> None:
        """Kill -9."""
        self._process.kill()
        self._process.wait(timeout=30)
        for pipe in (self._process.stdin, self._process.stdout):
            _pipe(pipe).close()

    def start_again(self) -> None:
        """Kill -9, and start a new one in its place."""
        self.kill()
        self._start()


def look(beats: Sequence[Beat], url: str, now: datetime, skews: Sequence[timedelta] = ()) -> int:
    """Have all look at the same time, by clocks that are wrong by `skews`; returns how many sessions they made."""
    for number, one in enumerate(beats):
        one.tell(url, now + skews[number] if skews else now)
    return sum(one.made() for one in beats)


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe
