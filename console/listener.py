"""The listener: takes the agents' reports from the queue, has them written to the ledger, then acknowledges them.

One process for each install. Nothing is acknowledged that is not committed, so it may be killed at any moment: what it
had in hand comes back after the queue's visibility time, and taking a report twice is harmless. A cloud, a ledger or a
broker that does not answer is waited for.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Final

import structlog

from orchestrator.errors import CloudError, LedgerUnavailable
from orchestrator.fleet.reports import take
from orchestrator.ledger import hearing
from orchestrator.ports import ReceivedReport, Reports
from orchestrator.services import Services

if TYPE_CHECKING:
    from collections.abc import Iterator

    from console.stack.context import Context

log = structlog.get_logger(__name__)

#: The longest wait that SQS offers.
LONG_POLL: Final = 20
#: How many reports become one transaction at most.
BATCH: Final = 400
#: How many calls to the queue are under way at once when there is much to take: one after the other would take some
#: hundreds of reports a second, and a fleet of ten thousand sends five hundred.
RECEIVERS: Final = 8
#: SQS hands out, and deletes, ten at once: fewer mean that there are no more now.
_FULL: Final = 10
_PAUSES: Final = (0.5, 1.0, 2.0, 5.0, 10.0)


class Ended(BaseException):
    """A signal has asked for the end. Raised wherever the process is: no place needs to be left in order."""


def listen(context: Context, on_ready: Callable[[], None]) -> None:
    """Take reports until SIGTERM or SIGINT."""
    from orchestrator.bootstrap import make_reports

    services = context.services()
    reports = make_reports(context.settings, services.ledger)
    try:
        with _ended_by_signals():
            on_ready()
            log.info("listening for reports", queue=context.settings.report_queue)
            serve(services, reports)
    except Ended:
        log.info("listener ended")
    services.ledger.close()


def serve(services: Services, reports: Reports, *, sleep: Callable[[float], None] = time.sleep) -> None:
    """Take batches of reports for ever."""
    with ThreadPoolExecutor(RECEIVERS, thread_name_prefix="receiver") as pool:
        _serve(services, reports, pool, sleep)


def _serve(services: Services, reports: Reports, pool: Executor, sleep: Callable[[float], None]) -> None:
    failures = 0
    while True:
        try:
            take_batch(services, reports, pool)
        except Exception as error:  # noqa: BLE001 - whatever it is, the reports must be taken later
            pause = _PAUSES[min(failures, len(_PAUSES) - 1)]
            failures += 1
            known = isinstance(error, CloudError | LedgerUnavailable)
            log.warning("reports wait", reason=str(error) if known else type(error).__name__, again_in=pause)
            sleep(pause)
        else:
            if failures:
                log.info("reports are taken again")
            failures = 0


def take_batch(services: Services, reports: Reports, pool: Executor) -> int:
    """Wait for reports, write them down, acknowledge them; returns how many there were.

    A report of a worker whose launch has not been answered yet is left in the queue: it comes back.
    Raises what the cloud, the ledger or the broker raises; then nothing of the batch was acknowledged.
    """
    batch, is_all = _received(reports, pool)
    if not batch:
        hearing.note(services.ledger)
        return 0
    try:
        done, failed = take(services, batch), 0
    except (CloudError, LedgerUnavailable):
        raise
    except Exception as error:  # noqa: BLE001 - one report that our own code fails at must not hold up the others
        log.warning("batch could not be taken as one", reason=type(error).__name__, count=len(batch))
        done, failed = _one_by_one(services, batch)
    _acknowledge(reports, done, pool)
    if failed:
        raise NotTaken(f"{failed} of {len(batch)} reports could not be taken")
    if is_all:
        hearing.note(services.ledger)
    return len(batch)


class NotTaken(RuntimeError):
    """Some reports of a batch could not be taken; they come back after the queue's visibility time."""


def _received(reports: Reports, pool: Executor) -> tuple[list[ReceivedReport], bool]:
    """Return a batch, and whether it was all that there was."""
    batch = reports.receive(LONG_POLL)
    is_all = len(batch) < _FULL
    while not is_all and len(batch) < BATCH:
        calls = [pool.submit(reports.receive, 0) for _ in range(min(RECEIVERS, (BATCH - len(batch)) // _FULL))]
        failures = [error for error in [call.exception() for call in calls] if error is not None]
        newest = [call.result() for call in calls if call.exception() is None]
        batch += [one for answer in newest for one in answer]
        is_all = any(len(answer) < _FULL for answer in newest)
        if failures:
            # What the others have in hand is taken all the same; the next batch begins with a call of its own.
            log.warning("receivers failed", count=len(failures), reason=type(failures[0]).__name__)
            return batch, False
    return batch, is_all


def _acknowledge(reports: Reports, handles: Sequence[str], pool: Executor) -> None:
    share = max(_FULL, -(-len(handles) // RECEIVERS))
    parts = [handles[start : start + share] for start in range(0, len(handles), share)]
    for done in [pool.submit(reports.acknowledge, part) for part in parts]:
        done.result()


def _one_by_one(services: Services, batch: Sequence[ReceivedReport]) -> tuple[list[str], int]:
    """Return the handles to acknowledge, and how many reports could not be taken."""
    done: list[str] = []
    failed = 0
    for number, one in enumerate(batch):
        try:
            done += take(services, [one])
        except (CloudError, LedgerUnavailable):
            return done, failed + len(batch) - number
        except Exception:
            log.exception("report could not be taken", instance_id=one.report.instance_id, kind=one.report.kind)
            failed += 1
    return done, failed


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    def on_signal(_number: int, _frame: FrameType | None) -> None:
        raise Ended

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
