"""A process that looks at policies when it is told the time: a beat and its tick with a clock in the test's hand.

Each line of stdin is a moment and a ledger's URL; the answer is how many sessions were made there then.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from config.logging import set_up
from orchestrator.ledger.store import Ledger, make_engine
from orchestrator.model.work import WorkKey
from orchestrator.scheduler.tick import tick


class TheTestsClock:
    """Time as it was told last (`orchestrator.ports.Clock`)."""

    def __init__(self) -> None:
        """Begin long ago."""
        self._now = datetime.fromtimestamp(0, UTC)

    def now(self) -> datetime:
        """Return the time, UTC."""
        return self._now

    def set(self, now: datetime) -> None:
        """Hear the time."""
        self._now = now


class Nowhere:
    """Publishes nothing (`orchestrator.ports.Dispatch`): what is in the ledger is what counts here."""

    def drive(self, keys: Iterable[WorkKey]) -> None:
        """See the port."""

    def launch(self, account: str, region: str, *, after: timedelta = timedelta()) -> None:
        """See the port."""

    def terminate(self, account: str, region: str, *, after: timedelta = timedelta()) -> None:
        """See the port."""


def main() -> None:
    """Answer every line."""
    set_up(level=logging.ERROR)
    clock = TheTestsClock()
    url, ledger = "", Ledger(make_engine("sqlite://"), clock)
    for line in sys.stdin:
        now, _, wanted = line.strip().partition(" ")
        if wanted != url:
            ledger.close()
            url, ledger = wanted, Ledger(make_engine(wanted), clock)
        clock.set(datetime.fromisoformat(now))
        sys.stdout.write(f"{tick(ledger, dispatch=Nowhere())}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
