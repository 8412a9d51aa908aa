"""How long EC2's own limits make a launch take. Pure.

A full bucket is assumed (`orchestrator.aws.rates`), as a launch after a quiet minute finds it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import timedelta

from orchestrator.aws.rates import RATES, Bucket


def launch_calls(workers: Iterable[int], *, batch: int) -> int:
    """Return how many calls launch these numbers of workers, each of a spec of its own, `batch` a call at most."""
    return sum(math.ceil(one / batch) for one in workers)


def launch_span(calls: int, instances: int) -> timedelta:
    """Return how long it takes until the last of these calls, for this many instances, may be made."""
    rate = RATES["RunInstances"]
    seconds = _wait(calls, rate.calls)
    if rate.resources is not None:
        seconds = max(seconds, _wait(instances, rate.resources))
    return timedelta(seconds=seconds)


def _wait(wanted: int, bucket: Bucket) -> float:
    return max(0.0, (wanted - bucket.burst) / bucket.refill)
