"""Making the app. Nothing is opened here: a process that only publishes pays for nothing else."""

from __future__ import annotations

import gc
from typing import Any

from celery.signals import worker_process_init

from config.celeryconfig import settings_of
from config.settings import Settings
from tasks import fleet, periodic, requests, steps
from tasks.base import DayworkApp


def make_app(settings: Settings, **parts: Any) -> DayworkApp:
    """Make the Celery app with all its tasks; `parts` replace the steps or the services (see `DayworkApp`)."""
    app = DayworkApp(settings, **parts)
    app.conf.update(settings_of(settings))
    for module in (steps, requests, fleet, periodic):
        module.register(app)
    worker_process_init.connect(_on_process_init, weak=False)
    return app


def _on_process_init(**_: Any) -> None:
    """Freeze what the parent made.

    Every Ignore leaves cyclic garbage behind; without this the collector copies the parent's pages into each child, and
    a child grows to 180 MiB instead of 82.
    """
    gc.collect()
    gc.freeze()
