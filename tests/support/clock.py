"""A clock that stands still until a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

#: Any moment will do; whole seconds read well in failures.
BEGINNING = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


class FakeClock:
    """Time that only `pass_by` and `set` move (`orchestrator.ports.Clock`)."""

    def __init__(self, now: datetime = BEGINNING) -> None:
        """Begin at a moment."""
        self._now = now

    def now(self) -> datetime:
        """Return the time, UTC."""
        return self._now

    def pass_by(self, span: timedelta) -> datetime:
        """Move forward; returns the new time."""
        self._now += span
        return self._now

    def set(self, now: datetime) -> None:
        """Move anywhere, also back."""
        self._now = now
