"""What the sweeper sweeps: one entry for each kind of thing that sessions make.

A new kind is one entry of `KINDS`: where it may be, with which role it is seen and removed, how it is found, and how it
is removed. Things found must carry this install's tag or stand under its IAM path, and say of which session they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from orchestrator import tags
from orchestrator.model.account import Account
from orchestrator.model.plan import Access, TemporaryRole
from orchestrator.services import Services
from orchestrator.sweeper.judge import Seen


class Scope(StrEnum):
    """How often a kind is looked for."""

    REGION = "region"  # in each Region of each account
    ACCOUNT = "account"  # once in each account
    HOME = "home"  # in the control plane's own account


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of thing.

    `seers` are the account's roles that can see and remove it, the best first: accounts that have none of them hold
    none of it. `receipt` is what the ledger calls it. `holds_data` has it reported, not removed, when the ledger does
    not know its session. `in_use` says why one that nobody owns has to stay for now, or None. `remove` takes away
    things that were seen with one access, `at_once` in one call.
    """

    name: str
    scope: Scope
    seers: tuple[str, ...]
    find: Callable[[Services, Access], Iterable[Seen]]
    remove: Callable[[Services, Sequence[Seen]], None]
    receipt: str
    holds_data: bool = False
    at_once: bool = False
    in_use: Callable[[Services, Account, Seen], str | None] = lambda _services, _account, _seen: None


_GONE = ("shutting-down", "terminated")
_ROLE_NAME = re.compile(r"^dw-(?P<ulid>[0-9a-z]{26})-[0-9a-f]{6}$")


def session_of_role(name: str) -> str | None:
    """Return the session that a temporary role was made for: IAM lists names without tags."""
    found = _ROLE_NAME.match(name)
    return None if found is None else f"s-{found['ulid'].upper()}"


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


def _access(seen: Seen) -> Access:
    return Access(account=seen.account, region=seen.region, role=seen.role)


# --- workers ------------------------------------------------------------------------------------------------------


def _instances(services: Services, access: Access) -> Iterator[Seen]:
    for one in services.cloud.compute(access).workers():
        if one.state not in _GONE:
            yield _tagged("instance", access, one.instance_id, one.tags, one.launched_at)


def _end_instances(services: Services, wanted: Sequence[Seen]) -> None:
    services.cloud.compute(_access(wanted[0])).terminate([one.name for one in wanted])


# --- restored instances -------------------------------------------------------------------------------------------


def _restored(services: Services, access: Access) -> Iterator[Seen]:
    """Yield instances that are not completely restored: the others are their owners' alone."""
    for one in services.cloud.machines(access).machines(tags={tags.RESTORING: services.install.id}):
        if one.state not in _GONE:
            yield _tagged("restored-instance", access, one.instance_id, one.tags, one.launched_at)


def _remove_restored(services: Services, wanted: Sequence[Seen]) -> None:
    for one in wanted:
        services.cloud.machines(_access(one)).absent(one.name)


# --- orders -------------------------------------------------------------------------------------------------------


def _orders(services: Services, home: Access) -> Iterator[Seen]:
    for session in sorted(services.cloud.orders().sessions()):
        yield Seen(kind="orders", account=home.account, region=home.region, name=session, session=session, role=None)


def _remove_orders(services: Services, wanted: Sequence[Seen]) -> None:
    orders = services.cloud.orders()
    for one in wanted:
        for key in orders.keys(one.name):
            orders.absent_key(key)


# --- images, volumes, snapshots -----------------------------------------------------------------------------------


def _images(services: Services, access: Access) -> Iterator[Seen]:
    for one in services.cloud.machines(access).images(tags={tags.INSTALL: services.install.id}):
        yield _tagged("image", access, one.image_id, one.tags, one.made_at)


def _remove_images(services: Services, wanted: Sequence[Seen]) -> None:
    for one in wanted:
        services.cloud.machines(_access(one)).absent_image(one.name)


def _volumes(services: Services, access: Access) -> Iterator[Seen]:
    for one in services.cloud.compute(access).volumes(tags={tags.INSTALL: services.install.id}):
        # A volume in use is a worker's own disk and goes with it, or a restored one that somebody works with.
        if one.state in ("available", "error"):
            yield _tagged("volume", access, one.volume_id, one.tags)


def _remove_volumes(services: Services, wanted: Sequence[Seen]) -> None:
    for one in wanted:
        services.cloud.compute(_access(one)).absent_volume(one.name)


def _snapshots(services: Services, access: Access) -> Iterator[Seen]:
    for one in services.cloud.compute(access).snapshots(tags={tags.INSTALL: services.install.id}):
        yield _tagged("snapshot", access, one.snapshot_id, one.tags, one.started_at)


def _remove_snapshots(services: Services, wanted: Sequence[Seen]) -> None:
    for one in wanted:
        services.cloud.compute(_access(one)).absent_snapshot(one.name)


# --- temporary roles ----------------------------------------------------------------------------------------------


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


def _remove_roles(services: Services, wanted: Sequence[Seen]) -> None:
    for one in wanted:
        role = TemporaryRole(name=one.name, path=services.install.path, account=one.account, region=one.region)
        services.cloud.roles(_access(one)).absent_temporary_role(role)


def _is_used(services: Services, account: Account, role: Seen) -> str | None:
    """Look at all of the account's Regions now: a role is never taken from under a worker."""
    for region in account.regions:
        compute = services.cloud.compute(Access(account=account.id, region=region, role=role.role))
        if any(one.state != "terminated" for one in compute.workers(session=role.session)):
            return "its session still has an instance"
    return None


#: In the order in which they are removed: workers first, because a role is not taken from under one; what is made of
#: something else before that.
KINDS: tuple[Kind, ...] = (
    Kind(
        name="instance",
        scope=Scope.REGION,
        seers=("workerDeployment", "backup", "restore"),
        find=_instances,
        remove=_end_instances,
        receipt="instance",
        at_once=True,
    ),
    Kind(
        name="restored-instance",
        scope=Scope.REGION,
        seers=("restore",),
        find=_restored,
        remove=_remove_restored,
        receipt="restored-instance",
        holds_data=True,
    ),
    Kind(name="orders", scope=Scope.HOME, seers=(), find=_orders, remove=_remove_orders, receipt="order"),
    Kind(
        name="image",
        scope=Scope.REGION,
        seers=("restore",),
        find=_images,
        remove=_remove_images,
        receipt="image",
    ),
    Kind(
        name="volume",
        scope=Scope.REGION,
        seers=("restore",),
        find=_volumes,
        remove=_remove_volumes,
        receipt="volume",
        holds_data=True,
    ),
    Kind(
        name="snapshot",
        scope=Scope.REGION,
        seers=("restore", "backup"),
        find=_snapshots,
        remove=_remove_snapshots,
        receipt="snapshot",
        holds_data=True,
    ),
    Kind(
        name="role",
        scope=Scope.ACCOUNT,
        seers=("workerDeployment",),
        find=_roles,
        remove=_remove_roles,
        receipt="role",
        in_use=_is_used,
    ),
)

BY_NAME: Mapping[str, Kind] = {kind.name: kind for kind in KINDS}
