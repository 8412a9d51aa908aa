"""One process of the control plane, with settings from the environment: what compose, systemd and `daywork up` start.

Each says when it is ready the way systemd asks for it (`Type=notify`), and ends softly on SIGTERM.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Sequence
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING, Any

from config import logging
from config.celeryconfig import QUEUES, settings_of
from config.settings import SettingsError
from console.stack import context
from console.stack.ready import announce_ready

if TYPE_CHECKING:
    from celery import Celery

    from config.settings import Settings
    from tasks.base import DayworkApp

_PREFIX = "daywork."
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Crashed(RuntimeError):
    """A process has ended by itself because of an error, which its log tells; whoever watches it starts it again."""


def celery_worker(name: str, queues: Sequence[str], concurrency: int) -> None:
    """Be a Celery worker on these queues until SIGTERM.

    Raises `ValueError` that names a queue that does not exist, and `Crashed`: a Celery worker that holds messages when
    the broker goes away does not get over it (kombu 5.7).
    """
    wanted = [queue if queue.startswith(_PREFIX) else _PREFIX + queue for queue in queues]
    if unknown := sorted(set(wanted) - set(QUEUES)):
        known = ", ".join(queue.removeprefix(_PREFIX) for queue in QUEUES)
        raise ValueError(f"queue {unknown[0].removeprefix(_PREFIX)!r} does not exist; known are {known}")
    # SIGTERM then ends softly: running steps get `worker_soft_shutdown_timeout`, what is left is handed back at once
    # and not after the visibility timeout. Celery reads this when it is imported.
    os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")
    app = _worker_app()
    from celery.signals import worker_ready
    from celery.worker import state

    worker_ready.connect(_on_ready, weak=False)
    # made here and not by `celery worker`: that command imports a shell and every plug-in, a fifth of the start
    worker = app.Worker(
        hostname=f"{name}@{socket.gethostname()}",
        queues=wanted,
        concurrency=concurrency,
        task_events=True,
        without_gossip=True,
        without_mingle=True,
        loglevel="INFO",
        quiet=True,
    )
    worker.start()
    # Celery calls a soft end by SIGTERM a failure
    if worker.exitcode and state.should_terminate is None:
        raise Crashed("the Celery worker has ended because of an error")


def beat() -> None:
    """Be the one process that has periodic work done."""
    app = _sender(_context().settings)
    from celery.signals import beat_init

    beat_init.connect(_on_ready, weak=False)
    # in memory: the default keeps a file, which a kill can break; after a start each entry is due within its interval
    app.Beat(scheduler="celery.beat:Scheduler", loglevel="INFO", quiet=True).run()


def flower() -> None:
    """Be Flower, reading `config/flowerconfig.py`.

    Raises `SettingsError` when it would be open to others than this machine without a password.
    """
    settings = _context().settings
    check_flower(settings)
    app = _sender(settings)
    from tornado.ioloop import IOLoop

    from config import flowerconfig

    # runs as soon as the loop does, which is after the port has been opened
    IOLoop.current().add_callback(announce_ready)
    app.start(["flower", f"--conf={flowerconfig.__file__}"])


def check_flower(settings: Settings) -> None:
    """Refuse to show Flower to others without a password. Raises `SettingsError`."""
    if settings.flower_address not in _LOOPBACK and settings.flower_basic_auth is None:
        raise SettingsError(
            f"DAYWORK_FLOWER_ADDRESS is {settings.flower_address}, which others can reach: set "
            "DAYWORK_FLOWER_BASIC_AUTH to user:password, or use 127.0.0.1. /metrics and /healthcheck ask for no "
            "password in any case: keep them behind a firewall"
        )


def listener() -> None:
    """Be the process that takes the agents' reports."""
    from console.listener import listen

    found = _context()
    listen(found, on_ready=announce_ready)


def intake() -> None:
    """Be the process that takes session requests from other programs' queues."""
    from console.intake.service import Intake, make_queue

    found = _context()
    services = found.services()
    stop = Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    service = Intake(make_queue(found.settings.broker_url), services.ledger, services.dispatch, stop=stop)
    announce_ready()
    service.run()


def _context() -> context.Context:
    found = context.load()
    found.enter()
    logging.set_up(found.settings.log_format)
    return found


def _worker_app() -> DayworkApp:
    found = _context()
    from tasks.app import make_app

    _keep_our_logging()
    return make_app(found.settings)


def _sender(settings: Settings) -> Celery:
    """Return an app that knows tasks by name alone: enough to send and to watch them, at half the memory."""
    from celery import Celery

    _keep_our_logging()
    app = Celery("daywork")
    app.conf.update(settings_of(settings))
    return app


def _keep_our_logging() -> None:
    from celery.signals import setup_logging

    # whoever answers this signal keeps Celery from setting up logging of its own
    setup_logging.connect(_on_setup_logging, weak=False)


def _on_setup_logging(**_: Any) -> None:
    """Leave logging as `_context` has set it up."""


def _on_ready(**_: Any) -> None:
    announce_ready()
