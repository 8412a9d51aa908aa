"""What becomes of a step's answer: its unit of work moves or parks, and people see it, all in one change.

It is the hottest write of the ledger. PostgreSQL does all of it in one statement, one round trip and one commit, where
every further part takes its row from the first: so the unit's row is locked before any other, as everywhere. SQLite
has no such statements and no round trips; there it is a few statements of the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Engine

from orchestrator.errors import IllegalTransition
from orchestrator.ledger import journal, schema, sessions
from orchestrator.ledger.store import Transaction
from orchestrator.ledger.work import FENCE, NEXT_ATTEMPT, NOW, RESOURCES, Settled, fenced
from orchestrator.model.status import Step, next_step
from orchestrator.model.work import SESSION, Again, Claim, Done, Failed, Outcome, Park, Skipped


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What people see of an answer: columns of the resource, the status among them, and a line of the log."""

    resource: Mapping[str, Any] = field(default_factory=dict)
    line: str | None = None
    level: str = "info"


_TABLE = schema.work
_MOVE = (
    sa.update(_TABLE)
    .where(FENCE)
    .values(
        step=sa.bindparam("to_step"),
        attempt=sa.bindparam("to_attempt"),
        claimed_until=None,
        parked=sa.bindparam("to_rest"),
        wait_for=sa.bindparam("for_what"),
        # What was signalled meanwhile has not been seen: then it does not wait.
        wait_until=sa.case(
            (_TABLE.c.signals == sa.bindparam("seen"), sa.bindparam("till", type_=schema.Moment)), else_=NOW
        ),
        tries=0,
        deaths=0,
        drives=0,
        begun_at=None,
        moved_at=NOW,
    )
    .returning(_TABLE.c.parked)
)
_PARK = (
    sa.update(_TABLE)
    .where(FENCE)
    .values(
        claimed_until=None,
        parked=_TABLE.c.signals == sa.bindparam("seen"),
        wait_for=sa.bindparam("for_what"),
        wait_until=sa.bindparam("till", type_=schema.Moment),
        tries=_TABLE.c.tries * sa.bindparam("keeps_tries", type_=sa.Integer),
        deaths=0,
        moved_at=NOW,
        drives=0,
    )
    .returning(_TABLE.c.parked)
)
_NOTHING = Shown()


def settle(tx: Transaction, held: Claim, outcome: Outcome, shown: Shown = _NOTHING) -> Settled:
    """Write down what a step answered. Raises `Fenced` when somebody else has taken the work over.

    Done moves to the next step; Failed, Stopped and Skipped move to teardown; Again parks the next attempt's first
    step; Park parks unless a signal came meanwhile. The session's own release rests until its resources have ended: the
    chord calls it, or else `work.releasable` names it. Raises `IllegalTransition` when the resource is final already.
    """
    change = {
        "of_session": held.key.session,
        "of_ordinal": held.key.ordinal,
        "of_fence": held.fence,
        "seen": held.signals,
        "at": tx.now,
        **_movement(held, outcome),
    }
    parks = isinstance(outcome, Park)
    if at_once(tx.connection.engine):
        is_parked = _in_one(tx, held, change, shown, word=None if parks else _word(outcome))
    else:
        is_parked = _one_by_one(tx, held, change, shown, word=None if parks else _word(outcome))
    if parks:
        return Settled.PARKED if is_parked else Settled.AGAIN
    return Settled.PARKED if isinstance(outcome, Again) else Settled.MOVED


def at_once(engine: Engine) -> bool:
    """Whether `settle` is one statement in this database, which needs no transaction around it."""
    return engine.dialect.name == "postgresql"


def _movement(held: Claim, outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Park):
        # Only a retry lets the step's tries go on counting.
        return {
            "for_what": outcome.wait_for[:64], "till": outcome.until, "keeps_tries": int(outcome.is_retry),
        }  # fmt: skip
    move: dict[str, Any] = {"to_attempt": held.attempt, "to_rest": False, "for_what": None, "till": None}
    if isinstance(outcome, Again):
        again = {"to_attempt": held.attempt + 1, "to_rest": True, "for_what": NEXT_ATTEMPT, "till": outcome.at}
        return move | {"to_step": Step.ASSUME_ROLE} | again
    if not isinstance(outcome, Done):
        return move | {"to_step": Step.TEARDOWN}
    target = next_step(held.step)
    rests = {"to_rest": True, "for_what": RESOURCES} if target is Step.RELEASE else {}
    return move | {"to_step": target} | rests


def _word(outcome: Outcome) -> str:
    if isinstance(outcome, Done | Again):
        return "success"
    if isinstance(outcome, Skipped):
        return "skipped"
    return "failed" if isinstance(outcome, Failed) else "stopped"


def _step(tx: Transaction, held: Claim, word: str | None) -> dict[str, Any]:
    """Return the step's own row; without a word it has not ended."""
    row: dict[str, Any] = {
        "session_id": held.key.session,
        "ordinal": held.key.ordinal,
        "attempt": held.attempt,
        "step": held.step,
        "started_at": held.begun_at or tx.now,
    }
    return row if word is None else row | {"ended_at": tx.now, "outcome": word}


def _one_by_one(tx: Transaction, held: Claim, change: dict[str, Any], shown: Shown, *, word: str | None) -> bool:
    row = tx.row(_PARK if word is None else _MOVE, change)
    if row is None:
        raise fenced(held)
    if held.key.ordinal != SESSION:
        if word is None:
            tx.insert_missing(schema.steps, _step(tx, held, word))
        else:
            tx.put(schema.steps, _step(tx, held, word), update=("ended_at", "outcome"))
    if "status" in shown.resource:
        sessions.move_resource(tx, held.key, **shown.resource)
    elif shown.resource:
        sessions.remember(tx, held.key, **shown.resource)
    if shown.line is not None:
        journal.write(
            tx, held.key.session, shown.line, ordinal=None if held.key.ordinal == SESSION else held.key.ordinal,
            level=shown.level,
        )  # fmt: skip
    return bool(row.parked)


def _in_one(tx: Transaction, held: Claim, change: dict[str, Any], shown: Shown, *, word: str | None) -> bool:
    of_resource = held.key.ordinal != SESSION
    resource = sessions.movement(tx, shown.resource) if "status" in shown.resource else shown.resource
    statement = _statement(word is None, of_resource, tuple(sorted(resource)), shown.line is not None)
    values = {f"r_{name}": value for name, value in resource.items()}
    if of_resource:
        values |= {f"s_{name}": value for name, value in _step(tx, held, word).items()}
    if shown.line is not None:
        line = journal.row(
            tx, held.key.session, shown.line, ordinal=held.key.ordinal if of_resource else None, level=shown.level
        )
        values |= {f"l_{name}": value for name, value in line.items()}
    row = tx.row(statement, change | values)
    if row is not None:
        return bool(row.parked)
    if tx.row(sa.select(_TABLE.c.fence).where(FENCE), change) is None:
        raise fenced(held)
    raise IllegalTransition(f"resource {held.key.session}/{held.key.ordinal} is final and cannot change")


@cache
def _statement(parks: bool, of_resource: bool, columns: tuple[str, ...], with_line: bool) -> sa.Executable:  # noqa: FBT001 - a cache's key
    """Put the statement together: it is done once for each shape of an answer, and there are few."""
    change = _PARK if parks else _MOVE
    mine = sa.and_(
        schema.resources.c.session_id == sa.bindparam("of_session"),
        schema.resources.c.ordinal == sa.bindparam("of_ordinal"),
    )
    if "status" in columns:
        final = sa.select(sa.literal(1)).where(
            mine,
            schema.resources.c.status.in_(sessions.FINAL),
            schema.resources.c.status != _bind(schema.resources, "r", "status"),
        )
        change = change.where(~final.exists())
    changed = change.cte("changed")
    parts: list[sa.CTE] = []
    if of_resource:
        parts.append(_step_part(changed, parks=parks))
    if columns:
        values: dict[str, sa.ColumnElement[Any]] = {name: _bind(schema.resources, "r", name) for name in columns}
        if "started_at" in values:
            values["started_at"] = sa.func.coalesce(schema.resources.c.started_at, values["started_at"])
        shown = sa.update(schema.resources).where(mine, sa.exists(sa.select(changed.c.parked))).values(**values)
        parts.append(shown.returning(sa.literal(1).label("one")).cte("shown"))
    if with_line:
        names = ("session_id", "ordinal", "at", "level", "text")
        binds = [_bind(schema.log_lines, "l", name) for name in names]
        line = sa.insert(schema.log_lines).from_select(names, sa.select(*binds).select_from(changed))
        parts.append(line.returning(sa.literal(1).label("one")).cte("line"))
    return sa.select(changed.c.parked).add_cte(*parts)


def _step_part(changed: sa.CTE, *, parks: bool) -> sa.CTE:
    names = ["session_id", "ordinal", "attempt", "step", "started_at", *([] if parks else ["ended_at", "outcome"])]
    binds = [_bind(schema.steps, "s", name) for name in names]
    row = insert(schema.steps).from_select(names, sa.select(*binds).select_from(changed))
    if parks:
        return row.on_conflict_do_nothing().returning(sa.literal(1).label("one")).cte("noted")
    ended = {name: row.excluded[name] for name in ("ended_at", "outcome")}
    return (
        row.on_conflict_do_update(index_elements=list(schema.steps.primary_key.columns), set_=ended)
        .returning(sa.literal(1).label("one"))
        .cte("noted")
    )


def _bind(table: sa.Table, prefix: str, name: str) -> sa.BindParameter[Any]:
    return sa.bindparam(f"{prefix}_{name}", type_=table.c[name].type)
