"""May this ledger remove anything: the cloud remembers which one has swept it, and how often."""

from __future__ import annotations

from orchestrator.errors import CloudError
from orchestrator.ledger import marks
from orchestrator.ledger.marks import Epoch
from orchestrator.ledger.store import Transaction
from orchestrator.services import Services
from orchestrator.sweeper import turn
from orchestrator.sweeper.turn import Slice


def distrust(services: Services, about: Slice, *, adopt: bool, is_empty: bool) -> str | None:
    """Return why this ledger may only report, or None.

    A cloud that no ledger has swept becomes this one's own when nothing of ours was seen in any of its accounts:
    `is_empty` says so of what this pass is about. With `adopt` a person says that it is this ledger's.
    """
    try:
        kept = services.cloud.orders().epoch()
    except CloudError as error:
        return f"the control bucket does not say which ledger it belongs to: {error.reason}"
    with services.ledger.write() as tx:
        own = marks.epoch(tx)
        is_own = adopt or (kept is None and _is_empty(tx, about, is_empty=is_empty))
    if is_own:
        return None
    if kept is None:
        return (
            "the cloud holds things of this install and no ledger has swept it yet: look, then `daywork sweep --adopt`"
            if not is_empty or about.is_last
            else "no ledger has swept this cloud yet, and not all of its accounts have been looked at"
        )
    theirs = Epoch.read(kept)
    if theirs is None or theirs.name != own.name:
        return "another ledger has swept this cloud: this one is new or restored. Look, then `daywork sweep --adopt`"
    if theirs.passes > own.passes:
        return "this ledger is older than what the cloud remembers: it was restored. Look, then `daywork sweep --adopt`"
    return None


def _is_empty(tx: Transaction, about: Slice, *, is_empty: bool) -> bool:
    """Whether the whole cloud is empty: this pass has seen nothing, nor has any earlier one of this turn."""
    if not is_empty:
        turn.note_seen(tx)
        return False
    return about.is_last and (about.is_first or turn.was_empty(tx))


def keep_epoch(services: Services) -> None:
    """Let the cloud know of this pass."""
    with services.ledger.read() as tx:
        own = marks.epoch(tx)
    services.cloud.orders().set_epoch(str(own))
