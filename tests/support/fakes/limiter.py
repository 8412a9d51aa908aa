"""AWS's token buckets in memory, on the test's own clock (`orchestrator.ports.Limiter`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from orchestrator.aws.rates import RATES, Bucket, used
from orchestrator.limiter import RECOVERY, SLOWER, SLOWEST
from orchestrator.ports import Clock

_UNLIMITED = Bucket(1_000_000, 1_000_000)


@dataclass
class _Level:
    calls: float
    resources: float
    at: datetime
    factor: float = 1.0


@dataclass
class MemoryLimiter:
    """As the one on Redis, for one process."""

    clock: Clock
    levels: dict[tuple[str, str, str], _Level] = field(default_factory=dict)
    rates: dict[tuple[str, str, str], Bucket] = field(default_factory=dict)

    def take(self, account: str, region: str, api: str, *, resources: int = 0, keep: float = 0) -> timedelta:
        """See the port."""
        level, (calls, many) = self._level(account, region, api), self._buckets(account, region, api)
        wanted = min(float(resources), many.burst)
        wait = max(
            0.0,
            (min(calls.burst, 1 + keep * calls.burst) - level.calls) / (calls.refill * level.factor),
            (wanted - level.resources) / (many.refill * level.factor),
        )
        if not wait:
            level.calls -= 1
            level.resources -= wanted
        return timedelta(seconds=wait)

    def room(self, account: str, region: str, api: str) -> int:
        """See the port."""
        level = self._level(account, region, api)
        return int(level.resources) if level.calls >= 1 else 0

    def throttled(self, account: str, region: str, api: str) -> None:
        """See the port."""
        level = self._level(account, region, api)
        level.calls = 0
        level.resources /= 2
        level.factor = max(SLOWEST, level.factor * SLOWER)

    def knows(self, account: str, region: str, api: str) -> bool:
        """See the port."""
        return (account, region, api) in self.rates

    def learn(self, account: str, region: str, api: str, rate: tuple[float, float] | None) -> None:
        """See the port."""
        known = rate is not None and min(rate) > 0
        self.rates[account, region, api] = used(Bucket(*rate) if known and rate else RATES[api].calls)

    def _level(self, account: str, region: str, api: str) -> _Level:
        (calls, resources), now = self._buckets(account, region, api), self.clock.now()
        level = self.levels.setdefault((account, region, api), _Level(calls.burst, resources.burst, now))
        passed = max(0.0, (now - level.at).total_seconds())
        level.calls = min(calls.burst, level.calls + passed * calls.refill * level.factor)
        level.resources = min(resources.burst, level.resources + passed * resources.refill * level.factor)
        level.factor = min(1.0, level.factor + passed * RECOVERY)
        level.at = now
        return level

    def _buckets(self, account: str, region: str, api: str) -> tuple[Bucket, Bucket]:
        calls = self.rates.get((account, region, api), used(RATES[api].calls))
        return calls, RATES[api].resources or _UNLIMITED
