"""A Celery worker that takes messages and starts none of them ends itself, so that whatever restarts it helps.

Seen on Celery 5.7: a broker that is restarted in the second in which a pool child dies can leave the parent with a
message that it never hands to a child, for ever, while it answers pings. Ending is safe at any time: the messages come
back, and the next life takes over what this one had claimed.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Thread

import structlog
from celery.worker import state

log = structlog.get_logger(__name__)

#: A child accepts a message within milliseconds; a new child needs some seconds first.
PATIENCE = 15.0
_LOOK = 1.0


@dataclass
class Standstill:
    """Judges looks at a worker: how many messages wait in its hands, are at work, and have ever been accepted."""

    children: int
    patience: float = PATIENCE
    _accepted: int = -1
    _since: float | None = None

    def look(self, now: float, *, waiting: int, busy: int, accepted: int) -> bool:
        """Take one look; return whether it has stood still too long: a message waits, a child is free, none begins."""
        moves = not waiting or busy >= self.children or accepted != self._accepted
        self._accepted = accepted
        if moves or self._since is None:
            self._since = None if moves else now
            return False
        return now - self._since >= self.patience


def watch(children: int, *, end: Callable[[], None] | None = None) -> None:
    """Look at this Celery worker from a thread of its own, for as long as it lives; `end` replaces its end in tests."""
    Thread(target=_watch, args=(Standstill(children), end or _end), name="standstill", daemon=True).start()


def _watch(judge: Standstill, end: Callable[[], None]) -> None:
    while True:
        time.sleep(_LOOK)
        busy = len(state.active_requests)
        waiting = len(state.reserved_requests) - busy
        if judge.look(time.monotonic(), waiting=waiting, busy=busy, accepted=state.all_total_count[0]):
            log.error("messages are taken and not begun: this Celery worker ends, to be started again", waiting=waiting)
            end()
            return


def _end() -> None:
    # Its loop may be what stands still, so nothing is asked of it. The children die with their parent.
    os.kill(os.getpid(), signal.SIGKILL)
