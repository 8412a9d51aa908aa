"""How the control plane speaks with agents: orders through the control bucket, reports through the queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.protocol import Order, Report


class Orders(Protocol):
    """The control bucket: orders to agents and their result objects."""

    def give(self, user_id: str, order: Order) -> None:
        """Write a worker's order; writing it again is harmless."""

    def stop(self, session: str, user_id: str) -> None:
        """Ask a worker to stop."""

    def result(self, session: str, user_id: str) -> Report | None:
        """Return the result object beside an order, or None."""

    def absent(self, session: str, user_id: str) -> None:
        """Remove a worker's order, stop and result."""

    def keys(self, session: str) -> list[str]:
        """List what is left of a session's orders."""

    def absent_key(self, key: str) -> None:
        """Remove one object of the orders; gone already is success."""

    def sessions(self) -> set[str]:
        """List the sessions that have any object among the orders."""

    def epoch(self) -> str | None:
        """Return what `set_epoch` wrote last, or None: how old the newest ledger was that has swept here."""

    def set_epoch(self, epoch: str) -> None:
        """Write the ledger's epoch beside the orders."""


@dataclass(frozen=True, kw_only=True)
class ReceivedReport:
    """A report with the sender that SQS vouches for and the handle that acknowledges it."""

    report: Report
    sender_id: str
    handle: str


class Reports(Protocol):
    """The report queue, as the listener reads it."""

    def receive(self, wait_seconds: int) -> list[ReceivedReport]:
        """Wait for reports, at most ten. Messages that are no reports are dropped and logged by their message id."""

    def acknowledge(self, handles: Sequence[str]) -> None:
        """Delete what has been written to the ledger."""
