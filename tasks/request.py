"""How a step's end is told to whoever watches Celery's events: a step that failed is a failure there too.

A step never raises, because its chain has to go on to teardown; so Celery itself would call every one of them a
success, and Flower's counts, filters and metrics with it. And of a step that waits Celery would tell nothing. Only the
events change: message, chord and ledger do not. They are sent by the Celery worker's parent, many at once; a pool child
that sends its own waits for the broker each time, which took a fifth of its time.
"""

from __future__ import annotations

from typing import Any, Final

from celery.exceptions import Ignore
from celery.worker.request import Request

from config.flowertask import plain

FAILED: Final = "failed: "


class StepRequest(Request):
    """The Celery worker's side of one delivered task."""

    def send_event(self, type: str, **fields: Any) -> None:  # noqa: A002 - Celery's own parameter name
        """Send an event; the success of a task whose words say that it failed is sent as a failure, with the reason."""
        words = plain(fields.get("result")) if type == "task-succeeded" else None
        if words is not None and words.startswith(FAILED):
            super().send_event("task-failed", **fields, exception=words.removeprefix(FAILED))
        else:
            super().send_event(type, **fields)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:  # noqa: FBT001, FBT002 - Celery's
        """Tell that a step waits: it has ended with `Ignore` and the words for it."""
        ended = getattr(exc_info.exception, "exc", exc_info.exception)
        if isinstance(ended, Ignore) and ended.args:
            self.send_event("task-waiting", result=str(ended.args[0]))
        super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)
