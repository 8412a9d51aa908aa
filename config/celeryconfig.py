"""Celery's settings, each with what was measured without it (Celery 5.7.0 on a Redis-protocol broker)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from config.settings import Settings

#: A step runs for seconds; the limits are far above that, and below the ledger's claim of 90 s and the visibility time.
STEP_SOFT_LIMIT = timedelta(seconds=60)
STEP_HARD_LIMIT = timedelta(seconds=75)
VISIBILITY = timedelta(minutes=5)

#: A copy of a large ledger takes minutes; it must end before its message is handed out again.
BACKUP_SOFT_LIMIT = timedelta(seconds=240)
BACKUP_HARD_LIMIT = timedelta(seconds=270)

#: How often due policies are looked for.
TICK = timedelta(seconds=1)

STEPS_QUEUE = "daywork.steps"
CONTROL_QUEUE = "daywork.control"
PERIODIC_QUEUE = "daywork.periodic"
QUEUES = (STEPS_QUEUE, CONTROL_QUEUE, PERIODIC_QUEUE)


def settings_of(settings: Settings) -> dict[str, Any]:
    """Return the whole configuration of an app with these settings."""
    return celery_settings(
        broker_url=settings.broker_url,
        result_url=settings.result_url or settings.broker_url,
        watch_every=timedelta(seconds=settings.watch_seconds),
        reconcile_every=timedelta(seconds=settings.reconcile_seconds),
        sweep_every=timedelta(seconds=settings.sweep_seconds),
        backup_every=timedelta(seconds=settings.backup_seconds),
    )


def celery_settings(
    *,
    broker_url: str,
    result_url: str,
    watch_every: timedelta,
    reconcile_every: timedelta,
    sweep_every: timedelta,
    backup_every: timedelta,
) -> dict[str, Any]:
    """Return the whole configuration of the app."""
    return {
        "broker_url": broker_url,
        "result_backend": result_url,
        # JSON only: a pickle in a message would be code.
        "accept_content": ["json"],
        "task_serializer": "json",
        "result_serializer": "json",
        # Without it a killed Celery worker loses the step it was at.
        "task_acks_late": True,
        # Without these a killed pool child fails the chain (no teardown); with the first alone a step that kills its
        # process is delivered for ever.
        "task_reject_on_worker_lost": True,
        "task_retry_on_worker_lost": True,
        # The truth is in the ledger; stored results cost 20 Redis commands a resource and open a window in which a
        # finished chord part is never counted.
        "task_ignore_result": True,
        "result_expires": timedelta(days=1),
        # The longest quiet gap a chord survives: by default a session that waits for a day never calls back.
        "result_chord_expires": timedelta(days=30),
        # The default gives up after 0.6 s: a broker restart then cuts every chain that was about to go on.
        "task_publish_retry_policy": {
            "max_retries": 60,
            "interval_start": 0.2,
            "interval_step": 0.5,
            "interval_max": 2,
        },
        "result_backend_always_retry": True,
        "result_backend_max_retries": 60,
        "result_backend_base_sleep_between_retries_ms": 100,
        "result_backend_transport_options": {
            "retry_policy": {"timeout": 60.0, "max_retries": 40, "interval_start": 0.2, "interval_step": 0.3}
        },
        # A step that waits in a prefetch buffer cannot be taken by an idle child, and is lost to a visibility timeout.
        "worker_prefetch_multiplier": 1,
        # True drops running steps without redelivery (4 of 4 lost).
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_soft_shutdown_timeout": 10.0,
        "worker_hijack_root_logger": False,  # our logging, with session and step on each line
        "worker_send_task_events": True,  # Flower
        "task_send_sent_event": True,
        "task_soft_time_limit": STEP_SOFT_LIMIT.total_seconds(),
        "task_time_limit": STEP_HARD_LIMIT.total_seconds(),
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {
            "visibility_timeout": VISIBILITY.total_seconds(),
            # The defaults look for lost messages every 100 s on top of the visibility timeout.
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "health_check_interval": 5,
            # Without a time-out a broker that vanishes without closing its connections is never noticed.
            "socket_timeout": 10,
            "socket_keepalive": True,
        },
        "task_default_queue": STEPS_QUEUE,
        "task_create_missing_queues": True,
        "task_routes": {
            "worker.*": {"queue": STEPS_QUEUE},
            "session.*": {"queue": CONTROL_QUEUE},
            "daywork.*": {"queue": CONTROL_QUEUE},
            "fleet.*": {"queue": CONTROL_QUEUE},
            "periodic.*": {"queue": PERIODIC_QUEUE},
        },
        "timezone": "UTC",
        "enable_utc": True,
        # A handful of constant entries; each expires before the next two are due, so an outage leaves no pile behind.
        "beat_schedule": {
            "tick": {
                "task": "periodic.tick",
                "schedule": TICK,
                "options": {"queue": PERIODIC_QUEUE, "expires": 2 * TICK.total_seconds()},
            },
            "watch": {
                "task": "periodic.watch",
                "schedule": watch_every,
                "options": {"queue": PERIODIC_QUEUE, "expires": 2 * watch_every.total_seconds()},
            },
            "reconcile": {
                "task": "periodic.reconcile",
                "schedule": reconcile_every,
                "options": {"queue": PERIODIC_QUEUE, "expires": 2 * reconcile_every.total_seconds()},
            },
            "sweep": {
                "task": "periodic.sweep",
                "schedule": sweep_every,
                # A pass takes as long as AWS does: among steps, because it must not hold up the ticks of policies.
                "options": {"queue": CONTROL_QUEUE, "expires": 2 * sweep_every.total_seconds()},
            },
            "backup": {
                "task": "periodic.backup",
                "schedule": backup_every,
                # It grows with the ledger: among steps too.
                "options": {"queue": CONTROL_QUEUE, "expires": 2 * backup_every.total_seconds()},
            },
        },
    }
