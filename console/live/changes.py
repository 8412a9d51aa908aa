"""What is different between two readings of a session, each difference told once."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from console.live.events import PROGRESS, Lines
from console.live.reading import Reading
from orchestrator.errors import LedgerUnavailable
from orchestrator.ledger import glance as glances
from orchestrator.model.status import ResourceStatus, SessionStatus

if TYPE_CHECKING:
    from orchestrator.ledger.store import Ledger

#: How every resource begins: not worth a line.
_PENDING = (ResourceStatus.PENDING, 1)


class Changes:
    """Turns readings into events: each change once, in the order in which it was seen."""

    def __init__(self, ledger: Ledger, lines: Lines) -> None:
        """Take the ledger and where events go."""
        self._ledger = ledger
        self._lines = lines
        self._status: SessionStatus | None = None
        self._resources: dict[int, tuple[ResourceStatus, int]] = {}
        self._progress: tuple[datetime, int] | None = None
        self._is_lost = False
        self.is_over = False

    def see(self, reading: Reading) -> None:
        """Compare with the reading before, and tell."""
        glance = reading.glance
        rows = None if reading.lost_since is not None else self._changed(glance.id)
        if rows is None:
            if not self._is_lost:
                self._lines.lost(self._ledger.clock.now())
            self._is_lost = True
            return
        if self._is_lost:
            self._lines.back(glance.at)
            self._is_lost = False
        has_ended = glance.status.is_final
        if glance.status != self._status and not has_ended:
            self._lines.session(reading)
        for row in rows:
            self._lines.resource(glance.at, row)
            self._resources[row.ordinal] = (row.status, row.attempt)
        if has_ended:
            if glance.status != self._status:
                self._lines.session(reading)
            self.is_over = True
        elif self._is_progress_due(glance.at, glance.done):
            self._lines.progress(reading)
        self._status = glance.status

    def _changed(self, session: str) -> list[glances.Row] | None:
        """Return the resources that changed since the last look, or None when the ledger does not answer."""
        try:
            with self._ledger.read() as tx:
                found = glances.statuses(tx, session)
                changed = [one for one, now in found.items() if self._resources.get(one, _PENDING) != now]
                return glances.named(tx, session, sorted(changed))
        except LedgerUnavailable:
            return None

    def _is_progress_due(self, at: datetime, done: int) -> bool:
        if self._progress is None:
            self._progress = (at, done)
            return False
        if at - self._progress[0] < PROGRESS or done == self._progress[1]:
            return False
        self._progress = (at, done)
        return True
