"""Rates of block calls: as many a second as the quota says, for each snapshot and for the account as a whole."""

from __future__ import annotations

import threading
from collections.abc import Callable

from localcloud.blocks.refusals import throttled


class Rates:
    """Token buckets of one second's worth each. `rate` 0 lets everything through. Thread-safe."""

    def __init__(self, rate: int, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._clock = clock
        self._buckets: dict[tuple[str, ...], tuple[float, float]] = {}
        self._lock = threading.Lock()

    def take(self, operation: str, account: str, region: str, snapshot: str) -> None:
        """Count one call. Raises `AwsError` RequestThrottledException."""
        if not self._rate:
            return
        with self._lock:
            if not self._take((operation, region, snapshot)):
                raise throttled("RESOURCE_LEVEL_THROTTLE")
            if not self._take((operation, region, account)):
                raise throttled("ACCOUNT_THROTTLED")

    def _take(self, key: tuple[str, ...]) -> bool:
        now = self._clock()
        left, last = self._buckets.get(key, (float(self._rate), now))
        left = min(float(self._rate), left + (now - last) * self._rate)
        taken = left >= 1
        self._buckets[key] = (left - 1 if taken else left, now)
        return taken
