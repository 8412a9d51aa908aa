"""What planning reads of the cloud, in few calls, and what it decides. Nothing is made and nothing is written here.

The first step of a session and `daywork plan` share it: what the one shows is what the other executes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol, TypeVar

from orchestrator import planner
from orchestrator.errors import LeftOut, Missing, NotFound
from orchestrator.ledger import claims as ledger_claims, points
from orchestrator.ledger.points import RestorePoint
from orchestrator.ledger.sessions import Wanted
from orchestrator.ledger.store import Transaction
from orchestrator.model.account import Registry, Tagged
from orchestrator.model.catalogue import Row, Source
from orchestrator.model.options import DatabaseRestoreOptions, RestoreVolumeOptions
from orchestrator.model.plan import Access, ResourcePlan
from orchestrator.model.request import SessionRequest, TagSelector
from orchestrator.model.status import DeploymentMode
from orchestrator.planner import collision
from orchestrator.planner.claim import Claim
from orchestrator.planner.restore import subnet_to_restore_into
from orchestrator.planner.selection import Subject, excluded_by, exclusions, worded
from orchestrator.ports import DatabaseView, FileSystemView, InstanceView, SnapshotView
from orchestrator.services import Services


class Named(Protocol):
    """A resource as whoever groups it knows it."""

    @property
    def account(self) -> str:
        """Its account, by id."""

    @property
    def region(self) -> str:
        """Its Region."""

    @property
    def resource_id(self) -> str:
        """Its own id."""


class _Tagged(Protocol):
    @property
    def tags(self) -> Mapping[str, str]:
        """Its tags."""


N = TypeVar("N", bound=Named)


@dataclass
class Group:
    """What was read for the resources of one account and Region, all of one row of the catalogue.

    `access` is the operation's own; `taken` are device names that are given away, `zones` those of subnets.
    """

    account: str
    region: str
    row: Row
    access: Access
    profile: tuple[str, str] | None = None
    instances: Mapping[str, InstanceView] = field(default_factory=dict)
    snapshots: Mapping[str, SnapshotView] = field(default_factory=dict)
    databases: Mapping[str, DatabaseView] = field(default_factory=dict)
    file_systems: Mapping[str, FileSystemView] = field(default_factory=dict)
    zones: Mapping[str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def subject(self, resource: str) -> Subject:
        """Return a resource as selections see it, with its tags as far as it has some and they were read."""
        read: tuple[Mapping[str, _Tagged], ...] = (self.instances, self.snapshots, self.databases, self.file_systems)
        tags = next((found[resource].tags for found in read if resource in found), {})
        return Subject(account=self.account, region=self.region, resource_id=resource, tags=tags)


def context(
    services: Services,
    request: SessionRequest,
    mode: DeploymentMode,
    registry: Registry,
    *,
    policy: str | None = None,
    claims: Sequence[Claim] = (),
) -> planner.Context:
    """Return what planning knows before it reads anything; `policy` is whose run it is, if anybody's.

    `claims` are those of all policies of the operation: see `claims`.
    """
    return planner.Context(
        request=request,
        mode=mode,
        registry=registry,
        install=services.install.id,
        home_account=services.install.home_account,
        worker_image=services.install.worker_image,
        control_region=services.install.control_region,
        policy=policy,
        claims=tuple(claims),
    )


def claims(tx: Transaction, operation: str) -> tuple[Claim, ...]:
    """Return what policies of an operation lay claim to."""
    found = ledger_claims.of_operation(tx, operation)
    return tuple(Claim.of(name, document) for name, document in found.items())


def select(services: Services, known: planner.Context, selector: TagSelector) -> list[Wanted]:
    """List the resources of one account and Region that a selector finds by their tags, less what is excluded.

    Raises `Refused`, `CloudError`.
    """
    access = planner.looking_access(known, known.known_account(selector.account), selector.region)
    find = _finder(services, known, access)
    found = dict.fromkeys(find(selector.tags))
    for one in exclusions(known, access.account, access.region) if found else ():
        for name in [one.id] if one.id is not None else find(one.tags):
            found.pop(str(name), None)
    return [Wanted(account=access.account, region=access.region, resource_id=one) for one in found]


def _finder(services: Services, known: planner.Context, access: Access) -> Callable[[Mapping[str, str]], list[str]]:
    source = known.operation.rows[0].source
    if source is Source.DATABASE:
        return services.cloud.databases(access).find_databases
    if source is Source.FILE_SYSTEM:
        return services.cloud.file_systems(access).find_file_systems
    return services.cloud.compute(access).find_instances


def covering(known: planner.Context, group: Group, resource: str) -> list[Claim]:
    """Return the claims of policies over a resource that was read, by rank: the first one wins when they collide."""
    return collision.covering(known, known.claims, group.subject(resource))


def grouped(known: planner.Context, resources: Iterable[N]) -> list[list[N]]:
    """Part resources into groups that are read at once: of one account, Region and row, in their order."""
    groups: dict[tuple[str, str, str], list[N]] = defaultdict(list)
    for one in resources:
        groups[one.account, one.region, known.row(one.resource_id).number].append(one)
    return list(groups.values())


# --- reading ------------------------------------------------------------------------------------------------------


def read(services: Services, known: planner.Context, account: str, region: str, resources: Sequence[str]) -> Group:
    """Read what deciding over these resources of one group needs. Raises `Refused`, `CloudError`."""
    row = known.row(resources[0])
    row.deployment(known.mode)
    access = planner.operation_access(known, account, region, row)
    services.cloud.check(access)
    group = Group(account, region, row, access)
    if known.mode is DeploymentMode.PRODUCTION:
        name, role = services.cloud.roles(access).worker_profile(planner.worker_role_of(known, account, row))
        group.profile = (name, role.arn)
    if row.source is Source.INSTANCE:
        group.instances = services.cloud.compute(access).instances(list(resources))
    elif row.source is Source.SNAPSHOT:
        found = services.cloud.compute(access).snapshots(ids=list(resources))
        group.snapshots = {one.snapshot_id: one for one in found}
    elif row.source is Source.DATABASE:
        group.databases = services.cloud.databases(access).databases(list(resources))
    elif row.source is Source.FILE_SYSTEM:
        group.file_systems = services.cloud.file_systems(access).file_systems(list(resources))
    elif row.source is Source.POINT:
        _read_targets(services, known, group, resources)
    _read_place(services, known, group)
    return group


def _read_place(services: Services, known: planner.Context, group: Group) -> None:
    """Read the network in which the group's workers are to stand, and which instance types are offered there; once."""
    access = planner.worker_access(known, group.row, group.access)
    if (access.account, access.region) in known.places:
        return
    account = known.account(access.account)
    configured = [one for one in account.worker_configurations if one.region == access.region]
    networks = services.cloud.networks(access)
    if any(isinstance(part, Tagged) for one in configured for part in (one.vpc, one.subnets, one.security_groups)):
        found = networks.network()
    elif configured:
        found = networks.network(subnets=[str(name) for one in configured for name in one.subnets])
    elif known.mode is DeploymentMode.BACKUP:
        found = networks.network(default_only=True)
    else:
        targets = {target.vpc for one in group.file_systems.values() for target in one.mount_targets}
        targets |= {one.vpc for one in group.databases.values() if one.vpc is not None}
        found = networks.network(vpcs=sorted(targets))
    offered = networks.offered(planner.types_of(account, access.region, group.row))
    known.places[access.account, access.region] = planner.Place(network=found, offered=offered)


def _read_targets(services: Services, known: planner.Context, group: Group, resources: Sequence[str]) -> None:
    """Read what restore points are restored to, as far as it is there already."""
    if known.operation.name == "ec2-restore-volume":
        target = _attach_to(known)
        if target is not None:
            group.instances = services.cloud.compute(group.access).instances([target])
    elif known.operation.name == "ec2-restore-instance":
        with services.ledger.read() as tx:
            found = [_point(tx, one) for one in resources]
        subnets = {subnet_to_restore_into(known, group.access, one) for one in found if one is not None} - {None}
        group.zones = _zones(services, group.access, sorted(str(one) for one in subnets))
    elif known.operation.name == "rds-restore-database":
        group.databases = services.cloud.databases(group.access).databases([_database(known)])


def _zones(services: Services, access: Access, subnets: Sequence[str]) -> dict[str, str]:
    """Return the zones of subnets; what does not exist is left out."""
    compute, found = services.cloud.compute(access), {}
    for subnet in subnets:
        try:
            found[subnet] = compute.zone_of_subnet(subnet)
        except Missing:
            continue
    return found


# --- deciding -----------------------------------------------------------------------------------------------------


def decide(tx: Transaction, known: planner.Context, group: Group, resource: str) -> ResourcePlan:
    """Plan one resource of a group, in the order of the session: device names go to who comes first.

    Raises `Refused`, and `LeftOut` for what is not to be processed now.
    """
    _leave_out(tx, known, group.subject(resource))
    plan = _DECIDERS[group.row.number](tx, known, group, resource)
    group.taken |= set(plan.details.get("devices", {}).values())
    return plan


def _leave_out(tx: Transaction, known: planner.Context, subject: Subject) -> None:
    """Raise `LeftOut` for what the request excludes, and for what a policy of higher priority is to process."""
    if (excluded := excluded_by(known, subject)) is not None:
        raise LeftOut(f"excluded by {worded(excluded)}")
    if known.policy is None:
        return
    for rival in collision.outranking(known, known.claims, known.policy, subject):
        session = ledger_claims.at_it(
            tx, rival.policy, known.operation.name, subject.account, subject.region, subject.resource_id
        )
        if session is not None:
            raise LeftOut(f"left to policy {rival}, whose session {session} processes it")


def _backup(tx: Transaction, known: planner.Context, group: Group, resource: str) -> ResourcePlan:  # noqa: ARG001 - one form
    return planner.plan_backup(known, group.access, group.instances.get(resource), resource, group.profile)


def _restore_instance(tx: Transaction, known: planner.Context, group: Group, resource: str) -> ResourcePlan:
    point = _point(tx, resource)
    subnet = None if point is None else subnet_to_restore_into(known, group.access, point)
    zone = None if subnet is None else group.zones.get(subnet)
    return planner.plan_restore_instance(known, group.access, point, resource, group.profile, zone=zone)


def _restore_volume(tx: Transaction, known: planner.Context, group: Group, resource: str) -> ResourcePlan:
    return planner.plan_restore_volume(
        known,
        group.access,
        _point(tx, resource),
        resource,
        group.profile,
        target=group.instances.get(_attach_to(known) or ""),
        taken=group.taken,
    )


def _files(tx: Transaction, known: planner.Context, group: Group, resource: str) -> ResourcePlan:
    return planner.plan_files(known, group.access, _point(tx, resource), resource)


def _files_of_snapshot(tx: Transaction, known: planner.Context, group: Group, resource: str) -> ResourcePlan:  # noqa: ARG001 - one form
    return planner.plan_files_of_snapshot(known, group.access, group.snapshots.get(resource), resource, group.profile)


def _retention(tx: Transaction, known: planner.Context, group: Group, resource: str) -> ResourcePlan:
    found = points.of_resource(tx, group.account, group.region, resource)
    return planner.plan_retention(known, group.access, found, (group.account, group.region, resource), tx.now)


def _archive(tx: Transaction, known: planner.Context, group: Group, resource: str) -> ResourcePlan:
    return planner.plan_archive(known, group.access, _point(tx, resource), resource)


def _health_check(tx: Transaction, known: planner.Context, group: Group, resource: str) -> ResourcePlan:
    return planner.plan_health_check(known, group.access, _point(tx, resource), resource)


def _index(tx: Transaction, known: planner.Context, group: Group, resource: str) -> ResourcePlan:  # noqa: ARG001 - one form
    return planner.plan_index(known, group.access, group.file_systems.get(resource), resource, group.profile)


def _database_backup(tx: Transaction, known: planner.Context, group: Group, resource: str) -> ResourcePlan:  # noqa: ARG001 - one form
    found = group.databases.get(resource)
    return planner.plan_database_backup(known, group.access, found, resource, group.profile)


def _database_restore(tx: Transaction, known: planner.Context, group: Group, resource: str) -> ResourcePlan:
    target = group.databases.get(_database(known))
    return planner.plan_database_restore(
        known, group.access, _point(tx, resource), resource, group.profile, target=target
    )


#: Who decides for a row of the catalogue, by its number.
_DECIDERS: Mapping[str, Callable[[Transaction, planner.Context, Group, str], ResourcePlan]] = MappingProxyType(
    {
        "1": _backup,
        "2": _restore_instance,
        "3": _restore_volume,
        "4": _files,
        "4b": _files_of_snapshot,
        "5": _retention,
        "6": _archive,
        "7": _archive,
        "8": _health_check,
        "9": _health_check,
        "10": _index,
        "11": _database_backup,
        "12": _database_restore,
    }
)


def _point(tx: Transaction, resource: str) -> RestorePoint | None:
    try:
        return points.get(tx, resource)
    except NotFound:
        return None


def _attach_to(known: planner.Context) -> str | None:
    """Return the instance that restored volumes are to be attached to, if one is named."""
    return RestoreVolumeOptions.model_validate(known.request.options).attach_to


def _database(known: planner.Context) -> str:
    """Return the DB instance that databases are restored into."""
    return DatabaseRestoreOptions.model_validate(known.request.options).instance
