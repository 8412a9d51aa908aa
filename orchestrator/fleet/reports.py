"""Taking reports: what agents say is written to the ledger, and wakes whoever waits for it."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

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
    genuine = [one for one in received if _is_genuine(one)]
    with services.ledger.write() as tx:
        known = workers.units(tx, [one.report.instance_id for one in genuine])
        work.lock(tx, [key for key in known.values() if key is not None])
        unknown = [one for one in genuine if one.report.instance_id not in known]
        early = {one.handle for one in _early(tx, unknown)}
        news = workers.hear(tx, [one.report for one in genuine if one.report.instance_id in known])
        of_resources = [(WorkKey(one.worker.session, one.worker.ordinal), one) for one in news
                        if one.worker.ordinal is not None]  # fmt: skip
        # Of one resource's reports in a batch only the last says how far it is.
        progress = {key: one.report.progress for key, one in of_resources if one.report.progress is not None}
        sessions.note_progress(tx, {key: (it.done, it.total or it.done) for key, it in progress.items()})
        # Ready and result wake; progress is only noted, unless it is the first that was heard.
        woken = work.signal(tx, [key for key, one in of_resources if one.report.kind != "progress" or one.is_first])
    services.dispatch.drive(woken)
    return [one.handle for one in received if one.handle not in early]


def _early(tx: Transaction, unknown: Sequence[ReceivedReport]) -> list[ReceivedReport]:
    """Return reports of workers that the ledger will know: the answer of their session's launch is on its way."""
    names = {one.report.session for one in unknown}
    launching = {session for session in names if batches.open_of_session(tx, session)}
    return [one for one in unknown if one.report.session in launching]


def _is_genuine(received: ReceivedReport) -> bool:
    report = received.report
    if received.sender_id == report.user_id and report.user_id.endswith(f":{report.instance_id}"):
        return True
    log.warning("report of another sender dropped", claimed=report.instance_id)
    return False
