"""Time as the agent sees it: the date for deadlines, the machine's running time for everything else."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from enum import Enum
from queue import Empty, SimpleQueue
from typing import Protocol


class Event(Enum):
    """What can happen to a waiting agent."""

    JOB_ENDED = "the job has ended"
    TOLD_TO_END = "the system told the agent to end"


#: A `SimpleQueue` because it may be written to from a signal handler.
Mailbox = SimpleQueue[Event]


class Clock(Protocol):
    """What the agent knows of time; a test's own moves when it is waited on."""

    def now(self) -> datetime:
        """Return the date and time, UTC."""

    def running(self) -> float:
        """Return for how many seconds the machine has run: never goes back, also not over a restart of the agent."""

    def wait(self, mailbox: Mailbox, seconds: float) -> Event | None:
        """Return the next event, or None when there was none for so long."""


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """See the port."""
        return datetime.now(UTC)

    def running(self) -> float:
        """See the port."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wait(self, mailbox: Mailbox, seconds: float) -> Event | None:
        """See the port."""
        try:
            return mailbox.get(timeout=max(0.0, seconds))
        except Empty:
            return None
