"""Which accounts a pass is about: some of them, wholly, and the next pass goes on behind them.

Where it goes on is kept in the ledger, and moved before the pass looks: passes at the same time are about different
accounts, and an account at which every pass dies does not keep the others from being looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from orchestrator.ledger import schema
from orchestrator.ledger.marks import TURN
from orchestrator.ledger.store import Transaction
from orchestrator.model.account import Account

#: Regions of accounts that a pass of the periodic sweep looks at: half a dozen describing calls in each.
PLACES = 40


@dataclass(frozen=True, kw_only=True)
class Slice:
    """What a pass is about: these accounts, and the home account's orders when it is the first of a turn.

    A turn is over when all accounts have been looked at; `is_last` says that this pass is the turn's last one.
    """

    accounts: tuple[Account, ...]
    is_first: bool = True
    is_last: bool = True


def take(tx: Transaction, accounts: Sequence[Account], places: int) -> Slice:
    """Return what the next pass is about, at least one account, and move on behind it."""
    ordered = sorted(accounts, key=lambda account: account.id)
    state = _state(tx)
    begin = next((n for n, account in enumerate(ordered) if account.id >= state.get("next", "")), 0)
    end, count = begin, 0
    while end < len(ordered) and (end == begin or count + len(ordered[end].regions) <= places):
        count += len(ordered[end].regions)
        end += 1
    is_last = end >= len(ordered)
    _save(tx, {**state, "next": "" if is_last else ordered[end].id, **({"empty": True} if begin == 0 else {})})
    return Slice(accounts=tuple(ordered[begin:end]), is_first=begin == 0, is_last=is_last)


def note_seen(tx: Transaction) -> None:
    """Write down that something of ours was seen in this turn."""
    _save(tx, {**_state(tx), "empty": False})


def was_empty(tx: Transaction) -> bool:
    """Whether nothing of ours was seen in this turn so far."""
    return bool(_state(tx).get("empty", False))


def _state(tx: Transaction) -> dict[str, Any]:
    table = schema.settings
    row = tx.row(sa.select(table.c.value).where(table.c.name == TURN).with_for_update())
    return {} if row is None else dict(row.value)


def _save(tx: Transaction, state: dict[str, Any]) -> None:
    tx.put(schema.settings, {"name": TURN, "value": state}, update=("value",))
