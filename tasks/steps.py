"""The tasks of a session and of its resources: decode, carry the step out, publish what comes next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from celery.exceptions import Ignore

from orchestrator.errors import LedgerUnavailable
from orchestrator.ledger import sessions
from orchestrator.ledger.store import Ledger
from orchestrator.model.status import ResourceStatus, Step
from orchestrator.model.work import SESSION, WorkKey
from tasks.base import DayworkTask, carry
from tasks.canvas import TASKS, publish_session

if TYPE_CHECKING:
    from tasks.base import DayworkApp


def register(app: DayworkApp) -> None:
    """Add the tasks to an app."""

    @app.task(bind=True, shared=False, base=DayworkTask, name=TASKS[Step.START])
    def start(self: DayworkTask, session: str) -> str:
        words = carry(self, WorkKey(session, SESSION), Step.START, 1)
        try:
            size = publish_session(app, self.services.ledger, session)
            return _refused(self.services.ledger, session) or f"{words}: {size} resources"
        except LedgerUnavailable as error:
            # Whatever is not published by now stands still, and the reconciler drives what stands still.
            raise Ignore from error

    @app.task(bind=True, shared=False, base=DayworkTask, name=TASKS[Step.ASSUME_ROLE])
    def assume_role(self: DayworkTask, session: str, ordinal: int, attempt: int) -> str:
        return carry(self, WorkKey(session, ordinal), Step.ASSUME_ROLE, attempt)

    @app.task(bind=True, shared=False, base=DayworkTask, name=TASKS[Step.LAUNCH_WORKER])
    def launch(self: DayworkTask, session: str, ordinal: int, attempt: int) -> str:
        return carry(self, WorkKey(session, ordinal), Step.LAUNCH_WORKER, attempt)

    @app.task(bind=True, shared=False, base=DayworkTask, name=TASKS[Step.RUN_JOB])
    def run_job(self: DayworkTask, session: str, ordinal: int, attempt: int) -> str:
        return carry(self, WorkKey(session, ordinal), Step.RUN_JOB, attempt)

    @app.task(bind=True, shared=False, base=DayworkTask, name=TASKS[Step.TEARDOWN])
    def teardown(self: DayworkTask, session: str, ordinal: int, attempt: int) -> str:
        return carry(self, WorkKey(session, ordinal), Step.TEARDOWN, attempt)

    @app.task(bind=True, shared=False, base=DayworkTask, name=TASKS[Step.RELEASE])
    def release(self: DayworkTask, session: str) -> str:
        return carry(self, WorkKey(session, SESSION), Step.RELEASE, 1)

    del start, assume_role, launch, run_job, teardown, release  # found by name in the app's own registry


def _refused(ledger: Ledger, session: str) -> str | None:
    """Name what planning has refused: such a resource has no task of its own to show it."""
    with ledger.read() as tx:
        counts = sessions.statuses(tx, session)
        failed = counts.get(ResourceStatus.FAILED, 0)
        if not failed:
            return None
        first = sessions.resources(tx, session, statuses=[ResourceStatus.FAILED])[0]
    return f"failed: {failed} of {sum(counts.values())} resources; {first.resource_id}: {first.reason}"
