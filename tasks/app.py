"""Making the app. Nothing is opened here: a process that only publishes pays for nothing else."""

from __future__ import annotations

import gc
import os
from functools import partial
from threading import Thread
from typing import Any

from celery.signals import worker_init, worker_process_init, worker_ready

from config.celeryconfig import settings_of
from config.settings import Settings
from orchestrator.ledger.holders import Holder
from tasks import fleet, periodic, requests, standstill, steps
from tasks.base import DayworkApp
from tasks.children import die_with


def make_app(settings: Settings, **parts: Any) -> DayworkApp:
    """Make the Celery app with all its tasks; `parts` replace the steps or the services (see `DayworkApp`)."""
    app = DayworkApp(settings, **parts)
    app.conf.update(settings_of(settings))
    for module in (steps, requests, fleet, periodic):
        module.register(app)
    worker_process_init.connect(partial(_on_process_init, app, os.getpid()), weak=False)
    worker_init.connect(partial(_on_worker_init, app), weak=False)
    worker_ready.connect(partial(_on_worker_ready, app), weak=False)
    return app


def _on_worker_init(app: DayworkApp, sender: Any, **_: Any) -> None:
    """Draw this life's name and read what is large before there are children: they have it from their parent."""
    app.holder = Holder(sender.hostname)
    app.warm_up()


def _on_worker_ready(app: DayworkApp, sender: Any, **_: Any) -> None:
    """Go on with what was at work when this Celery worker died, and see that it does not stand still."""
    app.take_over()
    standstill.watch(sender.controller.concurrency)


def _on_process_init(app: DayworkApp, parent: int, **_: Any) -> None:
    """Tie the child to its parent, freeze what the parent made, and step in for a child that has died.

    Every Ignore leaves cyclic garbage behind; without this the collector copies the parent's pages into each child, and
    a child grows to 180 MiB instead of 82.
    """
    die_with(parent)
    gc.collect()
    gc.freeze()
    if os.getpid() != parent:
        # Beside its first step: a child that does not report for duty within seconds is killed.
        Thread(target=app.step_in, name="step-in", daemon=True).start()
