"""What of ours is in the cloud: one look for each kind, account and Region that a pass is about."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import structlog

from orchestrator.errors import CloudError
from orchestrator.model.account import Account
from orchestrator.model.plan import Access
from orchestrator.services import Services
from orchestrator.sweeper.judge import Seen
from orchestrator.sweeper.kinds import KINDS, Kind, Scope
from orchestrator.sweeper.turn import Slice

log = structlog.get_logger(__name__)


@dataclass
class Look:
    """What one pass has seen, where it could look, and where it could not."""

    seen: list[Seen] = field(default_factory=list)
    places: list[tuple[str, str, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def look(services: Services, about: Slice) -> Look:
    """Look everywhere. What refuses is noted and does not keep the rest from being looked at."""
    result = Look()
    for account in about.accounts:
        for kind in KINDS:
            for access in _accesses(account, kind):
                _try(services, result, kind, access)
    if about.is_first:
        home = Access(account=services.install.home_account, region=services.install.control_region, role=None)
        for kind in KINDS:
            if kind.scope is Scope.HOME:
                _try(services, result, kind, home)
    return result


def _accesses(account: Account, kind: Kind) -> list[Access]:
    """Return with what a kind is looked for in an account; nothing when none of its roles can see it."""
    roles = account.roles.named()
    role = next((roles[name] for name in kind.seers if name in roles), None)
    if role is None:
        return []
    regions = account.regions if kind.scope is Scope.REGION else account.regions[:1]
    return [Access(account=account.id, region=region, role=role) for region in regions]


def _try(services: Services, result: Look, kind: Kind, access: Access) -> None:
    try:
        result.seen += [replace(one, holds_data=kind.holds_data) for one in kind.find(services, access)]
    except CloudError as error:
        result.failures.append(f"{kind.name} in {access.account}, {access.region}: {error.reason}")
        log.warning("sweep could not look", kind=kind.name, account=access.account, reason=error.reason)
        return
    result.places.append((kind.name, access.account, access.region))
