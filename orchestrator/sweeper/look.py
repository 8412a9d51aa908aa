"""What of ours is in the cloud: one bounded look for each kind, account and Region."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from orchestrator import tags
from orchestrator.errors import CloudError
from orchestrator.model.account import Account, Registry
from orchestrator.model.plan import Access
from orchestrator.services import Services
from orchestrator.sweeper.judge import Seen

log = structlog.get_logger(__name__)

_GONE = ("shutting-down", "terminated")
_ROLE_NAME = re.compile(r"^dw-(?P<ulid>[0-9a-z]{26})-[0-9a-f]{6}$")

#: Which of an account's roles can see and remove a kind, the best first.
_SEERS = {
    "instance": ("workerDeployment", "backup", "restore"),
    "snapshot": ("restore", "backup"),
    "volume": ("restore",),
    "image": ("restore",),
    "restored-instance": ("restore",),
    "role": ("workerDeployment",),
}


@dataclass
class Look:
    """What one pass has seen, where it could look, and where it could not."""

    seen: list[Seen] = field(default_factory=list)
    places: list[tuple[str, str, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def look(services: Services, registry: Registry) -> Look:
    """Look everywhere. What refuses is noted and does not keep the rest from being looked at."""
    result = Look()
    for account in registry.accounts:
        for region in account.regions:
            for kind in ("instance", "snapshot", "volume", "image", "restored-instance"):
                _try(services, result, kind, _access(account, region, kind))
        _try(services, result, "role", _access(account, account.regions[0], "role"))
    home = Access(account=services.install.home_account, region=services.install.control_region, role=None)
    _try(services, result, "orders", home)
    return result


def _access(account: Account, region: str, kind: str) -> Access | None:
    roles = account.roles.named()
    role = next((roles[name] for name in _SEERS[kind] if name in roles), None)
    return None if role is None else Access(account=account.id, region=region, role=role)


def _try(services: Services, result: Look, kind: str, access: Access | None) -> None:
    if access is None:
        return
    try:
        result.seen += _FINDERS[kind](services, access)
    except CloudError as error:
        result.failures.append(f"{kind} in {access.account}, {access.region}: {error.reason}")
        log.warning("sweep could not look", kind=kind, account=access.account, reason=error.reason)
        return
    result.places.append((kind, access.account, access.region))


def _tagged(kind: str, access: Access, name: str, marks: Mapping[str, str], made_at: datetime | None = None) -> Seen:
    """Return something whose tags say which session made it."""
    return Seen(
        kind=kind,
        account=access.account,
        region=access.region,
        name=name,
        session=marks.get(tags.SESSION),
        role=access.role,
        made_at=made_at,
        point=marks.get(tags.POINT),
    )


def _instances(services: Services, access: Access) -> Iterator[Seen]:
    for one in services.cloud.compute(access).workers():
        if one.state not in _GONE:
            yield _tagged("instance", access, one.instance_id, one.tags, one.launched_at)


def _snapshots(services: Services, access: Access) -> Iterator[Seen]:
    for one in services.cloud.compute(access).snapshots(tags={tags.INSTALL: services.install.id}):
        yield _tagged("snapshot", access, one.snapshot_id, one.tags, one.started_at)


def _volumes(services: Services, access: Access) -> Iterator[Seen]:
    for one in services.cloud.compute(access).volumes(tags={tags.INSTALL: services.install.id}):
        # A volume in use is a worker's own disk and goes with it, or a restored one that somebody works with.
        if one.state in ("available", "error"):
            yield _tagged("volume", access, one.volume_id, one.tags)


def _images(services: Services, access: Access) -> Iterator[Seen]:
    for one in services.cloud.machines(access).images(tags={tags.INSTALL: services.install.id}):
        yield _tagged("image", access, one.image_id, one.tags, one.made_at)


def _restored(services: Services, access: Access) -> Iterator[Seen]:
    """Yield instances that are not completely restored: the others are their owners' alone."""
    for one in services.cloud.machines(access).machines(tags={tags.RESTORING: services.install.id}):
        if one.state not in _GONE:
            yield _tagged("restored-instance", access, one.instance_id, one.tags, one.launched_at)


def _roles(services: Services, access: Access) -> Iterator[Seen]:
    for name in sorted(services.cloud.roles(access).temporary_names(services.install.path)):
        yield Seen(
            kind="role",
            account=access.account,
            region=access.region,
            name=name,
            session=session_of_role(name),
            role=access.role,
        )


def _orders(services: Services, home: Access) -> Iterator[Seen]:
    for session in sorted(services.cloud.orders().sessions()):
        yield Seen(kind="orders", account=home.account, region=home.region, name=session, session=session, role=None)


def session_of_role(name: str) -> str | None:
    """Return the session that a temporary role was made for: IAM lists names without tags."""
    found = _ROLE_NAME.match(name)
    return None if found is None else f"s-{found['ulid'].upper()}"


_FINDERS: dict[str, Callable[[Services, Access], Iterator[Seen]]] = {
    "instance": _instances,
    "snapshot": _snapshots,
    "volume": _volumes,
    "image": _images,
    "restored-instance": _restored,
    "role": _roles,
    "orders": _orders,
}
