"""A Redis list as a queue that loses nothing.

A message is moved, by the server and at once, from the queue into this consumer's own list, and leaves that list in
the same script that writes its answer. A consumer that dies leaves its list behind; whoever runs puts it back when the
dead one's sign of life has expired. So every message is handled at least once, and a refusal is written exactly once.
"""

from __future__ import annotations

import json
import secrets
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from console.intake.messages import Envelope

REQUESTS: Final = "daywork.requests"
REJECTED: Final = "daywork.rejected"

#: kombu keeps messages of other priorities in lists of their own, named so (kombu.transport.redis, `sep`).
_PRIORITIES: Final = ("", "\x06\x163", "\x06\x166", "\x06\x169")

#: How long a consumer that says nothing is believed to be alive, in seconds.
SIGN_OF_LIFE: Final = 30

#: Answers only while the message is still in our hands: another consumer may have adopted it from one believed dead. A
#: queue that is no list loses its answer and must not keep the message.
_ANSWER: Final = """
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
for i = 2, #KEYS do redis.pcall('LPUSH', KEYS[i], ARGV[i]) end
return 1
"""

#: Names that are the broker's or ours: an answer written there would be read as work.
_RESERVED: Final = ("daywork.", "_kombu.", "unacked", "celery", "chord-", "intake.")
_LONGEST_NAME: Final = 200


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A message in this consumer's hands, exactly as it was sent."""

    raw: bytes


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer to be written to a queue, in the form its reader understands: with kombu's envelope, or bare."""

    queue: str
    body: Mapping[str, Any]
    envelope: Envelope | None


class RedisQueue:
    """The request queue on a Redis-protocol broker, for one consumer and one thread.

    Every method raises `redis.RedisError` when the broker is away.
    """

    def __init__(self, url: str, *, queue: str = REQUESTS) -> None:
        """Connect lazily. `url` is `redis://`, `rediss://` or `unix://`."""
        self._redis: redis.Redis = redis.Redis.from_url(
            url,
            socket_timeout=15,
            socket_connect_timeout=5,
            socket_keepalive=True,
            health_check_interval=15,
            # The loop above decides when to come back; a retry in here would hide a broker that is away.
            retry=Retry(NoBackoff(), 0),
        )
        self._queue = queue
        self._sources = [queue + suffix for suffix in _PRIORITIES]
        self._consumers = f"intake.{queue}.consumers"
        self.name = f"{socket.gethostname()}-{secrets.token_hex(4)}"
        self._own = self._list_of(self.name)
        self._said_at = 0.0
        self._turn = 0

    def _list_of(self, consumer: str) -> str:
        return f"intake.{self._queue}.taken.{consumer}"

    def _life_of(self, consumer: str) -> str:
        return f"intake.{self._queue}.alive.{consumer}"

    def open(self) -> None:
        """Announce this consumer. Must be called first, and again after a lost connection."""
        self._announce()

    def _announce(self) -> None:
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(self._life_of(self.name), "1", ex=SIGN_OF_LIFE)
            pipe.sadd(self._consumers, self.name)
            pipe.execute()
        self._said_at = time.monotonic()

    def adopt(self) -> int:
        """Put back what dead consumers, and this one before a lost connection, held. Returns how many messages."""
        moved = self._give_back(self._own)
        for name in cast("set[bytes]", self._redis.smembers(self._consumers)):
            consumer = name.decode()
            if consumer == self.name or self._redis.exists(self._life_of(consumer)):
                continue
            moved += self._give_back(self._list_of(consumer))
            self._redis.srem(self._consumers, consumer)
        return moved

    def _give_back(self, held: str) -> int:
        moved = 0
        while self._redis.lmove(held, self._queue, "RIGHT", "RIGHT") is not None:
            moved += 1
        return moved

    def say_alive(self) -> None:
        """Renew the sign of life if it is due. Whoever holds a message for long must call it."""
        if time.monotonic() - self._said_at > SIGN_OF_LIFE / 3:
            self._announce()

    def take(self, seconds: int) -> Taken | None:
        """Wait for a message, at most so long. Returns None when none came."""
        self.say_alive()
        # Lists of other priorities are rare: they are looked at in passing, the main one is waited on.
        for source in self._sources[1:]:
            raw = self._redis.lmove(source, self._own, "RIGHT", "LEFT")
            if raw is not None:
                return Taken(raw=cast("bytes", raw))
        raw = self._redis.blmove(self._queue, self._own, seconds, "RIGHT", "LEFT")
        return None if raw is None else Taken(raw=cast("bytes", raw))

    def answer(self, taken: Taken, replies: list[Reply]) -> None:
        """Write the answers and let go of the message, both or neither, and only if it is still ours."""
        keys = [self._own, *(reply.queue for reply in replies)]
        texts = [wire_form(reply) for reply in replies]
        self._redis.eval(_ANSWER, len(keys), *keys, taken.raw, *texts)

    def close(self) -> None:
        """Give back what is held and leave."""
        self._give_back(self._own)
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(self._life_of(self.name))
            pipe.srem(self._consumers, self.name)
            pipe.execute()
        self._redis.close()

    def drop(self) -> None:
        """Close the connections without a word, after an error."""
        self._redis.connection_pool.disconnect()


def may_answer_on(queue: str) -> bool:
    """Whether a producer may name this queue for its answer: not one of the broker's own, or of ours."""
    return 0 < len(queue) <= _LONGEST_NAME and queue.isprintable() and not queue.startswith(_RESERVED)


def wire_form(reply: Reply) -> str:
    """Return an answer as it goes to the broker: bare JSON, or in kombu's envelope with a readable body."""
    text = json.dumps(dict(reply.body), separators=(",", ":"))
    if reply.envelope is None:
        return text
    return json.dumps(
        {
            "body": text,
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {},
            "properties": {
                "correlation_id": reply.envelope.correlation_id,
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": reply.queue},
                "priority": 0,
                # None: the body is what it looks like, not base64.
                "body_encoding": None,
                "delivery_tag": secrets.token_hex(16),
            },
        }
    )
