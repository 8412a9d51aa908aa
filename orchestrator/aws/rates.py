"""How fast EC2 may be called in an account and Region, as AWS documents it.

Figures: "Request throttling for the Amazon EC2 API" in the EC2 Developer Guide. Each API has a bucket of calls of its
own; starting and ending instances takes from a second bucket, one for each instance. Accounts may have more than this;
the limiter finds out about less by being throttled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Bucket:
    """A token bucket: what it holds when full, and how much comes back a second."""

    burst: float
    refill: float


#: The part of a bucket of calls that is never used: calls overtake each other on their way, and AWS counts arrivals.
UNUSED = 0.02


def used(calls: Bucket) -> Bucket:
    """Return as much of a bucket of calls as we use: all of a small one."""
    return Bucket(calls.burst - int(calls.burst * UNUSED), calls.refill)


@dataclass(frozen=True, kw_only=True)
class Rate:
    """The buckets of one API; `resources` None: calls alone are counted."""

    calls: Bucket
    resources: Bucket | None = None


#: The part of a bucket that is left to those who remove and to whoever somebody waits for.
KEPT = 0.2

RATES: Mapping[str, Rate] = MappingProxyType(
    {
        "RunInstances": Rate(calls=Bucket(5, 2), resources=Bucket(1000, 2)),
        "TerminateInstances": Rate(calls=Bucket(100, 5), resources=Bucket(1000, 20)),
        "CreateSnapshots": Rate(calls=Bucket(100, 5)),
        "DeleteSnapshot": Rate(calls=Bucket(50, 5)),
        "CreateVolume": Rate(calls=Bucket(100, 5)),
        "DeleteVolume": Rate(calls=Bucket(100, 5)),
        "AttachVolume": Rate(calls=Bucket(50, 5)),
        "DescribeInstances": Rate(calls=Bucket(100, 20)),
        "DescribeSnapshots": Rate(calls=Bucket(100, 20)),
        "DescribeVolumes": Rate(calls=Bucket(100, 20)),
    }
)
