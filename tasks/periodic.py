"""What happens again and again. Each may run twice, at the same time, and does constant work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from celery.exceptions import Ignore

from config.celeryconfig import BACKUP_HARD_LIMIT, BACKUP_SOFT_LIMIT, CONTROL_QUEUE, STEPS_QUEUE
from orchestrator.backups import back_up
from orchestrator.bootstrap import make_backups
from orchestrator.errors import CloudError, LedgerUnavailable, Refused
from orchestrator.fleet.watch import watch as watch_fleet
from orchestrator.ledger.work import GRACE_WHEN_IDLE
from orchestrator.reconcile import find_lost, patience, reconcile as reconcile_ledger
from orchestrator.scheduler.tick import tick as follow_policies
from orchestrator.sweeper.sweep import sweep as sweep_cloud
from orchestrator.sweeper.turn import PLACES
from tasks.base import DayworkTask
from tasks.messages import oldest
from tasks.unacked import ARRIVAL, unacknowledged

if TYPE_CHECKING:
    from celery import Celery

    from tasks.base import DayworkApp

log = structlog.get_logger(__name__)


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
            find_lost(self.services, unacknowledged(self.app), grace=ARRIVAL)
            idle = is_idle(self.app)
            grace = GRACE_WHEN_IDLE if idle else patience(self.services, oldest(self.app))
            reconcile_ledger(self.services, grace=grace)
        except LedgerUnavailable as error:
            raise Ignore from error

    @app.task(bind=True, shared=False, base=DayworkTask, name="periodic.sweep")
    def sweep(self: DayworkTask) -> str:
        """Find what nobody owns, mark it, and remove what was marked before."""
        try:
            done = sweep_cloud(self.services, places=PLACES)
        except LedgerUnavailable as error:
            raise Ignore from error
        words = f"{len(done.findings)} findings in {done.accounts} accounts"
        return words + (f"; only reporting: {done.distrust}" if done.distrust else "")

    @app.task(
        bind=True,
        shared=False,
        base=DayworkTask,
        name="periodic.backup",
        soft_time_limit=int(BACKUP_SOFT_LIMIT.total_seconds()),
        time_limit=int(BACKUP_HARD_LIMIT.total_seconds()),
    )
    def backup(self: DayworkTask) -> str:
        """Copy the ledger to the control bucket, if it has changed."""
        return _back_up(self)

    del tick, watch, reconcile, sweep, backup


def _back_up(task: DayworkTask) -> str:
    """Copy the ledger; returns words for whoever watches."""
    services, settings = task.services, task.daywork.settings
    try:
        done = back_up(
            services.ledger,
            make_backups(settings, services.ledger),
            epoch=services.cloud.orders().epoch(),
            install=services.install.id,
            keep=settings.backups_kept,
        )
    except LedgerUnavailable as error:
        raise Ignore from error
    except (Refused, CloudError) as error:
        log.warning("ledger not backed up", reason=error.reason)
        return f"failed: {error.reason}"
    return f"{done.name}: {done.rows} rows" if done.is_new else f"{done.name} is still the same"


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
