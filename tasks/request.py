"""How a step's end is told to whoever watches Celery's events: a step that failed is a failure there too.

A step never raises, because its chain has to go on to teardown; so Celery itself would call every one of them a
success, and Flower's counts, filters and metrics with it. Only the event changes: message, chord and ledger do not.
"""

from __future__ import annotations

from typing import Any, Final

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
