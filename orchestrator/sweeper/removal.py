"""Removing orphans: what was marked, in the order of kinds, so many in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from orchestrator.errors import CloudError
from orchestrator.ledger import journal, marks, sessions, things
from orchestrator.ledger.marks import Mark
from orchestrator.ledger.store import Transaction
from orchestrator.model.account import Account
from orchestrator.services import Services
from orchestrator.sweeper.judge import Seen
from orchestrator.sweeper.kinds import BY_NAME, KINDS, Kind, Scope

#: Things that one pass removes at most, but for those that go in one call with others.
REMOVALS = 200
#: Things in one call.
_AT_ONCE = 500

_ORDER = {kind.name: number for number, kind in enumerate(KINDS)}


@dataclass(frozen=True, kw_only=True)
class Done:
    """What became of an orphan: `marked`, `removed` or `refused`, and why."""

    seen: Seen
    done: str
    reason: str


def remove(services: Services, accounts: Sequence[Account], orphans: Sequence[tuple[Seen, str]]) -> Iterator[Done]:
    """Remove orphans (each with the reason why it is one); yields what became of each, as soon as it is known."""
    by_id = {account.id: account for account in accounts}
    calls = 0
    for batch in _batches(orphans):
        kind = BY_NAME[batch[0][0].kind]
        if calls >= REMOVALS:
            yield from (Done(seen=one, done="marked", reason="enough was removed in this pass") for one, _ in batch)
            continue
        calls += 1
        yield from _remove(services, kind, by_id, batch)


def _batches(orphans: Sequence[tuple[Seen, str]]) -> Iterator[list[tuple[Seen, str]]]:
    """Part orphans, in the order of their kinds, into those that go in one call; most go by themselves."""
    ordered = sorted(orphans, key=lambda it: (_ORDER[it[0].kind], it[0].account, it[0].region, str(it[0].role)))
    for (name, *_), members in groupby(ordered, key=lambda it: (it[0].kind, it[0].account, it[0].region, it[0].role)):
        batch = list(members)
        size = _AT_ONCE if BY_NAME[name].at_once else 1
        for start in range(0, len(batch), size):
            yield batch[start : start + size]


def _remove(
    services: Services, kind: Kind, accounts: dict[str, Account], batch: list[tuple[Seen, str]]
) -> Iterator[Done]:
    first = batch[0][0]
    account = accounts.get(first.account)
    try:
        if account is not None and kind.scope is not Scope.HOME:
            used = kind.in_use(services, account, first)
            if used is not None:
                yield Done(seen=first, done="marked", reason=used)
                return
        kind.remove(services, [one for one, _ in batch])
    except CloudError as error:
        yield from (Done(seen=one, done="refused", reason=error.reason) for one, _ in batch)
        return
    with services.ledger.write() as tx:
        known = sessions.known(tx, sorted({one.session for one, _ in batch if one.session is not None}))
        for one, _ in batch:
            marks.forget(tx, mark(one))
            if one.session in known:
                _enter(tx, kind, str(one.session), one)
    yield from (Done(seen=one, done="removed", reason=reason) for one, reason in batch)


def mark(seen: Seen) -> Mark:
    """Return the mark of something seen."""
    return Mark(seen.kind, seen.account, seen.region, seen.name)


def _enter(tx: Transaction, kind: Kind, session: str, one: Seen) -> None:
    """Write the removal into the session's receipt and log."""
    # Orders are one thing here and one for each worker in the receipt.
    things.swept(tx, session, kind.receipt, None if kind.scope is Scope.HOME else one.name)
    journal.write(tx, session, f"swept: {one.kind} {one.name} in {one.account}", level="warning")
