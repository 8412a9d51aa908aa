"""The reconciler: looks at the ledger alone and drives on whatever should be moving and is not.

It repairs what no message will ever repair: a process that died between a commit and a publish, a queue that was lost,
a chord whose callback never came. It may run twice at the same time; publishing twice is harmless.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import structlog

from orchestrator.ledger import work
from orchestrator.ledger.holders import Holder
from orchestrator.model.work import WorkKey
from orchestrator.services import Services

log = structlog.get_logger(__name__)


def reconcile(services: Services, *, grace: timedelta = work.GRACE) -> int:
    """Drive overdue work and releases that their chord has not called. Returns how many units were driven.

    `grace` is how long work may stand still at first (`work.GRACE_WHEN_IDLE` when no message waits anywhere). A pass
    does a bounded amount of work; what is left over is older in the next one, and comes first.
    """
    stuck = services.ledger.run(lambda tx: work.overdue(tx, grace=grace))
    # Apart from the first: that one locks rows as it finds them, and may not wait for others meanwhile.
    woken = services.ledger.run(lambda tx: work.signal(tx, work.releasable(tx)))
    services.dispatch.drive(dict.fromkeys([*stuck, *woken]))
    if stuck:
        log.info("work driven on", count=len(stuck))
    if woken:
        log.info("sessions released from the ledger", count=len(woken))
    return len(stuck) + len(woken)


def patience(services: Services, oldest: Sequence[WorkKey]) -> timedelta:
    """Return how long work may stand still while messages wait in queues: longer than the oldest of them have.

    Queues are first in, first out, so whoever has stood still for longer than those has lost its message. Without this
    a queue that takes minutes would be filled with repeats of what it holds. `oldest` are the units of work whose
    messages have waited longest, as far as the broker says.
    """
    if not oldest:
        return work.GRACE
    with services.ledger.read() as tx:
        return work.GRACE + work.still_for(tx, oldest)


def find_lost(services: Services, held: Sequence[WorkKey], *, grace: timedelta) -> int:
    """Drive those units whose messages somebody holds and whose work nobody has claimed: their holder has died.

    `grace` is how long it may take from a message's arrival to the claim. Returns how many units were driven.
    """
    if not held:
        return 0
    lost = services.ledger.run(lambda tx: work.overdue(tx, grace=grace, among=held))
    services.dispatch.drive(lost)
    if lost:
        log.info("work of lost messages driven on", count=len(lost))
    return len(lost)


def take_over(services: Services, holder: Holder) -> int:
    """Drive what dead processes of a Celery worker had claimed, in this life or before. Returns how many units."""
    left = services.ledger.run(lambda tx: work.left_behind(tx, holder))
    services.dispatch.drive(left)
    if left:
        log.info("claims of the dead taken over", count=len(left))
    return len(left)
