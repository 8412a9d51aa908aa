"""One pass of the sweeper. Two at once are harmless: removing is idempotent, and marks only grow older."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
import structlog

from orchestrator.errors import CloudError
from orchestrator.ledger import journal, marks, points, registry, schema, things
from orchestrator.ledger.marks import Epoch, Mark
from orchestrator.ledger.store import Transaction
from orchestrator.model.plan import Access, TemporaryRole
from orchestrator.model.status import SessionStatus
from orchestrator.services import Services
from orchestrator.sweeper.judge import YOUNG, Known, Seen, Verdict, judge
from orchestrator.sweeper.look import look

log = structlog.get_logger(__name__)

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

    `distrust` says why this ledger only reports, or is None; `failures` is where the pass could not look.
    """

    findings: tuple[Finding, ...]
    distrust: str | None
    failures: tuple[str, ...]


def sweep(services: Services, *, dry_run: bool = False, adopt: bool = False) -> Pass:
    """Look, judge, mark, remove. With `dry_run` nothing is written or removed.

    `adopt` makes this ledger the one that the cloud belongs to, after a person has read what it reports.
    """
    with services.ledger.read() as tx:
        known_accounts = registry.load(tx)
    seen = look(services, known_accounts)
    distrust = _distrust(services, adopt=adopt and not dry_run, is_empty=not seen.seen)
    now = services.clock.now()
    with services.ledger.read() as tx:
        judged = [(one, *judge(one, known, now=now)) for one, known in _known(tx, seen.seen)]
    orphans = [(one, reason) for one, verdict, reason in judged if verdict is Verdict.ORPHAN]
    found = [_finding(one, "reported", reason) for one, verdict, reason in judged if verdict is Verdict.REPORT]
    if dry_run or distrust is not None:
        found += [_finding(one, "reported", reason) for one, reason in orphans]
    else:
        with services.ledger.write() as tx:
            since = marks.replace(tx, [_mark(one) for one, _ in orphans], seen.places)
            marks.advance_epoch(tx)
        _keep_epoch(services)
        # Workers first: a role is not taken from under one.
        for one, reason in sorted(orphans, key=lambda orphan: _ORDER.index(orphan[0].kind)):
            if now - since[_mark(one)] < YOUNG:
                found.append(_finding(one, "marked", reason))
            else:
                found.append(_remove(services, one, reason, seen.seen))
    for it in found:
        log.warning("orphan", kind=it.kind, account=it.account, name=it.name, done=it.done, reason=it.reason)
    return Pass(findings=tuple(found), distrust=distrust, failures=tuple(seen.failures))


_ORDER = ("instance", "restored-instance", "orders", "image", "volume", "snapshot", "role")


def _mark(seen: Seen) -> Mark:
    return Mark(seen.kind, seen.account, seen.region, seen.name)


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


# --- may this ledger remove anything ------------------------------------------------------------------------------


def _distrust(services: Services, *, adopt: bool, is_empty: bool) -> str | None:
    """Return why this ledger may only report, or None."""
    try:
        kept = services.cloud.orders().epoch()
    except CloudError as error:
        return f"the control bucket does not say which ledger it belongs to: {error.reason}"
    with services.ledger.write() as tx:
        own = marks.epoch(tx)
    theirs = Epoch.read(kept) if kept is not None else None
    if adopt or (kept is None and is_empty):
        return None
    if kept is None:
        return (
            "the cloud holds things of this install and no ledger has swept it yet: look, then `daywork sweep --adopt`"
        )
    if theirs is None or theirs.name != own.name:
        return "another ledger has swept this cloud: this one is new or restored. Look, then `daywork sweep --adopt`"
    if theirs.passes > own.passes:
        return "this ledger is older than what the cloud remembers: it was restored. Look, then `daywork sweep --adopt`"
    return None


def _keep_epoch(services: Services) -> None:
    with services.ledger.read() as tx:
        own = marks.epoch(tx)
    services.cloud.orders().set_epoch(str(own))


# --- what the ledger knows ----------------------------------------------------------------------------------------


def _known(tx: Transaction, seen: Sequence[Seen]) -> list[tuple[Seen, Known]]:
    statuses = _statuses(tx, sorted({one.session for one in seen if one.session is not None}))
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


def _statuses(tx: Transaction, names: Sequence[str]) -> dict[str, SessionStatus]:
    table, found = schema.sessions, {}
    for start in range(0, len(names), _PAGE):
        query = sa.select(table.c.id, table.c.status).where(table.c.id.in_(names[start : start + _PAGE]))
        found.update({row.id: SessionStatus(row.status) for row in tx.rows(query)})
    return found


def _kept(tx: Transaction, ids: Sequence[str]) -> set[tuple[str, str]]:
    table, found = schema.cloud_things, set()
    for start in range(0, len(ids), _PAGE):
        query = sa.select(table.c.kind, table.c.cloud_id).where(
            table.c.cloud_id.in_(ids[start : start + _PAGE]), table.c.keep, table.c.state != things.REMOVED
        )
        found.update({(row.kind, row.cloud_id) for row in tx.rows(query)})
    return found


# --- removing -----------------------------------------------------------------------------------------------------


def _remove(services: Services, one: Seen, reason: str, everything: Sequence[Seen]) -> Finding:
    if one.kind == "role" and any(
        other.kind == "instance" and other.session == one.session for other in everything if one.session
    ):
        return _finding(one, "marked", "its session still has an instance")
    try:
        _REMOVERS[one.kind](services, one)
    except CloudError as error:
        return _finding(one, "refused", error.reason)
    with services.ledger.write() as tx:
        marks.forget(tx, _mark(one))
        if one.session is not None and _statuses(tx, [one.session]):
            _enter(tx, one.session, one)
    return _finding(one, "removed", reason)


def _enter(tx: Transaction, session: str, one: Seen) -> None:
    """Write the removal into the session's receipt and log."""
    for thing in things.of_session(tx, session, present=True):
        if one.name in (thing.cloud_id, thing.name) or (one.kind, thing.kind) == ("orders", "order"):
            things.removed(tx, session, thing.kind, thing.name)
    journal.write(tx, session, f"swept: {one.kind} {one.name} in {one.account}", level="warning")


def _access(one: Seen) -> Access:
    return Access(account=one.account, region=one.region, role=one.role)


def _remove_instance(services: Services, one: Seen) -> None:
    services.cloud.compute(_access(one)).terminate([one.name])


def _remove_snapshot(services: Services, one: Seen) -> None:
    services.cloud.compute(_access(one)).absent_snapshot(one.name)


def _remove_volume(services: Services, one: Seen) -> None:
    services.cloud.compute(_access(one)).absent_volume(one.name)


def _remove_image(services: Services, one: Seen) -> None:
    services.cloud.machines(_access(one)).absent_image(one.name)


def _remove_restored(services: Services, one: Seen) -> None:
    services.cloud.machines(_access(one)).absent(one.name)


def _remove_role(services: Services, one: Seen) -> None:
    role = TemporaryRole(name=one.name, path=services.install.path, account=one.account, region=one.region)
    services.cloud.roles(_access(one)).absent_temporary_role(role)


def _remove_orders(services: Services, one: Seen) -> None:
    orders = services.cloud.orders()
    for key in orders.keys(one.name):
        orders.absent_key(key)


_REMOVERS = {
    "instance": _remove_instance,
    "snapshot": _remove_snapshot,
    "volume": _remove_volume,
    "image": _remove_image,
    "restored-instance": _remove_restored,
    "role": _remove_role,
    "orders": _remove_orders,
}
