"""AWS's token buckets as all our processes share them: kept in Redis, changed by one script so that nobody races.

A bucket that nobody knows is full, so losing Redis loses nothing but what has been learnt of an account's lower limits.
A throttled call empties the bucket of calls, halves that of resources and lets both fill more slowly; they recover by
themselves. When Redis does not answer, calls go on unlimited: AWS's own throttling is the second line.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import structlog
from redis import Redis
from redis.exceptions import RedisError

from orchestrator.aws.rates import RATES, Bucket, used

log = structlog.get_logger(__name__)

#: What a throttled call leaves of the rate, at least of all; and how much of the full rate comes back a second.
SLOWER = 0.7
SLOWEST = 0.1
RECOVERY = 0.01

_FORGOTTEN = timedelta(hours=1)
#: An account's own rate changes when somebody asks AWS for another one.
_LEARNT = timedelta(days=1)
_TIMEOUT = 2.0
_NO_RESOURCES = Bucket(1_000_000, 1_000_000)

#: KEYS: the bucket, and the account's own rate of calls. ARGV: what to do, calls (burst, refill), resources (burst,
#: refill), resources wanted, the three figures above, the time to live, and the part of the calls to be left to others.
#: Returns {milliseconds to wait, resources that could be taken with a call now}.
_SCRIPT = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local own = redis.call('HMGET', KEYS[2], 'burst', 'refill')
local burst, refill = tonumber(own[1]) or tonumber(ARGV[2]), tonumber(own[2]) or tonumber(ARGV[3])
local most, more = tonumber(ARGV[4]), tonumber(ARGV[5])
local wanted = math.min(tonumber(ARGV[6]), most)
local kept = burst * tonumber(ARGV[11])
local slower, slowest, recovery = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local known = redis.call('HMGET', KEYS[1], 'calls', 'resources', 'factor', 'at')
local factor = tonumber(known[3]) or 1
local passed = math.max(0, now - (tonumber(known[4]) or now))
local calls = math.min(burst, (tonumber(known[1]) or burst) + passed * refill * factor)
local resources = math.min(most, (tonumber(known[2]) or most) + passed * more * factor)
factor = math.min(1, factor + passed * recovery)
local wait = 0
if ARGV[1] == 'take' then
  wait = math.max(0, (math.min(burst, 1 + kept) - calls) / (refill * factor), (wanted - resources) / (more * factor))
  if wait == 0 then
    calls = calls - 1
    resources = resources - wanted
  end
elseif ARGV[1] == 'throttled' then
  calls = 0
  resources = resources / 2
  factor = math.max(slowest, factor * slower)
end
redis.call('HSET', KEYS[1], 'calls', tostring(calls), 'resources', tostring(resources),
  'factor', tostring(factor), 'at', string.format('%.6f', now))
redis.call('EXPIRE', KEYS[1], ARGV[10])
return {math.ceil(wait * 1000), calls < 1 and 0 or math.floor(resources)}
"""


class RedisLimiter:
    """`orchestrator.ports.Limiter` on Redis or Valkey. Safe to use from many threads; made after the fork."""

    def __init__(self, url: str, install: str) -> None:
        """Take the server and the install whose buckets they are; nothing is opened yet."""
        self._redis: Redis = Redis.from_url(
            url, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT, health_check_interval=30
        )
        self._script = self._redis.register_script(_SCRIPT)
        self._install = install

    def take(self, account: str, region: str, api: str, *, resources: int = 0, keep: float = 0) -> timedelta:
        """See the port."""
        answer = self._do("take", account, region, api, resources, keep)
        return timedelta() if answer is None else timedelta(milliseconds=int(answer[0]))

    def room(self, account: str, region: str, api: str) -> int:
        """See the port."""
        answer = self._do("look", account, region, api, 0)
        return int(_resources(api).burst) if answer is None else int(answer[1])

    def throttled(self, account: str, region: str, api: str) -> None:
        """See the port."""
        self._do("throttled", account, region, api, 0)

    def knows(self, account: str, region: str, api: str) -> bool:
        """See the port."""
        try:
            return bool(self._redis.exists(self._rate_key(account, region, api)))
        except RedisError:
            # Who cannot be told needs not be asked.
            return True

    def learn(self, account: str, region: str, api: str, rate: tuple[float, float] | None) -> None:
        """See the port."""
        own = used(Bucket(*rate) if rate is not None and min(rate) > 0 else RATES[api].calls)
        key = self._rate_key(account, region, api)
        try:
            with self._redis.pipeline() as pipe:
                pipe.hset(key, mapping={"burst": own.burst, "refill": own.refill})
                pipe.expire(key, _LEARNT)
                pipe.execute()
        except RedisError as error:
            log.warning("the limiter does not answer; documented rates count", api=api, reason=type(error).__name__)

    def _rate_key(self, account: str, region: str, api: str) -> str:
        return f"daywork.rates:{self._install}:{account}:{region}:{api}"

    def _do(self, what: str, account: str, region: str, api: str, wanted: int, keep: float = 0) -> Any | None:
        calls, resources = used(RATES[api].calls), _resources(api)
        key = f"daywork.limits:{self._install}:{account}:{region}:{api}"
        figures = (calls.burst, calls.refill, resources.burst, resources.refill, wanted)
        try:
            return self._script(
                keys=[key, self._rate_key(account, region, api)],
                args=[what, *figures, SLOWER, SLOWEST, RECOVERY, int(_FORGOTTEN.total_seconds()), keep],
            )
        except RedisError as error:
            log.warning("the limiter does not answer; calls go on unlimited", api=api, reason=type(error).__name__)
            return None


def _resources(api: str) -> Bucket:
    return RATES[api].resources or _NO_RESOURCES
