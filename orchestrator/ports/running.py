"""What a runner lends the steps: work that gets moving again, a shared rate, the time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Protocol

from orchestrator.model.work import WorkKey


class Dispatch(Protocol):
    """How work gets moving again. Losing a call is repaired by `reconcile`: publishing twice is harmless."""

    def drive(self, keys: Iterable[WorkKey]) -> None:
        """Publish the rest of each one's chain, from the step that its ledger row stands at."""

    def launch(self, account: str, region: str, *, after: timedelta = timedelta()) -> None:
        """Have the pending launch requests of an account and Region looked at, `after` a moment or at once.

        `after` is less than a second: enough to gather what comes together.
        """

    def terminate(self, account: str, region: str, *, after: timedelta = timedelta()) -> None:
        """Have the workers of an account and Region that have nothing left to do terminated, as `launch`."""


class Limiter(Protocol):
    """How fast AWS may be called: token buckets for each account, Region and API, shared by all processes.

    Losing what it knows costs a few throttled calls and nothing else.
    """

    def take(self, account: str, region: str, api: str, *, resources: int = 0, keep: float = 0) -> timedelta:
        """Take a call and so many resources; zero: go on. Otherwise nothing was taken: ask again after that time.

        `keep` is the part of the full bucket of calls that is to be left to others.
        """

    def room(self, account: str, region: str, api: str) -> int:
        """Return how many resources could be taken now; none while no call could be made."""

    def knows(self, account: str, region: str, api: str) -> bool:
        """Whether somebody has said, within a day, how fast the account may call: see `learn`."""

    def learn(self, account: str, region: str, api: str, rate: tuple[float, float] | None) -> None:
        """Take an account's own rate of calls (at once, and each second); None: the documented one counts."""

    def throttled(self, account: str, region: str, api: str) -> None:
        """Learn that AWS has refused a call for its rate: empty the buckets, and fill them more slowly for a while."""


class Clock(Protocol):
    """The time; a fake in unit tests."""

    def now(self) -> datetime:
        """Return the time, UTC."""
