"""The door for other Celery clients, in any language."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from orchestrator.errors import LedgerUnavailable, Refused
from orchestrator.submission import submit as submit_request
from tasks.base import DayworkTask

if TYPE_CHECKING:
    from tasks.base import DayworkApp

#: A ledger that does not answer is asked again for a day.
_AGAIN = timedelta(seconds=2)
_MOST = 43_200


def register(app: DayworkApp) -> None:
    """Add the task to an app."""

    @app.task(bind=True, shared=False, base=DayworkTask, name="daywork.submit", ignore_result=False)
    def submit(self: DayworkTask, *, request: dict[str, Any]) -> dict[str, Any]:
        """Accept a session request; the result is `{"sessionId": ...}`, or `{"refused": {field, reason, remedy}}`."""
        services = self.services
        try:
            accepted = submit_request(services.ledger, request, dispatch=services.dispatch)
        except LedgerUnavailable as error:
            # The client has its answer when the request is in the ledger or refused, not before.
            raise self.retry(exc=error, countdown=_AGAIN.total_seconds(), max_retries=_MOST) from error
        except Refused as error:
            return {"refused": {"field": error.field, "reason": error.reason, "remedy": error.remedy}}
        return {"sessionId": accepted.session_id}

    del submit
