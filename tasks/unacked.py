"""Messages that were handed to a Celery worker and never acknowledged: what its death leaves in a Redis broker.

Redis gives them back when their visibility time-out is over, which is minutes. The ledger says at once which of them
will not be heard of again: those whose work nobody has claimed.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from kombu.utils.json import loads as json_loads

from orchestrator.model.work import WorkKey
from tasks.messages import key_of

if TYPE_CHECKING:
    from celery import Celery

#: From a message's arrival in a Celery worker to its step's claim: milliseconds, unless the worker is gone.
ARRIVAL: Final = timedelta(seconds=1)

#: Messages in one look; each Celery worker holds as many as it has children.
_MOST: Final = 1000


def unacknowledged(app: Celery, *, since: timedelta = ARRIVAL) -> list[WorkKey]:
    """Return the units of work whose messages were handed over longer ago than `since` and are not acknowledged.

    Most of them are being worked on. A broker that is not Redis gives messages back by itself, so none are named;
    neither are any of a broker that does not answer: the next look finds them.
    """
    with app.connection_or_acquire() as connection:
        if connection.transport.driver_type != "redis":
            return []
        try:
            with connection.channel() as channel:
                held = [
                    key_of(channel, json_loads(one)[0])
                    for one in _held(channel, before=time.time() - since.total_seconds())
                ]
        except connection.connection_errors:
            return []
    return list(dict.fromkeys(key for key in held if key is not None))


def _held(channel: Any, *, before: float) -> list[bytes]:
    """Return messages as kombu keeps them: `[message, exchange, routing key]`."""
    client = channel.client
    tags = client.zrangebyscore(channel.unacked_index_key, 0, before, start=0, num=_MOST)
    return [one for one in client.hmget(channel.unacked_key, tags) if one is not None] if tags else []
