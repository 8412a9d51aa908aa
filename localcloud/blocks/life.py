"""Time in the life of volumes and snapshots. States follow from the clock when somebody looks; nothing runs meanwhile.

A snapshot of a volume is `pending` for a while, then `completed`. A snapshot that is written through the EBS direct API
stays `pending` until it is completed, and goes to `error` when nobody wrote to it for as long as it was told.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

PENDING: Final = "pending"
COMPLETED: Final = "completed"
ERROR: Final = "error"
_LAST_STEP: Final = 99

Clock = Callable[[], float]


class VolumeLife:
    """A volume that is `creating` for `seconds` from now."""

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._clock = clock
        self._until = clock() + seconds

    def is_creating(self) -> bool:
        """Tell whether the volume cannot be used yet."""
        return self._clock() < self._until


class SnapshotLife:
    """The state of one snapshot. Thread-safe.

    `seconds` is how long its making takes once all its data is there. `timeout`: it is written from outside and given
    up after so many seconds of silence; None: all its data is there already.
    """

    def __init__(self, seconds: float, clock: Clock, *, timeout: float | None = None) -> None:
        self._seconds = seconds
        self._clock = clock
        self._timeout = timeout
        self._began = clock()
        self._heard = self._began
        self._told = 0
        self._failed = False
        self._lock = threading.Lock()
        self.written_from_outside = timeout is not None

    @property
    def status(self) -> str:
        """The state in EC2's words: pending, completed or error."""
        with self._lock:
            return self._status()

    @property
    def progress(self) -> str:
        """The progress as EC2 shows it: `37%`."""
        with self._lock:
            status = self._status()
            if status == COMPLETED:
                return "100%"
            if status == ERROR or self._timeout is not None:
                return f"{self._told}%"
            passed = (self._clock() - self._began) / self._seconds
            return f"{min(int(passed * 100), _LAST_STEP)}%"

    @property
    def message(self) -> str | None:
        """Why the snapshot is in error."""
        return "Snapshot was not written to or completed in time." if self.status == ERROR else None

    def is_open(self) -> bool:
        """Tell whether blocks may be put."""
        with self._lock:
            return self._timeout is not None and self._status() == PENDING

    def heard(self, progress: int | None = None) -> None:
        """Somebody wrote to the snapshot, and maybe told its progress (0 to 100)."""
        with self._lock:
            self._heard = self._clock()
            if progress is not None:
                self._told = min(progress, _LAST_STEP)

    def complete(self) -> bool:
        """All data is there. Returns False when it is too late, True also when it was completed before."""
        with self._lock:
            if self._status() == ERROR:
                return False
            if self._timeout is not None:
                self._timeout = None
                self._began = self._clock()
            return True

    def _status(self) -> str:
        now = self._clock()
        if self._timeout is not None:
            # Once given up it stays so, whatever the clock says later.
            self._failed = self._failed or now - self._heard >= self._timeout
            return ERROR if self._failed else PENDING
        return COMPLETED if now - self._began >= self._seconds else PENDING
