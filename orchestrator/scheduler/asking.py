"""What people ask of policies: apply, switch on and off, run by hand, delete, show the coming runs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from ulid import ULID

from orchestrator import submission
from orchestrator.errors import Conflict, Refused
from orchestrator.ledger import schedules
from orchestrator.ledger.store import Ledger, Transaction
from orchestrator.model.request import read_request
from orchestrator.ports import Dispatch
from orchestrator.scheduler import following, records
from orchestrator.scheduler.policy import Policy, read_policy
from orchestrator.scheduler.ticks import coming
from orchestrator.submission import Submitted


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What became of a policy that was applied: `change` is added, changed or unchanged.

    `next_at` is when it will run next by its schedule, None: not by itself.
    """

    policy: Policy
    change: str
    version: int
    enabled: bool
    next_at: datetime | None


def apply(ledger: Ledger, policies: Sequence[Policy], *, by: str | None = None, dry_run: bool = False) -> list[Applied]:
    """Add or replace policies, all of them or none; those that are not named stay.

    A run of each, and what is to follow it, is checked against catalogue and registry as if it were submitted now.
    Raises `Refused` whose `problems` are every mistake, with the policy's name in front of each field when there are
    several policies.
    """
    with ledger.write() as tx:
        problems = [problem for one in policies for problem in _problems(tx, one, is_alone=len(policies) == 1)]
        if problems:
            first = problems[0]
            refused = Refused(first.reason, field=first.field, value=first.value, remedy=first.remedy)
            refused.problems = problems
            raise refused
        return [_applied(tx, one, by, dry_run=dry_run) for one in policies]


def _problems(tx: Transaction, policy: Policy, *, is_alone: bool) -> list[Refused]:
    found = following.problems(tx, policy)
    try:
        submission.check(tx, policy.request("check"))
    except Refused as error:
        found = [*(error.problems or [error]), *found]
    if is_alone:
        return found
    return [
        type(one)(one.reason, field=f"{policy.name}.{one.field}", value=one.value, remedy=one.remedy) for one in found
    ]


def _applied(tx: Transaction, policy: Policy, by: str | None, *, dry_run: bool) -> Applied:
    next_at = None if policy.schedule is None else coming(policy.schedule, policy.name, tx.now)
    # As it was written: a later version's new fields shall not make every policy a changed one.
    document = policy.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if dry_run:
        known = schedules.find(tx, policy.name)
        change = "added" if known is None else "unchanged" if known.document == document else "changed"
    else:
        change = schedules.put(tx, policy.name, document, next_at=next_at, by=by)
        known = schedules.get(tx, policy.name)
    return Applied(
        policy=policy,
        change=change,
        version=1 if known is None else known.version,
        enabled=known is None or known.enabled,
        next_at=next_at if known is None or known.enabled else None,
    )


def enable(ledger: Ledger, name: str) -> bool:
    """Let a policy run by its schedule, from now on; what passed while it was off is not made up for.

    Returns whether it was off. Raises `NotFound`.
    """
    with ledger.write() as tx:
        policy = read_policy(schedules.get(tx, name).document)
        return schedules.enable(tx, name, None if policy.schedule is None else coming(policy.schedule, name, tx.now))


def run(ledger: Ledger, name: str, *, dispatch: Dispatch) -> Submitted:
    """Start a policy by hand. Raises `NotFound`, `Conflict` with the running session's id, or `Refused`."""
    with ledger.write() as tx:
        entry = schedules.hold(tx, name)
        running = schedules.running(tx, name)
        if running is not None:
            raise Conflict(
                "the policy is running already",
                field="policy",
                value=running,
                remedy="Wait for that session, or stop it",
            )
        request = read_request(read_policy(entry.document).request(f"by-hand-{ULID()}"))
        accepted = submission.accept(tx, request, policy=name)
    submission.publish(accepted, dispatch=dispatch)
    return accepted


def upcoming(ledger: Ledger, *, count: int = 5, name: str | None = None) -> list[tuple[str, datetime]]:
    """List the next runs of enabled policies, the soonest first: at most `count` in all. Raises `NotFound`."""
    with ledger.read() as tx:
        entries = schedules.everyone(tx) if name is None else [schedules.get(tx, name)]
        now = tx.now
    found: list[tuple[str, datetime]] = []
    for entry in entries:
        # One that this version cannot read has a note that says so.
        with suppress(Refused):
            found += [(entry.name, one) for one in records.runs(entry, read_policy(entry.document), now, count)]
    return sorted(found, key=lambda one: (one[1], one[0]))[:count]
