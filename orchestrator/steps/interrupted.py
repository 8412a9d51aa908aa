"""Steps under which the ledger went away: their claims are given back as soon as it answers again.

Without that their work would stand still until the claims run out, and it would count as the death of a process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Thread
from typing import Final

import structlog

from orchestrator.errors import Fenced, LedgerUnavailable
from orchestrator.ledger import work
from orchestrator.model.work import Claim
from orchestrator.services import Services

log = structlog.get_logger(__name__)

#: Seconds between two looks whether the ledger answers. A thread that waits holds no slot of the Celery worker.
_PAUSE: Final = 1.0


def give_back_later(services: Services, held: Claim) -> None:
    """Give a claim back when the ledger answers, in a thread of its own, and have its work driven."""
    Thread(target=give_back, args=(services, held), name=f"give-back-{held.key.session}", daemon=True).start()


def give_back(services: Services, held: Claim, *, pause: Callable[[float], None] = time.sleep) -> bool:
    """Wait until the ledger answers and give the claim back; tell whether it was still ours.

    A claim that runs out meanwhile is anybody's.
    """
    while services.clock.now() < held.until:
        pause(_PAUSE)
        try:
            services.ledger.run(lambda tx: work.release_claim(tx, held))
        except LedgerUnavailable:
            continue
        except Fenced:
            return False
        log.info("claim given back after the ledger was away", session_id=held.key.session, step=held.step)
        services.dispatch.drive([held.key])
        return True
    return False
