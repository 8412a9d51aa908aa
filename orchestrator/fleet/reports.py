"""Taking reports: what agents say is written to the ledger, and wakes whoever waits for it."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from agent.protocol import Report
from orchestrator.ledger import batches, sessions, work, workers
from orchestrator.ledger.store import Transaction
from orchestrator.model.work import WorkKey
from orchestrator.ports import ReceivedReport
from orchestrator.services import Services

log = structlog.get_logger(__name__)


def take(services: Services, received: Sequence[ReceivedReport]) -> list[str]:
    """Write reports to the ledger in one transaction and wake what they concern. Repeating it is harmless.

    Returns the handles to acknowledge: all but those of workers that a live session has launched and not learnt of yet.
    A worker can speak only for itself: the sender that SQS attached must be the one the report claims.
    """
    with services.ledger.write() as tx:
        work.lock(tx, workers.units(tx, [one.report.instance_id for one in received]))
        concerned: list[WorkKey] = []
        done: list[str] = []
        for one in received:
            if not _is_genuine(one):
                log.warning("report of another sender dropped", claimed=one.report.instance_id)
            elif _is_early(tx, one.report):
                continue
            elif (key := _take_one(tx, one.report)) is not None:
                concerned.append(key)
            done.append(one.handle)
        woken = work.signal(tx, concerned)
    services.dispatch.drive(woken)
    return done


def _is_early(tx: Transaction, report: Report) -> bool:
    """Whether the answer of the launch is still on its way: the ledger does not know the worker yet, but will."""
    return workers.get(tx, report.instance_id) is None and bool(batches.open_of_session(tx, report.session))


def _is_genuine(received: ReceivedReport) -> bool:
    report = received.report
    return received.sender_id == report.user_id and report.user_id.endswith(f":{report.instance_id}")


def _take_one(tx: Transaction, report: Report) -> WorkKey | None:
    """Write one report down. Returns whom it wakes: ready and result wake, progress is only noted."""
    before = workers.get(tx, report.instance_id)
    worker = workers.heard(tx, report)
    if before is None or worker is None or worker.ordinal is None:
        return None
    key = WorkKey(worker.session, worker.ordinal)
    if report.progress is not None:
        sessions.remember(tx, key, done=report.progress.done, total=report.progress.total or report.progress.done)
    if report.kind == "progress" and before.ready_at is not None:
        return None
    return key
