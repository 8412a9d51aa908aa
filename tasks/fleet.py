"""Launching and ending workers in batches, on the control queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from celery.exceptions import Ignore

from orchestrator.errors import LedgerUnavailable
from orchestrator.fleet.endings import end_workers
from orchestrator.fleet.launches import launch_pending
from tasks.base import DayworkTask

if TYPE_CHECKING:
    from tasks.base import DayworkApp


def register(app: DayworkApp) -> None:
    """Add the tasks to an app."""

    @app.task(bind=True, shared=False, base=DayworkTask, name="fleet.launch")
    def launch(self: DayworkTask, account: str, region: str) -> str:
        """Launch what is asked for in an account and Region; `watch` repeats it as long as requests are open."""
        try:
            launch_pending(self.services, account, region)
        except LedgerUnavailable as error:
            raise Ignore from error
        return f"account={account} region={region}"

    @app.task(bind=True, shared=False, base=DayworkTask, name="fleet.terminate")
    def terminate(self: DayworkTask, account: str, region: str) -> str:
        """End what has nothing left to do in an account and Region; `watch` repeats it as long as something lives."""
        try:
            end_workers(self.services, account, region)
        except LedgerUnavailable as error:
            raise Ignore from error
        return f"account={account} region={region}"

    del launch, terminate
