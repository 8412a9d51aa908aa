"""What happens again and again. Each may run twice, at the same time, and does constant work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery.exceptions import Ignore

from config.celeryconfig import CONTROL_QUEUE, STEPS_QUEUE
from orchestrator.errors import LedgerUnavailable
from orchestrator.fleet.watch import watch as watch_fleet
from orchestrator.ledger.work import GRACE, GRACE_WHEN_IDLE
from orchestrator.reconcile import reconcile as reconcile_ledger
from orchestrator.scheduler.tick import tick as follow_policies
from orchestrator.sweeper.sweep import sweep as sweep_cloud
from tasks.base import DayworkTask

if TYPE_CHECKING:
    from celery import Celery

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
            reconcile_ledger(self.services, grace=GRACE_WHEN_IDLE if is_idle(self.app) else GRACE)
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


def is_idle(app: Celery) -> bool:
    """Whether no message waits in a queue of steps. A broker that cannot say counts as busy."""
    with app.connection_or_acquire() as connection:
        try:
            return not any(_waiting(connection, queue) for queue in (STEPS_QUEUE, CONTROL_QUEUE))
        except connection.connection_errors:
            return False


def _waiting(connection: Any, queue: str) -> int:
    with connection.channel() as channel:
        try:
            return int(channel.queue_declare(queue, passive=True).message_count)
        except connection.channel_errors:
            return 0  # There is no such queue; on Redis an empty one is none.
