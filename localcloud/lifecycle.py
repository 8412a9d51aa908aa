"""Time in the life of an instance: pending -> running, shutting-down -> terminated -> forgotten.

One thread carries out what is due. Whoever wants to know (the fleet) observes; observers are told in order, from that
thread or from the request that ended an instance, and must not block.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from localcloud import state
from localcloud.settings import Settings


@dataclass(frozen=True)
class InstanceRef:
    """An instance: account, Region, id."""

    account: str
    region: str
    id: str


class InstanceObserver(Protocol):
    """Hears of instances. Called from several threads; must return quickly and raise nothing."""

    def running(self, ref: InstanceRef, instance: Any) -> None:
        """The instance has become `running`. `instance` is moto's object (`user_data`, `iam_instance_profile`, ...)."""

    def ending(self, ref: InstanceRef) -> None:
        """The instance is `shutting-down` or `stopping`: nothing of it runs any more. May be heard twice."""


class Lifecycle:
    """Moves instances through their states when their time has come."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._stopped = False
        self._observers: list[InstanceObserver] = []
        self._thread = threading.Thread(target=self._run, name="localcloud-lifecycle", daemon=True)

    def observe(self, observer: InstanceObserver) -> None:
        """Tell `observer` of every instance from now on."""
        self._observers.append(observer)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what is due later no longer happens."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def starting(self, ref: InstanceRef) -> None:
        """Take over an instance that is `pending`."""
        self._after(self._settings.boot, lambda: self._finish_start(ref))

    def ending(self, ref: InstanceRef, reason: tuple[str, str]) -> None:
        """Take over an instance that is `shutting-down`. `reason` is (code, message) of the state reason."""
        instance = state.instance(ref.account, ref.region, ref.id)
        if instance is None or instance.state != "shutting-down":
            return
        self._set_reason(instance, reason)
        self._tell_ending(ref)
        self._after(self._settings.shutdown, lambda: self._finish_terminate(ref, reason))

    def stopping(self, ref: InstanceRef, reason: tuple[str, str]) -> None:
        """Take over an instance that is `stopping`."""
        instance = state.instance(ref.account, ref.region, ref.id)
        if instance is None or instance.state != "stopping":
            return
        self._set_reason(instance, reason)
        self._tell_ending(ref)
        self._after(self._settings.shutdown, lambda: self._finish_stop(ref))

    def shut_down(self, ref: InstanceRef) -> None:
        """The instance's own system shut it down: terminate or stop, as its shutdown behaviour says. Idempotent."""
        instance = state.instance(ref.account, ref.region, ref.id)
        if instance is None or instance.state not in ("pending", "running"):
            return
        reason = ("Client.InstanceInitiatedShutdown", "Client.InstanceInitiatedShutdown: Instance initiated shutdown")
        if instance.instance_initiated_shutdown_behavior == "terminate":
            instance.terminate()
            self.ending(ref, reason)
        else:
            instance.stop()
            self.stopping(ref, reason)

    @staticmethod
    def _set_reason(instance: Any, reason: tuple[str, str]) -> None:
        instance.state_reason.code, instance.state_reason.message = reason

    def _tell_ending(self, ref: InstanceRef) -> None:
        for observer in self._observers:
            observer.ending(ref)

    def _finish_start(self, ref: InstanceRef) -> None:
        instance = state.instance(ref.account, ref.region, ref.id)
        if instance is None or instance.state != "pending":
            return
        instance.finish_start()
        for observer in self._observers:
            observer.running(ref, instance)

    def _finish_stop(self, ref: InstanceRef) -> None:
        instance = state.instance(ref.account, ref.region, ref.id)
        if instance is None or instance.state != "stopping":
            return
        kept = instance.state_reason
        instance.finish_stop()
        instance.state_reason = kept

    def _finish_terminate(self, ref: InstanceRef, reason: tuple[str, str]) -> None:
        backend = state.ec2(ref.account, ref.region)
        instance = backend.get_instance_by_id(ref.id)
        if instance is None or instance.state != "shutting-down":
            return
        # moto would blank the instance's profile together with its association; AWS goes on showing it.
        backend.iam_instance_profile_associations.pop(ref.id, None)
        instance.finish_terminate()
        self._set_reason(instance, reason)
        self._after(self._settings.keep_terminated, lambda: self._forget(ref))

    def _forget(self, ref: InstanceRef) -> None:
        backend = state.ec2(ref.account, ref.region)
        for reservation_id, reservation in list(backend.reservations.items()):
            if any(instance.id == ref.id for instance in reservation.instances):
                reservation.instances = [instance for instance in reservation.instances if instance.id != ref.id]
                if not reservation.instances:
                    backend.reservations.pop(reservation_id, None)
                break
        backend.tags.pop(ref.id, None)

    def _after(self, delay: timedelta, deed: Callable[[], None]) -> None:
        with self._changed:
            heapq.heappush(self._due, (self._clock() + delay.total_seconds(), next(self._numbers), deed))
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._stopped and (not self._due or self._due[0][0] > self._clock()):
                    self._changed.wait(self._due[0][0] - self._clock() if self._due else None)
                if self._stopped:
                    return
                deed = heapq.heappop(self._due)[2]
            deed()
