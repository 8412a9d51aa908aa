"""A producer on another program's side of the request queue: it sends until it is answered, as good ones do."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

#: After how many seconds without an answer a request is sent again: it, or the answer, was lost with the broker's data.
_PATIENCE = 4.0


@dataclass
class Producer:
    """Sends requests as bare JSON to `daywork.requests` and reads the answers on a queue of its own."""

    broker_url: str
    name: str
    waiting: dict[str, tuple[dict[str, Any], float]] = field(default_factory=dict)
    #: (id of a request, answer), in the order in which they came; a request that was sent twice has two.
    answers: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Connect when something is sent; whoever is killed meanwhile is not waited for."""
        self._redis: redis.Redis = redis.Redis.from_url(
            self.broker_url, socket_timeout=5, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0)
        )

    def send(self, request_id: str, request: Mapping[str, Any]) -> None:
        """Have a request sent until it is answered."""
        body = {"source": self.name, "id": request_id, "replyTo": f"{self.name}.answers", **request}
        self.waiting[request_id] = (body, 0.0)
        self.pump()

    def pump(self) -> None:
        """Read the answers that are there; send what has not been answered in time. A broker may be away."""
        try:
            while (raw := self._redis.rpop(f"{self.name}.answers")) is not None:
                answer = json.loads(str(raw, "utf-8") if isinstance(raw, bytes) else str(raw))
                self.answers.append((answer["id"], answer))
                self.waiting.pop(answer["id"], None)
            for request_id, (body, sent) in self.waiting.items():
                if time.monotonic() - sent >= _PATIENCE:
                    self._redis.lpush("daywork.requests", json.dumps(body))
                    self.waiting[request_id] = (body, time.monotonic())
        except redis.RedisError:
            self._redis.connection_pool.disconnect()

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()
