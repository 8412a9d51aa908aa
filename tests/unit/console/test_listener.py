"""The listener: nothing is acknowledged that is not committed, and nothing that happens stops it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.plain import plain_services

from agent.protocol import Report
from console import listener
from orchestrator.errors import LedgerUnavailable, Throttled
from orchestrator.ledger import hearing
from orchestrator.ledger.migrate import upgrade
from orchestrator.ports import ReceivedReport
from orchestrator.services import Services


class Enough(Exception):
    """The queue's script is at its end."""


class Queue:
    """A report queue that hands out what a test wrote down, and remembers what was acknowledged."""

    def __init__(self, *script: Sequence[ReceivedReport] | Exception) -> None:
        """Take the answers to `receive`, one after the other."""
        self._script = list(script)
        self.waits: list[int] = []
        self.acknowledged: list[str] = []

    def receive(self, wait_seconds: int) -> list[ReceivedReport]:
        """Give the next answer."""
        self.waits.append(wait_seconds)
        answer = self._script.pop(0) if self._script else []
        if isinstance(answer, Exception):
            raise answer
        return list(answer)

    def acknowledge(self, handles: Sequence[str]) -> None:
        """Remember."""
        self.acknowledged += handles


def report(number: int) -> ReceivedReport:
    """Return a report of an instance that the ledger does not know: it is taken, and wakes nobody."""
    instance = f"i-{number:017x}"
    user = f"AROATEST:{instance}"
    message = Report(
        kind="ready", session="s-1", instance_id=instance, user_id=user, sequence=1, sent_at="2026-11-25T00:00:00Z"
    )
    return ReceivedReport(report=message, sender_id=user, handle=f"handle-{number}")


class Dispatch:
    """Publishes nothing."""

    def drive(self, keys: object) -> None:
        """Nobody waits."""

    def launch(self, account: str, region: str, *, after: timedelta = timedelta()) -> None:
        """Nothing is asked for."""


@pytest.fixture
def pool() -> Iterator[Executor]:
    """The receivers."""
    with ThreadPoolExecutor(listener.RECEIVERS) as made:
        yield made


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    """Services with a ledger of their own."""

    class Settings:
        ledger_url = f"sqlite:///{tmp_path / 'ledger.sqlite3'}"

    made = plain_services(Settings(), lambda _: Dispatch())
    upgrade(made.ledger.engine)
    yield made
    made.ledger.close()


def test_reports_are_taken_and_then_acknowledged(services: Services, pool: Executor) -> None:
    """One long poll; fewer than ten are all there are."""
    queue = Queue([report(1), report(2)])

    assert listener.take_batch(services, queue, pool) == 2

    assert queue.acknowledged == ["handle-1", "handle-2"]
    assert queue.waits == [listener.LONG_POLL]


def test_a_full_answer_is_followed_by_more_without_waiting(services: Services, pool: Executor) -> None:
    """A fleet that becomes ready at once is one transaction, up to some hundreds, asked for by several at once."""
    tens = [[report(10 * number + one) for one in range(10)] for number in range(listener.BATCH // 10 + 2)]
    queue = Queue(*tens)

    assert listener.take_batch(services, queue, pool) == listener.BATCH

    assert queue.waits == [listener.LONG_POLL] + [0] * (listener.BATCH // 10 - 1)
    assert sorted(queue.acknowledged) == sorted(f"handle-{number}" for number in range(listener.BATCH))


def test_what_one_receiver_has_in_hand_is_taken_when_another_one_fails(services: Services, pool: Executor) -> None:
    """Nothing is called heard then: there may be more."""
    tens = [[report(10 * number + one) for one in range(10)] for number in range(3)]
    queue = Queue(*tens, Throttled("slow down"), [report(77)])

    assert listener.take_batch(services, queue, pool) == 31

    assert len(queue.acknowledged) == 31
    assert heard(services) is None


def test_no_reports_are_no_transaction(services: Services, pool: Executor) -> None:
    """The ledger is left alone while nothing is said."""
    services.ledger.close()

    assert listener.take_batch(services, Queue([]), pool) == 0


def test_a_ledger_that_is_away_leaves_everything_unacknowledged(
    services: Services, pool: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reports come back by themselves."""
    monkeypatch.setattr(listener, "take", failing(LedgerUnavailable("away")))
    queue = Queue([report(1)])

    with pytest.raises(LedgerUnavailable):
        listener.take_batch(services, queue, pool)

    assert queue.acknowledged == []


def failing(error: Exception) -> Callable[..., None]:
    """Return a function that raises."""

    def fail(*_: Any) -> None:
        raise error

    return fail


def test_a_report_that_our_own_code_fails_at_does_not_hold_up_the_others(
    services: Services, pool: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It alone stays unacknowledged; the failure is told, not hidden."""
    real = listener.take

    def take(to: Services, batch: Sequence[ReceivedReport]) -> list[str]:
        if any(one.handle == "handle-2" for one in batch):
            raise ZeroDivisionError
        return real(to, batch)

    monkeypatch.setattr(listener, "take", take)
    queue = Queue([report(1), report(2), report(3)])

    with pytest.raises(listener.NotTaken, match="1 of 3"):
        listener.take_batch(services, queue, pool)

    assert queue.acknowledged == ["handle-1", "handle-3"]


def test_outages_are_waited_for_with_growing_pauses_that_end_with_them(services: Services) -> None:
    """Cloud away three times, then reports, then away again."""
    away = Throttled("slow down")
    queue = Queue(away, away, away, [report(1)], away, Enough())
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) > 4:
            raise listener.Ended

    with pytest.raises(listener.Ended):
        listener.serve(services, queue, sleep=sleep)

    assert pauses[:4] == [0.5, 1.0, 2.0, 0.5]
    assert queue.acknowledged == ["handle-1"]


def heard(services: Services) -> datetime | None:
    """Return until when everything has been heard."""
    with services.ledger.read() as tx:
        return hearing.heard(tx)


@pytest.mark.parametrize("batch", [[], [report(1)]], ids=["nothing", "one"])
def test_an_empty_queue_is_written_down(services: Services, pool: Executor, batch: list[ReceivedReport]) -> None:
    """Whoever decides that a worker is silent has to know that somebody listened."""
    assert heard(services) is None

    listener.take_batch(services, Queue(batch), pool)

    until = heard(services)
    assert until is not None
    listener.take_batch(services, Queue([]), pool)
    assert heard(services) == until, "often enough is enough"


def test_a_queue_that_holds_more_is_not_called_empty(services: Services, pool: Executor) -> None:
    """A full batch says nothing about what comes after it."""
    full = [[report(10 * number + one) for one in range(10)] for number in range(listener.BATCH // 10)]

    listener.take_batch(services, Queue(*full), pool)

    assert heard(services) is None
