"""Reading what deciding over a group needs: few calls, whatever the number of resources."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator import planner
from orchestrator.errors import Missing
from orchestrator.model.account import Tagged
from orchestrator.model.catalogue import Source
from orchestrator.model.plan import Access
from orchestrator.model.status import DeploymentMode
from orchestrator.planner.restore import subnet_to_restore_into
from orchestrator.planning.group import Group
from orchestrator.planning.knowing import attach_to, database, known_point
from orchestrator.services import Services


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
        target = attach_to(known)
        if target is not None:
            group.instances = services.cloud.compute(group.access).instances([target])
    elif known.operation.name == "ec2-restore-instance":
        with services.ledger.read() as tx:
            found = [known_point(tx, one) for one in resources]
        subnets = {subnet_to_restore_into(known, group.access, one) for one in found if one is not None} - {None}
        group.zones = _zones(services, group.access, sorted(str(one) for one in subnets))
    elif known.operation.name == "rds-restore-database":
        group.databases = services.cloud.databases(group.access).databases([database(known)])


def _zones(services: Services, access: Access, subnets: Sequence[str]) -> dict[str, str]:
    """Return the zones of subnets; what does not exist is left out."""
    compute, found = services.cloud.compute(access), {}
    for subnet in subnets:
        try:
            found[subnet] = compute.zone_of_subnet(subnet)
        except Missing:
            continue
    return found
