"""A clock in seconds that a test moves."""

from __future__ import annotations


class Seconds:
    """Call it for the time; add to `now` to let time pass."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time."""
        return self.now
