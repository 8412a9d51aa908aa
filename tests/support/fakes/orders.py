"""The control bucket and the report queue of a `World` (`orchestrator.ports.Orders` and `Reports`)."""

from __future__ import annotations

from collections.abc import Sequence

from agent.protocol import Order, Report, order_key, order_prefix, result_key, stop_key
from orchestrator.ports import ReceivedReport
from support.fakes.world import World


class FakeOrders:
    """The control bucket, with the control plane's own identity."""

    def __init__(self, world: World, account: str) -> None:
        """Take the world and the control plane's account."""
        self._world = world
        self._account = account

    def give(self, user_id: str, order: Order) -> None:
        """See the port."""
        with self._world.script.call("give", self._account):
            self._world.bucket[order_key(order.session, user_id)] = order.to_json()

    def stop(self, session: str, user_id: str) -> None:
        """See the port."""
        with self._world.script.call("stop", self._account):
            self._world.bucket[stop_key(session, user_id)] = "stop"

    def result(self, session: str, user_id: str) -> Report | None:
        """See the port."""
        with self._world.script.call("result", self._account):
            body = self._world.bucket.get(result_key(session, user_id))
            return None if body is None else Report.from_json(body)

    def absent(self, session: str, user_id: str) -> None:
        """See the port."""
        with self._world.script.call("absent", self._account):
            for key in (order_key, stop_key, result_key):
                self._world.bucket.pop(key(session, user_id), None)

    def keys(self, session: str) -> list[str]:
        """See the port."""
        with self._world.script.call("keys", self._account):
            return sorted(key for key in self._world.bucket if key.startswith(order_prefix(session)))

    def absent_key(self, key: str) -> None:
        """See the port."""
        with self._world.script.call("absent_key", self._account):
            self._world.bucket.pop(key, None)

    def sessions(self) -> set[str]:
        """See the port."""
        with self._world.script.call("sessions", self._account):
            return {key.split("/")[1] for key in self._world.bucket if key.startswith("orders/")}

    def epoch(self) -> str | None:
        """See the port."""
        with self._world.script.call("epoch", self._account):
            return self._world.bucket.get("ledger/epoch")

    def set_epoch(self, epoch: str) -> None:
        """See the port."""
        with self._world.script.call("set_epoch", self._account):
            self._world.bucket["ledger/epoch"] = epoch


class FakeReports:
    """The report queue: what is not acknowledged is received again."""

    def __init__(self, world: World, account: str) -> None:
        """Take the world and the control plane's account."""
        self._world = world
        self._account = account

    def receive(self, wait_seconds: int) -> list[ReceivedReport]:
        """See the port."""
        del wait_seconds
        with self._world.script.call("receive", self._account):
            return self._world.queue[:10]

    def acknowledge(self, handles: Sequence[str]) -> None:
        """See the port."""
        with self._world.script.call("acknowledge", self._account):
            self._world.queue[:] = [one for one in self._world.queue if one.handle not in handles]
