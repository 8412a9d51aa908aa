"""EC2's documented token buckets: how many calls, and how many instances, an account may ask for in a Region.

Figures: "Request throttling for the Amazon EC2 API". Each action has a bucket of its own for each account and Region;
starting and ending instances takes a token of a second bucket for every instance. Refused calls are answered
`RequestLimitExceeded` (503) and take nothing; dry runs and calls that fail for another reason count like any other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from localcloud.call import Call
from localcloud.errors import AwsError


@dataclass(frozen=True)
class Bucket:
    """A token bucket: what it holds when full, and how much comes back a second."""

    burst: float
    refill: float


_DESCRIBING: Final = Bucket(100, 20)
#: A listing that asks for everything, neither filtered nor in pages.
_DESCRIBING_ALL: Final = Bucket(50, 10)
_CHANGING: Final = Bucket(50, 5)

#: Actions whose bucket for calls differs from that of their kind.
REQUESTS: Final[Mapping[str, Bucket]] = {
    "RunInstances": Bucket(5, 2),
    "StartInstances": Bucket(5, 2),
    "TerminateInstances": Bucket(100, 5),
    "CreateTags": Bucket(100, 10),
    "DeleteTags": Bucket(100, 10),
    "CreateVolume": Bucket(100, 5),
    "DeleteVolume": Bucket(100, 5),
    "CreateSnapshot": Bucket(100, 5),
    "CreateSnapshots": Bucket(100, 5),
    "CreateLaunchTemplateVersion": Bucket(100, 5),
    "AssociateIamInstanceProfile": Bucket(100, 5),
    "CopyImage": Bucket(100, 1),
}
#: Buckets for instances.
RESOURCES: Final[Mapping[str, Bucket]] = {
    "RunInstances": Bucket(1000, 2),
    "StartInstances": Bucket(1000, 2),
    "StopInstances": Bucket(1000, 20),
    "TerminateInstances": Bucket(1000, 20),
}
_READING: Final = ("Describe", "Get", "List", "Search")


class Throttle:
    """Takes tokens for calls, when it is on. Thread-safe."""

    def __init__(self, *, on: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._on = on
        self._refused = 0
        self._lock = threading.Lock()
        #: (account, Region, bucket's name) -> (tokens, time of the latest look)
        self._levels: dict[tuple[str, str, str], tuple[float, float]] = {}
        #: Accounts whose RunInstances calls have a bucket of their own.
        self._launches: dict[str, Bucket] = {}

    def launches(self, account: str) -> Bucket:
        """Return the bucket of an account's RunInstances calls."""
        return self._launches.get(account, REQUESTS["RunInstances"])

    def set_launches(self, account: str, bucket: Bucket | None) -> None:
        """Give an account's RunInstances calls another bucket, full; None: the documented one again."""
        with self._lock:
            if bucket is None:
                self._launches.pop(account, None)
            else:
                self._launches[account] = bucket
            self._levels = {key: level for key, level in self._levels.items() if key[0] != account}

    def set_clock(self, clock: Callable[[], float]) -> None:
        """Take another clock, in seconds; all buckets are full again."""
        with self._lock:
            self._clock = clock
            self._levels.clear()

    def switch(self, *, on: bool) -> None:
        """Turn it on or off; all buckets are full again."""
        with self._lock:
            self._on = on
            self._refused = 0
            self._levels.clear()

    def to_dict(self) -> dict[str, Any]:
        """Return whether it is on and how many calls it has refused since it was switched."""
        with self._lock:
            return {"on": self._on, "refused": self._refused}

    def take(self, call: Call, account: str) -> None:
        """Take what a call costs. Raises `AwsError` RequestLimitExceeded when a bucket has too little."""
        if not self._on or call.service != "ec2":
            return
        name, bucket = _request_bucket(call)
        costs = [(name, self.launches(account) if call.operation == "RunInstances" else bucket, 1.0)]
        if call.operation in RESOURCES:
            costs.append((f"{call.operation} instances", RESOURCES[call.operation], _instances(call)))
        now = self._clock()
        with self._lock:
            levels = {name: self._level((account, call.region, name), bucket, now) for name, bucket, _ in costs}
            if any(levels[name] < cost for name, _, cost in costs):
                self._refused += 1
                raise AwsError("RequestLimitExceeded", "Request limit exceeded.", 503)
            for name, _, cost in costs:
                self._levels[account, call.region, name] = (levels[name] - cost, now)

    def _level(self, key: tuple[str, str, str], bucket: Bucket, now: float) -> float:
        tokens, last = self._levels.get(key, (bucket.burst, now))
        return min(bucket.burst, tokens + (now - last) * bucket.refill)


def _request_bucket(call: Call) -> tuple[str, Bucket]:
    name = f"{call.operation} calls"
    if call.operation in REQUESTS:
        return name, REQUESTS[call.operation]
    if not call.operation.startswith(_READING):
        return name, _CHANGING
    if set(call.parameters) - {"DryRun"}:
        return name, _DESCRIBING
    return f"{name} for everything", _DESCRIBING_ALL


def _instances(call: Call) -> float:
    if call.operation == "RunInstances":
        return float(call.parameters.get("MaxCount") or 1)
    return float(len(call.parameters.get("InstanceIds") or []) or 1)
