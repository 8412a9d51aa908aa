"""Reading messages where a Redis broker keeps them: whose step a message is, without taking it.

Messages that wait stand in a list for each queue, the oldest at its end; what was handed over and is not acknowledged
stands in a hash (`tasks.unacked`). A broker that is not Redis does not say, nor does one that does not answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog
from kombu.transport.virtual import Message
from kombu.utils.json import loads as json_loads

from config.celeryconfig import CONTROL_QUEUE, STEPS_QUEUE
from orchestrator.model.work import SESSION, WorkKey
from tasks.canvas import TASKS

if TYPE_CHECKING:
    from celery import Celery

log = structlog.get_logger(__name__)

#: The oldest messages of a queue that are looked at: the very first may be a repeat, which says nothing.
_OLDEST: Final = 10

_NAMES: Final = frozenset(TASKS.values())


def oldest(app: Celery) -> list[WorkKey]:
    """Return the units of work whose messages have waited longest in the queues of steps."""
    with app.connection_or_acquire() as connection:
        if connection.transport.driver_type != "redis":
            return []
        try:
            with connection.channel() as channel:
                waiting = [
                    raw for queue in (STEPS_QUEUE, CONTROL_QUEUE) for raw in channel.client.lrange(queue, -_OLDEST, -1)
                ]
                found = [key_of(channel, json_loads(raw)) for raw in waiting]
        except connection.connection_errors:
            return []
    return [key for key in found if key is not None]


def key_of(channel: Any, payload: Any) -> WorkKey | None:
    """Return the unit of work that a message as kombu keeps it is about; None for every other message."""
    try:
        message = Message(payload, channel=channel)
        if message.headers.get("task") not in _NAMES:
            return None
        session, *rest = message.decode()[0]
        return WorkKey(str(session), int(rest[0]) if rest else SESSION)
    except (LookupError, TypeError, ValueError):
        log.warning("a message in the broker cannot be read")
        return None
