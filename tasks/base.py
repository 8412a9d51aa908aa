"""What every task needs: the services of its process, and one way to carry a step out."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

import structlog
from celery import Celery, Task
from celery.exceptions import Ignore

from config.settings import Settings
from orchestrator.bootstrap import make_services, warm_up
from orchestrator.errors import LedgerUnavailable
from orchestrator.ledger.holders import Holder
from orchestrator.ledger.store import Ledger
from orchestrator.ledger.work import Refusal
from orchestrator.model.status import Step
from orchestrator.model.work import SESSION, WorkKey
from orchestrator.ports import Dispatch
from orchestrator.reconcile import find_lost, take_over
from orchestrator.services import Services
from orchestrator.steps import STEPS
from orchestrator.steps.carry import StepFunction, Verdict, carry_out, resource_failed
from orchestrator.steps.interrupted import give_back_later
from tasks.canvas import CeleryDispatch
from tasks.unacked import ARRIVAL, unacknowledged

#: What `carry_out` says of a step that its resource is past: a repeat, or a step that a failure has made needless.
REPEAT = f"repeat: {Refusal.PAST.value}"


log = structlog.get_logger(__name__)


class DayworkApp(Celery):
    """The Celery app with our settings and, in each process after its fork, the services."""

    def __init__(
        self,
        settings: Settings,
        *,
        steps: Mapping[Step, StepFunction] = STEPS,
        services: Callable[[Settings, Callable[[Ledger], Dispatch]], Services] = make_services,
        **options: Any,
    ) -> None:
        """Take the settings; nothing is opened until a task needs it.

        `steps` and `services` are replaced by benchmarks and by tests of this package alone.
        """
        super().__init__("daywork", **options)
        self.settings = settings
        self.steps_table = steps
        self._make_services = services
        self._made: tuple[int, Services] | None = None
        self._lock = Lock()
        #: Who this Celery worker is; drawn before its children are made, None in a process that runs no steps.
        self.holder: Holder | None = None

    def warm_up(self) -> None:
        """Read what the services need while there is one process; its children then share it."""
        if self._make_services is make_services:
            warm_up()

    def take_over(self) -> None:
        """Drive what this Celery worker's earlier lives had claimed, and work whose message was in a dead one's hands.

        Its connections are gone before the next fork.
        """
        if self.holder is None:
            return
        made = self._make_services(self.settings, lambda ledger: CeleryDispatch(self, ledger))
        try:
            take_over(made, self.holder)
            find_lost(made, unacknowledged(self), grace=ARRIVAL)
        except LedgerUnavailable:
            log.warning("claims of an earlier life run out by themselves: the ledger does not answer")
        finally:
            made.ledger.close()

    def step_in(self) -> None:
        """Drive what dead children of this Celery worker had claimed: a child is born when another one has died.

        Celery tries a dead child's message again, and a broker that loses it meanwhile must not make anybody wait.
        """
        if self.holder is None:
            return
        try:
            take_over(self.services, self.holder)
        except LedgerUnavailable:
            log.warning("claims of dead children run out by themselves: the ledger does not answer")

    @property
    def services(self) -> Services:
        """The services of this process: made at first use, because engines and clients must not cross a fork."""
        with self._lock:
            if self._made is None or self._made[0] != os.getpid():
                made = self._make_services(self.settings, lambda ledger: CeleryDispatch(self, ledger))
                made.ledger.holder = self.holder
                self._made = (os.getpid(), dataclasses.replace(made, interrupted=give_back_later))
            return self._made[1]


class DayworkTask(Task):  # type: ignore[type-arg]  # generic in the stubs alone
    """Base of all tasks. A child that dies is tried again, three times, after the chord's own claim (6 s) is over."""

    Request = "tasks.request:StepRequest"
    max_retries = 3
    default_retry_delay = 8

    @property
    def daywork(self) -> DayworkApp:
        """The app, as what it is."""
        if not isinstance(self.app, DayworkApp):
            raise TypeError("a Daywork task runs in a Daywork app")
        return self.app

    @property
    def services(self) -> Services:
        """The services of this process."""
        return self.daywork.services


def carry(task: DayworkTask, key: WorkKey, step: Step, attempt: int) -> str:
    """Carry a step out. Returns words for whoever watches, or raises `Ignore`: nothing follows from this message.

    The words of an `Ignore` are told to Flower (`tasks.request`); nothing else of a parked step stays in Celery.
    """
    try:
        carried = carry_out(task.services, task.daywork.steps_table, key, step, attempt)
    except LedgerUnavailable as error:
        # The work stands as it stood: the reconciler drives it as soon as the ledger answers.
        raise Ignore("waiting: the ledger does not answer") from error
    if carried.verdict is Verdict.STAND:
        raise Ignore(carried.words)
    return _told(task.services.ledger, key, carried.words)


def _told(ledger: Ledger, key: WorkKey, words: str) -> str:
    """Return the words of a step, with the reason of a resource that has failed: its chain runs through all steps."""
    if key.ordinal == SESSION or words not in ("failed", REPEAT):
        return words
    try:
        reason = resource_failed(ledger, key)
    except LedgerUnavailable:
        # The step is done and its chain goes on: that it is told without its reason is no failure.
        return words
    if reason is None:
        return words
    return f"failed: {reason}" if words == "failed" else "skipped: the resource has failed"
