"""The intake process: take a message, submit it, answer, again. Nothing that arrives stops it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event
from typing import Any

import redis
import structlog

from agent.protocol import format_time
from console.intake.messages import Envelope, Message, read_message
from console.intake.queue import REJECTED, RedisQueue, Reply, Taken, may_answer_on
from orchestrator.errors import LedgerUnavailable, Refused
from orchestrator.ledger.store import Ledger
from orchestrator.ports import Dispatch
from orchestrator.submission import submit

log = structlog.get_logger(__name__)

#: Seconds to wait for a message before looking whether to end, and for orphans of dead consumers.
_WAIT = 2
_PAUSE = 1.0
_LONGEST_PAUSE = 15.0

#: Refused messages are read by people and by kombu's consumers alike.
_PLAIN = Envelope(reply_to=None, correlation_id=None, content_type="application/json", headers={})


class Intake:
    """Consumes one request queue until it is told to stop."""

    def __init__(self, queue: RedisQueue, ledger: Ledger, dispatch: Dispatch, *, stop: Event) -> None:
        """Take the queue, where sessions are accepted, and the event that ends it."""
        self._queue = queue
        self._ledger = ledger
        self._dispatch = dispatch
        self._stop = stop

    def run(self) -> None:
        """Consume until `stop` is set. A broker or ledger that is away is waited for."""
        pause = _PAUSE
        while not self._stop.is_set():
            try:
                self._queue.open()
                if adopted := self._queue.adopt():
                    log.info("requests of a dead intake taken over", count=adopted)
                pause = _PAUSE
                self._consume()
                self._queue.close()
            except redis.RedisError as error:
                log.warning("the request queue does not answer", reason=type(error).__name__, again_in=pause)
                self._queue.drop()
                self._stop.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    def _consume(self) -> None:
        idle = 0
        while not self._stop.is_set():
            taken = self._queue.take(_WAIT)
            if taken is None:
                idle += 1
                if idle % 5 == 0:
                    self._queue.adopt()
                continue
            self.handle(taken)

    def handle(self, taken: Taken) -> None:
        """Submit one message and answer it. A ledger that does not answer is waited for with the message in hand."""
        message = read_message(taken.raw)
        pause = _PAUSE
        while True:
            try:
                replies = self._replies(taken, message)
                break
            except LedgerUnavailable:
                log.warning("the ledger does not answer: requests wait in their queue", again_in=pause)
                if self._stop.wait(pause):
                    return
                self._queue.say_alive()
                pause = min(pause * 2, _LONGEST_PAUSE)
        self._queue.answer(taken, replies)

    def _replies(self, taken: Taken, message: Message) -> list[Reply]:
        if message.problem is not None:
            return self._refusal(taken, message, message.problem)
        reply_to = message.reply_to
        if reply_to is not None and not may_answer_on(reply_to):
            problem = Refused(
                "answers cannot be written to this queue",
                field="replyTo",
                value=reply_to,
                remedy="Name a queue of your own",
            )
            return self._refusal(taken, message, problem)
        try:
            accepted = submit(self._ledger, message.document, dispatch=self._dispatch)
        except Refused as error:
            return self._refusal(taken, message, error)
        except LedgerUnavailable:
            raise
        except Exception as error:
            # A document that makes our own code fail must not come back for ever.
            log.exception("request could not be handled")
            problem = Refused(f"internal error ({type(error).__name__})", remedy="Report it with this message")
            return self._refusal(taken, message, problem)
        log.info("session accepted", session_id=accepted.session_id, created=accepted.created)
        body = {"schemaVersion": 1, "accepted": True, "sessionId": accepted.session_id, "created": accepted.created}
        return self._reply(message, reply_to, body | _key(message))

    def _refusal(self, taken: Taken, message: Message, problem: Refused) -> list[Reply]:
        refused = {"schemaVersion": 1, "accepted": False, "refused": _described(problem)} | _key(message)
        log.warning("request refused", field=problem.field, reason=problem.reason)
        kept = refused | {
            "rejectedAt": format_time(datetime.now(UTC)),
            "message": taken.raw.decode("utf-8", "backslashreplace"),
        }
        reply_to = message.reply_to
        wanted = reply_to if reply_to is not None and may_answer_on(reply_to) else None
        return [Reply(queue=REJECTED, body=kept, envelope=_PLAIN), *self._reply(message, wanted, refused)]

    def _reply(self, message: Message, queue: str | None, body: dict[str, Any]) -> list[Reply]:
        return [] if queue is None else [Reply(queue=queue, body=body, envelope=message.envelope)]


def _key(message: Message) -> dict[str, Any]:
    """Return the request's own key, so that a producer knows which of its requests is meant."""
    document = message.document if isinstance(message.document, dict) else {}
    return {name: document[name] for name in ("source", "id") if isinstance(document.get(name), str)}


def _described(problem: Refused) -> dict[str, Any]:
    def one(error: Refused) -> dict[str, Any]:
        parts = {"field": error.field, "reason": error.reason, "value": error.value, "remedy": error.remedy}
        return {name: value for name, value in parts.items() if value}

    return one(problem) | {"problems": [one(error) for error in problem.problems or [problem]]}


def make_queue(url: str) -> RedisQueue:
    """Open the request queue that a URL names. Raises `Refused` for a broker that this version does not read."""
    scheme = url.partition("://")[0]
    makers: dict[str, Callable[[str], RedisQueue]] = {
        "redis": RedisQueue,
        "rediss": RedisQueue,
        "redis+socket": lambda given: RedisQueue(_socket_url(given)),
    }
    if scheme not in makers:
        raise Refused(
            "the intake does not read this kind of broker",
            field="DAYWORK_INTAKE_URL",
            value=scheme,
            remedy=f"Use {', '.join(makers)}",
        )
    return makers[scheme](url)


def _socket_url(url: str) -> str:
    """Turn Celery's `redis+socket:///path?virtual_host=0` into redis-py's `unix:///path?db=0`."""
    return "unix" + url.removeprefix("redis+socket").replace("virtual_host=", "db=")
