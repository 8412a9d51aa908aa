"""What nobody protects: instances of the registered accounts that no policy backs up, or whose last backup is too old.

It reads alone: instances through each account's backup role, the rest from the ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator import planner, planning, tags
from orchestrator.errors import CloudError, Refused
from orchestrator.ledger import points, registry, schedules
from orchestrator.ledger.store import Transaction
from orchestrator.model.account import Account, Registry
from orchestrator.model.request import SessionRequest
from orchestrator.model.status import DeploymentMode
from orchestrator.planner.claim import Claim
from orchestrator.planner.collision import covering
from orchestrator.planner.context import can_look
from orchestrator.planner.selection import Subject
from orchestrator.services import Services

_BACKUP = "ec2-backup"
#: Instances that are described at a time.
_PAGE = 500


@dataclass(frozen=True, kw_only=True)
class Unprotected:
    """An instance that is not protected, and why. `policies` cover it, `newest_at` is its newest good point's time."""

    account: str
    region: str
    resource_id: str
    name: str | None
    reason: str
    policies: tuple[str, ...] = ()
    restore_point: str | None = None
    newest_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What was found among how many instances, and where nobody could look."""

    found: tuple[Unprotected, ...]
    seen: int
    failures: tuple[str, ...]


def unprotected(services: Services, older_than: timedelta, accounts: Sequence[str] = ()) -> Answer:
    """Look at every instance of the registered accounts, or of those named by id. Raises nothing of the cloud's."""
    with services.ledger.read() as tx:
        known = registry.load(tx)
        claims = _claims(tx)
    context = _context(services, known, claims)
    found: list[Unprotected] = []
    failures: list[str] = []
    seen = 0
    for account in known.accounts:
        if accounts and account.id not in accounts:
            continue
        for region in account.regions if can_look(context, account) else ():
            try:
                subjects = _instances(services, context, account, region)
            except (CloudError, Refused) as error:
                failures.append(f"{account.id}, {region}: {error.reason}")
                continue
            seen += len(subjects)
            with services.ledger.read() as tx:
                found += _judged(tx, context, subjects, older_than)
    return Answer(found=tuple(found), seen=seen, failures=tuple(failures))


def _claims(tx: Transaction) -> tuple[Claim, ...]:
    """Return what enabled policies with a schedule back up: the others protect nothing by themselves."""
    return tuple(
        Claim.of(one.name, one.document)
        for one in schedules.everyone(tx)
        if one.enabled and one.document.get("operation") == _BACKUP and one.document.get("schedule")
    )


def _context(services: Services, known: Registry, claims: tuple[Claim, ...]) -> planner.Context:
    """Return what selections are judged with; the request in it is never submitted."""
    nothing = {"account": "*", "region": "*", "tags": {"-": "-"}}
    request = SessionRequest.model_validate(
        {"source": "unprotected", "id": "-", "operation": _BACKUP, "select": [nothing]}
    )
    return planning.context(services, request, DeploymentMode.BACKUP, known, claims=claims)


def _instances(services: Services, context: planner.Context, account: Account, region: str) -> list[Subject]:
    """Return the account's own instances in a Region: neither workers nor what is being restored."""
    compute = services.cloud.compute(planner.looking_access(context, account.id, region))
    ids = compute.find_instances({})
    views = [
        one for start in range(0, len(ids), _PAGE) for one in compute.instances(ids[start : start + _PAGE]).values()
    ]
    return [
        Subject(account=account.id, region=region, resource_id=one.instance_id, tags=one.tags)
        for one in views
        if not {tags.INSTALL, tags.RESTORING} & set(one.tags)
    ]


def _judged(
    tx: Transaction, context: planner.Context, subjects: Sequence[Subject], older_than: timedelta
) -> list[Unprotected]:
    if not subjects:
        return []
    first = subjects[0]
    newest = points.newest_good(tx, first.account, first.region, [one.resource_id for one in subjects])
    out: list[Unprotected] = []
    for one in subjects:
        point, policies = newest.get(one.resource_id), covering(context, context.claims, one)
        if (reason := _reason(tx, policies, point, older_than)) is not None:
            out.append(
                Unprotected(
                    account=one.account,
                    region=one.region,
                    resource_id=one.resource_id,
                    name=one.tags.get("Name"),
                    reason=reason,
                    policies=tuple(policy.policy for policy in policies),
                    restore_point=point.id if point is not None else None,
                    newest_at=point.created_at if point is not None else None,
                )
            )
    return out


def _reason(
    tx: Transaction, policies: Sequence[Claim], point: points.RestorePoint | None, older_than: timedelta
) -> str | None:
    if not policies:
        return "no enabled policy with a schedule covers it"
    if point is None:
        return "it has no good restore point yet"
    if tx.now - point.created_at > older_than:
        return "its newest good restore point is too old"
    return None
