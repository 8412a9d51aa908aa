"""How long EC2's own limits make a launch take. Pure.

Figures: "Request throttling for the Amazon EC2 API". RunInstances has a bucket of calls and a bucket of instances, for
each account and Region; a full bucket is assumed, as a launch after a quiet minute finds it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import timedelta

#: What a bucket holds when it is full, and how much comes back a second: calls, instances.
_CALLS = (5, 2.0)
_INSTANCES = (1000, 2.0)


def launch_calls(workers: Iterable[int], *, batch: int) -> int:
    """Return how many calls launch these numbers of workers, each of a spec of its own, `batch` a call at most."""
    return sum(math.ceil(one / batch) for one in workers)


def launch_span(calls: int, instances: int) -> timedelta:
    """Return how long it takes until the last of these calls, for this many instances, may be made."""
    seconds = max(_wait(calls, *_CALLS), _wait(instances, *_INSTANCES))
    return timedelta(seconds=seconds)


def _wait(wanted: int, burst: int, refill: float) -> float:
    return max(0.0, (wanted - burst) / refill)
