"""The write-ahead record of everything that is made in the cloud: intended, created, removed.

`intend` is called and committed before the call that makes something, `created` after it, `removed` when it was seen
to be gone. A thing that is still `intended` may or may not exist: whoever cleans up has to look for it by its name or
tag. What should stay after the session (a restored volume) is marked `keep`. The session's receipt is these rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from ulid import ULID

from orchestrator.ledger import schema
from orchestrator.ledger.store import Transaction

INTENDED, CREATED, REMOVED = "intended", "created", "removed"

_PAGE = 500


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One thing in the cloud. `kind` is role, instance, snapshot, volume, image, restored-instance or order.

    `name` is ours and known before the call (it is also its idempotency token or tag), `cloud_id` is AWS's. `role` is
    the role with whose rights it is removed. `shown` is the state in which AWS showed it to `watch`, if it has.
    """

    session: str
    kind: str
    name: str
    account: str
    region: str
    role: str | None = None
    ordinal: int | None = None
    cloud_id: str | None = None
    state: str = INTENDED
    keep: bool = False
    details: dict[str, Any] = field(default_factory=dict)
    shown: str | None = None
    intended_at: datetime | None = None
    created_at: datetime | None = None
    removed_at: datetime | None = None


def _is(session: str, kind: str, name: str) -> sa.ColumnElement[bool]:
    table = schema.cloud_things
    return sa.and_(table.c.session_id == session, table.c.kind == kind, table.c.name == name)


_THING = sa.select(schema.cloud_things).where(
    schema.cloud_things.c.session_id == sa.bindparam("of_session"),
    schema.cloud_things.c.kind == sa.bindparam("of_kind"),
    schema.cloud_things.c.name == sa.bindparam("of_name"),
)
_THING_LOCKED = _THING.with_for_update()


def intend(tx: Transaction, thing: Thing) -> Thing:
    """Write down what is about to be made. Repeating it returns what is known by now, perhaps created or removed."""
    tx.insert_missing(
        schema.cloud_things,
        {
            "id": str(ULID()),
            "session_id": thing.session,
            "ordinal": thing.ordinal,
            "kind": thing.kind,
            "account": thing.account,
            "region": thing.region,
            "role": thing.role,
            "name": thing.name,
            "cloud_id": thing.cloud_id,
            "state": INTENDED,
            "keep": thing.keep,
            "details": thing.details,
            "intended_at": tx.now,
        },
    )
    return find(tx, thing.session, thing.kind, thing.name) or thing


def created(tx: Transaction, session: str, kind: str, name: str, *, cloud_id: str, **details: Any) -> None:
    """Write down that it was made, and AWS's id. Repeating it changes nothing; what was removed stays removed."""
    table = schema.cloud_things
    row = tx.row(_THING_LOCKED, {"of_session": session, "of_kind": kind, "of_name": name})
    if row is None or row.state == REMOVED:
        return
    tx.execute(
        sa.update(table)
        .where(_is(session, kind, name))
        .values(
            state=CREATED,
            cloud_id=cloud_id,
            created_at=sa.func.coalesce(table.c.created_at, sa.literal(tx.now, schema.Moment())),
            details={**(row.details or {}), **details},
        )
    )


def removed(tx: Transaction, session: str, kind: str, name: str) -> None:
    """Write down that it was seen to be gone, or was never made."""
    table = schema.cloud_things
    tx.execute(
        sa.update(table)
        .where(_is(session, kind, name), table.c.state != REMOVED)
        .values(state=REMOVED, removed_at=tx.now, keep=False)
    )


def swept(tx: Transaction, session: str, kind: str, name: str | None) -> None:
    """Write down that the sweeper has removed what has this name, ours or AWS's; None: all of the kind."""
    table = schema.cloud_things
    change = sa.update(table).where(table.c.session_id == session, table.c.kind == kind, table.c.state != REMOVED)
    if name is not None:
        change = change.where(sa.or_(table.c.name == name, table.c.cloud_id == name))
    tx.execute(change.values(state=REMOVED, removed_at=tx.now, keep=False))


def show(tx: Transaction, kind: str, states: Mapping[str, str]) -> None:
    """Write down in which states AWS showed things of a kind, by their cloud ids."""
    table = schema.cloud_things
    for state in sorted(set(states.values())):
        ids = sorted(name for name, shown in states.items() if shown == state)
        for start in range(0, len(ids), _PAGE):
            of_page = table.c.cloud_id.in_(ids[start : start + _PAGE])
            tx.execute(sa.update(table).where(table.c.kind == kind, of_page).values(shown=state))


def keep(tx: Transaction, session: str, kind: str, name: str) -> None:
    """Mark something that shall stay after the session."""
    tx.execute(sa.update(schema.cloud_things).where(_is(session, kind, name)).values(keep=True))


def find(tx: Transaction, session: str, kind: str, name: str) -> Thing | None:
    """Return what is known of a thing, or None."""
    row = tx.row(_THING, {"of_session": session, "of_kind": kind, "of_name": name})
    return None if row is None else _thing(row)


def called(tx: Transaction, kind: str, cloud_id: str) -> list[Thing]:
    """List the things of a kind that have this id of AWS's, whose session's ever: one, as a rule."""
    table = schema.cloud_things
    return [_thing(row) for row in tx.rows(sa.select(table).where(table.c.cloud_id == cloud_id, table.c.kind == kind))]


def of_session(
    tx: Transaction,
    session: str,
    *,
    ordinal: int | None = None,
    kinds: Sequence[str] = (),
    present: bool = False,
) -> list[Thing]:
    """List a session's things in the order of intent; of one resource, of some kinds, only those not removed."""
    table = schema.cloud_things
    query = sa.select(table).where(table.c.session_id == session).order_by(table.c.intended_at, table.c.id)
    if ordinal is not None:
        query = query.where(table.c.ordinal == ordinal)
    if kinds:
        query = query.where(table.c.kind.in_(kinds))
    if present:
        query = query.where(table.c.state != REMOVED)
    return [_thing(row) for row in tx.rows(query)]


def _thing(row: sa.Row[Any]) -> Thing:
    return Thing(
        session=row.session_id,
        kind=row.kind,
        name=row.name,
        account=row.account,
        region=row.region,
        role=row.role,
        ordinal=row.ordinal,
        cloud_id=row.cloud_id,
        state=row.state,
        keep=row.keep,
        details=row.details or {},
        shown=row.shown,
        intended_at=row.intended_at,
        created_at=row.created_at,
        removed_at=row.removed_at,
    )
