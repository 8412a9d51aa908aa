"""What every task needs: the services of its process, and one way to carry a step out."""

from __future__ import annotations

import os
from threading import Lock
from typing import TYPE_CHECKING, Any

from celery import Celery, Task
from celery.exceptions import Ignore

from orchestrator.errors import LedgerUnavailable
from orchestrator.model.status import Step
from orchestrator.model.work import WorkKey
from orchestrator.steps import STEPS
from orchestrator.steps.carry import Verdict, carry_out

if TYPE_CHECKING:
    from config.settings import Settings
    from orchestrator.services import Services


class DayworkApp(Celery):  # type: ignore[misc]  # Celery's class is untyped
    """The Celery app with our settings and, in each process after its fork, the services."""

    def __init__(self, settings: Settings, **options: Any) -> None:
        """Take the settings; nothing is opened until a task needs it."""
        super().__init__("daywork", **options)
        self.settings = settings
        self._made: tuple[int, Services] | None = None
        self._lock = Lock()

    @property
    def services(self) -> Services:
        """The services of this process: made at first use, because engines and clients must not cross a fork."""
        with self._lock:
            if self._made is None or self._made[0] != os.getpid():
                from orchestrator.bootstrap import make_services
                from tasks.canvas import CeleryDispatch

                self._made = (os.getpid(), make_services(self.settings, lambda ledger: CeleryDispatch(self, ledger)))
            return self._made[1]


class DayworkTask(Task):  # type: ignore[misc]  # Celery's class is untyped
    """Base of all tasks. A child that dies is tried again, three times, after the chord's own claim (6 s) is over."""

    max_retries = 3
    default_retry_delay = 8

    @property
    def services(self) -> Services:
        """The services of this process."""
        services: Services = self.app.services
        return services


def carry(task: DayworkTask, key: WorkKey, step: Step, attempt: int) -> str:
    """Carry a step out. Returns words for whoever watches, or raises `Ignore`: nothing follows from this message.

    A parked step tells Flower so with an event of its own; nothing else of it stays in Celery.
    """
    try:
        carried = carry_out(task.services, STEPS, key, step, attempt)
    except LedgerUnavailable as error:
        # The work stands as it stood: the reconciler drives it as soon as the ledger answers.
        task.send_event("task-waiting", result="waiting: the ledger does not answer")
        raise Ignore from error
    if carried.verdict is Verdict.STAND:
        task.send_event("task-waiting", result=carried.words)
        raise Ignore
    return carried.words
