"""When to try again, as values. Nobody else in the control plane computes a delay."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """Capped exponential delays with full jitter; `attempts` None means for ever (a deadline decides elsewhere)."""

    first: timedelta
    most: timedelta
    attempts: int | None = None

    def delay(self, tries: int) -> timedelta:
        """Return the delay after this try (counted from 1): between a half and the whole of the capped value."""
        whole: timedelta = min(self.first * 2 ** min(tries - 1, 20), self.most)
        return whole * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret

    def is_over(self, tries: int) -> bool:
        """Whether no further try is left."""
        return self.attempts is not None and tries >= self.attempts


#: AWS said "later": as long as it takes, the step's own deadline ends it.
CLOUD = RetryPolicy(first=timedelta(seconds=1), most=timedelta(seconds=30), attempts=40)

#: How long a step may be slowed down by AWS's rate limits.
THROTTLED_FOR = timedelta(hours=12)

#: A mistake of ours or something never seen: a few tries, because a process may have been dying.
UNEXPECTED = RetryPolicy(first=timedelta(seconds=2), most=timedelta(seconds=20), attempts=4)

#: Removing what was made: for ever; release decides when to say that something remains.
REMOVAL = RetryPolicy(first=timedelta(seconds=1), most=timedelta(seconds=30))

#: Two transactions of the ledger were in each other's way: at once, then a little later; more is an outage.
CONTENDED = RetryPolicy(first=timedelta(milliseconds=20), most=timedelta(milliseconds=500), attempts=6)

#: How often the processes that carry a step out may die at it before the step itself is to blame: one that needs more
#: memory than there is kills whoever tries.
DEATHS = 5
