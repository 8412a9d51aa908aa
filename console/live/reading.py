"""Asking the ledger how a session stands, as often as somebody looks, and how fast it goes."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from orchestrator.errors import LedgerUnavailable
from orchestrator.ledger.glance import Glance, glance

if TYPE_CHECKING:
    from orchestrator.ledger.store import Ledger

#: Agents report about every 20 s: a rate is taken over several reports, and is forgotten when they stay away.
_WINDOW = timedelta(seconds=90)

_WHOLE = -1


class Speed:
    """How fast a counter grows, from the moments at which it changed."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._seen: deque[tuple[datetime, int]] = deque()

    def see(self, at: datetime, done: int) -> float | None:
        """Take a reading; returns units a second, or None as long as nothing is known."""
        seen = self._seen
        if seen and done < seen[-1][1]:
            seen.clear()  # another attempt has begun
        if not seen or done != seen[-1][1]:
            seen.append((at, done))
        while len(seen) > 1 and at - seen[0][0] > _WINDOW:
            seen.popleft()
        (first_at, first), (last_at, last) = seen[0], seen[-1]
        if last_at <= first_at or at - last_at > _WINDOW:
            return None
        return (last - first) / (last_at - first_at).total_seconds()


def left(done: int, total: int, rate: float | None) -> timedelta | None:
    """Return how long the rest takes at this rate; None when nobody can say."""
    if not rate or done >= total:
        return None
    return timedelta(seconds=(total - done) / rate)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a session stands. `lost_since` is set while the ledger does not answer; the rest is then the last known.

    `rates` holds units a second by ordinal, `rate` that of the whole; `names` the accounts' registered names.
    """

    glance: Glance
    rate: float | None = None
    rates: Mapping[int, float | None] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    lost_since: datetime | None = None


class Reader:
    """Reads one session again and again. A ledger that goes away after the first reading is waited for."""

    def __init__(self, ledger: Ledger, session: str, *, names: Mapping[str, str]) -> None:
        """Take the ledger, the session and the names of accounts."""
        self._ledger = ledger
        self._session = session
        self._names = names
        self._speeds: dict[int, Speed] = {}
        self._last: Reading | None = None

    def read(self, rows: int) -> Reading:
        """Return how the session stands, with `rows` resources at most.

        Raises `NotFound`, and `LedgerUnavailable` when the ledger has never answered yet.
        """
        now = self._ledger.clock.now()
        try:
            with self._ledger.read() as tx:
                seen = glance(tx, self._session, rows=rows)
        except LedgerUnavailable:
            if self._last is None:
                raise
            since = self._last.lost_since or now
            self._last = Reading(glance=self._last.glance, names=self._names, lost_since=since)
            return self._last
        moving = {row.ordinal: row.done for row in seen.rows if not row.status.is_final}
        self._speeds = {one: speed for one, speed in self._speeds.items() if one in moving or one == _WHOLE}
        rates = {one: self._speed(one).see(seen.at, done) for one, done in moving.items()}
        rate = self._speed(_WHOLE).see(seen.at, seen.done)
        self._last = Reading(glance=seen, rate=rate, rates=rates, names=self._names)
        return self._last

    def _speed(self, one: int) -> Speed:
        return self._speeds.setdefault(one, Speed())


def account_names(ledger: Ledger) -> dict[str, str]:
    """Return the registered names of accounts by their ids."""
    from orchestrator.ledger import registry

    with ledger.read() as tx:
        return {account.id: account.name for account in registry.load(tx).accounts}
