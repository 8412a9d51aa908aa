"""The door for other Celery clients, in any language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.errors import Refused
from orchestrator.submission import submit as submit_request
from tasks.base import DayworkTask

if TYPE_CHECKING:
    from tasks.base import DayworkApp


def register(app: DayworkApp) -> None:
    """Add the task to an app."""

    @app.task(bind=True, shared=False, base=DayworkTask, name="daywork.submit", ignore_result=False)
    def submit(self: DayworkTask, *, request: dict[str, Any]) -> dict[str, Any]:
        """Accept a session request; the result is `{"sessionId": ...}`, or `{"refused": {field, reason, remedy}}`."""
        services = self.services
        try:
            accepted = submit_request(services.ledger, request, dispatch=services.dispatch)
        except Refused as error:
            return {"refused": {"field": error.field, "reason": error.reason, "remedy": error.remedy}}
        return {"sessionId": accepted.session_id}

    del submit
