"""What the sweeper has seen that nobody owns, and how old this ledger is against the cloud."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from orchestrator.ledger import schema
from orchestrator.ledger.store import Transaction

#: Under which names of `settings` a ledger keeps its epoch, and that it was made from a copy.
EPOCH = "epoch"
RESTORED = "restored"
#: The same for where the sweeper's next pass goes on (`orchestrator.sweeper.turn`).
TURN = "sweep"


class Mark(NamedTuple):
    """Something in the cloud: its kind, where it is, its name there."""

    kind: str
    account: str
    region: str
    name: str


def replace(
    tx: Transaction, seen: Iterable[Mark], places: Iterable[tuple[str, str, str]]
) -> tuple[dict[Mark, datetime], list[Mark]]:
    """Write down what a pass has seen; returns since when each has been seen, and those that are seen first now.

    `places` are the (kind, account, Region) that the pass could look at: marks there that were not seen again are
    forgotten, those elsewhere stay and are not read.
    """
    table = schema.sweep_marks
    looked_at, wanted = set(places), set(seen)
    of_accounts = table.c.account.in_(sorted({account for _, account, _ in looked_at} | {it.account for it in wanted}))
    rows = tx.rows(sa.select(table).where(of_accounts))
    known = {Mark(row.kind, row.account, row.region, row.name): row.first_seen_at for row in rows}
    for mark in set(known) - wanted:
        if mark[:3] in looked_at:
            tx.execute(sa.delete(table).where(_is(mark)))
    fresh = sorted(mark for mark in wanted if mark not in known)
    tx.insert_missing(table, [{**mark._asdict(), "first_seen_at": tx.now} for mark in fresh])
    return {mark: known.get(mark, tx.now) for mark in wanted}, fresh


def forget(tx: Transaction, mark: Mark) -> None:
    """Forget one: it has been removed."""
    tx.execute(sa.delete(schema.sweep_marks).where(_is(mark)))


def _is(mark: Mark) -> sa.ColumnElement[bool]:
    table = schema.sweep_marks
    return sa.and_(
        table.c.kind == mark.kind,
        table.c.account == mark.account,
        table.c.region == mark.region,
        table.c.name == mark.name,
    )


# --- epoch --------------------------------------------------------------------------------------------------------


class Epoch(NamedTuple):
    """A ledger's own name and how often it has swept: a restored copy has swept less often than the cloud says."""

    name: str
    passes: int

    def __str__(self) -> str:
        """As it is kept in the cloud."""
        return f"{self.name}:{self.passes}"

    @classmethod
    def read(cls, text: str) -> Epoch | None:
        """Read what `str` wrote, or None for anything else."""
        name, _, passes = text.partition(":")
        return cls(name, int(passes)) if name and passes.isascii() and passes.isdigit() else None


def epoch(tx: Transaction) -> Epoch:
    """Return this ledger's epoch, made when it is first asked for."""
    table = schema.settings
    row = tx.row(sa.select(table.c.value).where(table.c.name == EPOCH))
    if row is not None:
        return Epoch(row.value["name"], int(row.value["passes"]))
    made = Epoch(secrets.token_hex(8), 0)
    tx.execute(sa.insert(table).values(name=EPOCH, value=made._asdict()))
    return made


def advance_epoch(tx: Transaction) -> Epoch:
    """Count one more pass."""
    now = epoch(tx)
    after = Epoch(now.name, now.passes + 1)
    table = schema.settings
    tx.execute(sa.update(table).where(table.c.name == EPOCH).values(value=after._asdict()))
    return after


def note_restored(connection: Connection, *, taken_at: datetime, now: datetime) -> None:
    """Write down that this ledger was made from a copy, and give it an epoch of its own: the cloud takes it for new."""
    table = schema.settings
    values = {"takenAt": taken_at.timestamp(), "at": now.timestamp()}
    connection.execute(sa.delete(table).where(table.c.name.in_((RESTORED, EPOCH))))
    connection.execute(
        sa.insert(table),
        [
            {"name": RESTORED, "value": values},
            {"name": EPOCH, "value": Epoch(secrets.token_hex(8), 0)._asdict()},
        ],
    )


def restored_from(tx: Transaction) -> datetime | None:
    """Return when the copy was taken that this ledger was made from, or None when it was never restored."""
    row = tx.row(sa.select(schema.settings.c.value).where(schema.settings.c.name == RESTORED))
    return None if row is None else datetime.fromtimestamp(float(row.value["takenAt"]), UTC)
