"""What happens again and again. Each may run twice, at the same time, and does constant work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from celery.exceptions import Ignore

from orchestrator.errors import LedgerUnavailable
from orchestrator.fleet.watch import watch as watch_fleet
from orchestrator.reconcile import reconcile as reconcile_ledger
from orchestrator.scheduler.tick import tick as follow_policies
from orchestrator.sweeper.sweep import sweep as sweep_cloud
from tasks.base import DayworkTask

if TYPE_CHECKING:
    from tasks.base import DayworkApp


def register(app: DayworkApp) -> None:
    """Add the tasks to an app."""

    @app.task(bind=True, shared=False, base=DayworkTask, name="periodic.tick")
    def tick(self: DayworkTask) -> None:
        """Let due policies become sessions."""
        services = self.services
        try:
            follow_policies(services.ledger, dispatch=services.dispatch)
        except LedgerUnavailable as error:
            raise Ignore from error

    @app.task(bind=True, shared=False, base=DayworkTask, name="periodic.watch")
    def watch(self: DayworkTask) -> None:
        """Look at workers, snapshots, volumes and deadlines, and wake what waits for them."""
        try:
            watch_fleet(self.services)
        except LedgerUnavailable as error:
            raise Ignore from error

    @app.task(bind=True, shared=False, base=DayworkTask, name="periodic.reconcile")
    def reconcile(self: DayworkTask) -> None:
        """Drive on what should be moving and is not; release what the chord did not."""
        try:
            reconcile_ledger(self.services)
        except LedgerUnavailable as error:
            raise Ignore from error

    @app.task(bind=True, shared=False, base=DayworkTask, name="periodic.sweep")
    def sweep(self: DayworkTask) -> str:
        """Find what nobody owns, mark it, and remove what was marked before."""
        try:
            done = sweep_cloud(self.services)
        except LedgerUnavailable as error:
            raise Ignore from error
        return f"{len(done.findings)} findings" + (f"; only reporting: {done.distrust}" if done.distrust else "")

    del tick, watch, reconcile, sweep
