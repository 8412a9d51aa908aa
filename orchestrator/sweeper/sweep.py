"""One pass of the sweeper. Two at once are harmless: removing is idempotent, and marks only grow older."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
import structlog

from orchestrator.ledger import counters, marks, points, registry, schema, sessions, things
from orchestrator.ledger.store import Transaction
from orchestrator.services import Services
from orchestrator.sweeper import trust, turn
from orchestrator.sweeper.judge import YOUNG, Known, Seen, Verdict, judge
from orchestrator.sweeper.look import Look, look
from orchestrator.sweeper.removal import Done, mark, remove
from orchestrator.sweeper.turn import Slice

log = structlog.get_logger(__name__)

#: The counter of orphans that were seen for the first time, by kind.
FOUND = "orphans_found"

_PAGE = 500


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that nobody owns and what was done: `marked`, `removed`, `reported` or `refused`."""

    kind: str
    account: str
    region: str
    name: str
    session: str | None
    done: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Pass:
    """What a pass found.

    `distrust` says why this ledger only reports, or is None; `failures` is where the pass could not look; `accounts`
    is how many it was about.
    """

    findings: tuple[Finding, ...]
    distrust: str | None
    failures: tuple[str, ...]
    accounts: int


def sweep(services: Services, *, dry_run: bool = False, adopt: bool = False, places: int | None = None) -> Pass:
    """Look, judge, mark, remove. With `dry_run` nothing is written or removed.

    `adopt` makes this ledger the one that the cloud belongs to, after a person has read what it reports. `places` is
    how many Regions of accounts the pass is about at most, where the one before it has ended; None: all there are.
    """
    about = _about(services, places)
    found = look(services, about)
    distrust = trust.distrust(services, about, adopt=adopt and not dry_run, is_empty=not found.seen)
    now = services.clock.now()
    with services.ledger.read() as tx:
        judged = [(one, *judge(one, known, now=now)) for one, known in _known(tx, found.seen)]
    orphans = [(one, reason) for one, verdict, reason in judged if verdict is Verdict.ORPHAN]
    findings = [_finding(one, "reported", reason) for one, verdict, reason in judged if verdict is Verdict.REPORT]
    if dry_run or distrust is not None:
        findings += [_finding(one, "reported", reason) for one, reason in orphans]
    else:
        findings += [_finding(it.seen, it.done, it.reason) for it in _act(services, about, found, orphans)]
    for it in findings:
        log.warning("orphan", kind=it.kind, account=it.account, name=it.name, done=it.done, reason=it.reason)
    return Pass(
        findings=tuple(findings), distrust=distrust, failures=tuple(found.failures), accounts=len(about.accounts)
    )


def _about(services: Services, places: int | None) -> Slice:
    if places is None:
        with services.ledger.read() as tx:
            return Slice(accounts=registry.load(tx).accounts)
    with services.ledger.write() as tx:
        return turn.take(tx, registry.load(tx).accounts, places)


def _act(services: Services, about: Slice, found: Look, orphans: Sequence[tuple[Seen, str]]) -> list[Done]:
    """Mark what was not marked, and remove what was marked long enough ago."""
    with services.ledger.write() as tx:
        since, fresh = marks.replace(tx, [mark(one) for one, _ in orphans], found.places)
        for new in fresh:
            counters.count(tx, FOUND, new.kind)
        marks.advance_epoch(tx)
    trust.keep_epoch(services)
    now = services.clock.now()
    due: list[tuple[Seen, str]] = []
    waiting: list[Done] = []
    for one, reason in orphans:
        if now - since[mark(one)] >= YOUNG:
            due.append((one, reason))
        else:
            waiting.append(Done(seen=one, done="marked", reason=reason))
    return waiting + list(remove(services, about.accounts, due))


def _finding(seen: Seen, done: str, reason: str) -> Finding:
    return Finding(
        kind=seen.kind,
        account=seen.account,
        region=seen.region,
        name=seen.name,
        session=seen.session,
        done=done,
        reason=reason,
    )


# --- what the ledger knows ----------------------------------------------------------------------------------------


def _known(tx: Transaction, seen: Sequence[Seen]) -> list[tuple[Seen, Known]]:
    statuses = sessions.known(tx, sorted({one.session for one in seen if one.session is not None}))
    kept = _kept(tx, sorted({one.name for one in seen}))
    bases = points.standings(tx, sorted({one.point for one in seen if one.point is not None}))
    out: list[tuple[Seen, Known]] = []
    for one in seen:
        status = statuses.get(one.session or "")
        known = Known(
            is_session_known=status is not None,
            is_session_final=status is not None and status.is_final,
            is_kept=(one.kind, one.name) in kept,
            is_base=_is_base(one, bases),
        )
        out.append((one, known))
    return out


def _is_base(one: Seen, bases: Mapping[str, points.Standing]) -> bool | None:
    standing = bases.get(one.point or "")
    return None if standing is None else standing.is_newest and one.name in standing.snapshots


def _kept(tx: Transaction, ids: Sequence[str]) -> set[tuple[str, str]]:
    table, found = schema.cloud_things, set()
    for start in range(0, len(ids), _PAGE):
        query = sa.select(table.c.kind, table.c.cloud_id).where(
            table.c.cloud_id.in_(ids[start : start + _PAGE]), table.c.keep, table.c.state != things.REMOVED
        )
        found.update({(row.kind, row.cloud_id) for row in tx.rows(query)})
    return found
