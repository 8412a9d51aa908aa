"""How fast blocks may be asked for: a rate that falls when AWS throttles and grows back slowly.

AWS allows 1000 calls a second per snapshot (fixed) and per account (shared by all its workers). A worker begins at the
share that the control plane has reckoned for it, and many find theirs by additive increase and multiplicative decrease,
as TCP does: each grows in proportion to its share, so that all of them together press no harder the more they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import Final

#: Half of what AWS allows per snapshot: two workers of an account do not throttle each other at once.
DEFAULT_RATE: Final = 500.0

_CUT: Final = 0.5
#: A burst of throttled answers is one event: they were all sent at the old rate.
_CUT_EVERY: Final = 1.0
#: Share of the first rate, or of the present one if that is higher, that the rate grows by in a second.
_GROWTH: Final = 0.05
_SLOWEST: Final = 5.0
#: Calls that may be late together: an idle moment does not become a burst.
_SLACK: Final = 0.1


class Pace:
    """A shared rate limit. Thread-safe."""

    def __init__(
        self,
        cap: float = DEFAULT_RATE,
        *,
        first: float | None = None,
        pause: Callable[[float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the highest and the first rate (calls a second) and how to wait; `pause` may raise to end the wait."""
        self._cap = cap
        self._first = cap if first is None else max(_SLOWEST, min(cap, first))
        self._rate = self._first
        self._pause = pause
        self._clock = clock
        self._lock = Lock()
        self._next = clock()
        self._cut_at = float("-inf")

    @property
    def rate(self) -> float:
        """Calls a second allowed now."""
        return self._rate

    def take(self) -> None:
        """Wait until one more call may be made."""
        with self._lock:
            now = self._clock()
            turn = max(self._next, now - _SLACK)
            self._next = turn + 1 / self._rate
        if turn > now:
            self._pause(turn - now)

    def succeeded(self) -> None:
        """Note an answered call: the rate grows, by a twentieth in a second of calls."""
        if self._rate < self._cap:
            with self._lock:
                self._rate = min(self._cap, self._rate + _GROWTH * max(self._first, self._rate) / self._rate)

    def throttled(self) -> None:
        """Note a throttled call: the rate is halved, once for all that were under way."""
        with self._lock:
            now = self._clock()
            if now - self._cut_at >= _CUT_EVERY:
                self._cut_at = now
                self._rate = max(_SLOWEST, self._rate * _CUT)
