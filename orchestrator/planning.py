"""What planning reads of the cloud, in few calls, and what it decides. Nothing is made and nothing is written here.

The first step of a session and `daywork plan` share it: what the one shows is what the other executes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator import planner
from orchestrator.errors import NotFound
from orchestrator.ledger import points
from orchestrator.ledger.sessions import Wanted
from orchestrator.ledger.store import Transaction
from orchestrator.model.account import Registry
from orchestrator.model.options import RestoreVolumeOptions
from orchestrator.model.plan import Access, ResourcePlan
from orchestrator.model.request import SessionRequest, TagSelector
from orchestrator.model.status import DeploymentMode
from orchestrator.ports import InstanceView
from orchestrator.services import Services


@dataclass
class Group:
    """What was read for the resources of one account and Region; `taken` are device names that are given away."""

    access: Access
    profile: tuple[str, str] | None = None
    instances: Mapping[str, InstanceView] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)


def context(services: Services, request: SessionRequest, mode: DeploymentMode, registry: Registry) -> planner.Context:
    """Return what planning knows before it reads anything."""
    return planner.Context(
        request=request,
        mode=mode,
        registry=registry,
        install=services.install.id,
        home_account=services.install.home_account,
        worker_image=services.install.worker_image,
    )


def select(services: Services, known: planner.Context, selector: TagSelector) -> list[Wanted]:
    """List the resources that a selector finds by their tags. Raises `Refused`, `CloudError`."""
    access = planner.operation_access(known, known.known_account(selector.account), selector.region)
    found = services.cloud.compute(access).find_instances(selector.tags)
    return [Wanted(account=access.account, region=access.region, resource_id=one) for one in found]


def read(services: Services, known: planner.Context, account: str, region: str, resources: Sequence[str]) -> Group:
    """Read what deciding over these resources of one account and Region needs. Raises `Refused`, `CloudError`."""
    access = planner.operation_access(known, account, region)
    services.cloud.check(access)
    group = Group(access)
    if known.mode is DeploymentMode.PRODUCTION:
        name, role = services.cloud.roles(access).worker_profile(planner.worker_role_of(known, account))
        group.profile = (name, role.arn)
    wanted = list(resources)
    if known.operation.source_is_point:
        target = _target(known)
        wanted = [] if target is None else [target]
    if wanted:
        group.instances = services.cloud.compute(access).instances(wanted)
    return group


def decide(tx: Transaction, known: planner.Context, group: Group, resource: str) -> ResourcePlan:
    """Plan one resource of a group, in the order of the session: device names go to who comes first.

    Raises `Refused`.
    """
    plan = _plan(tx, known, group, resource)
    group.taken |= set(plan.details.get("devices", {}).values())
    return plan


def _plan(tx: Transaction, known: planner.Context, group: Group, resource: str) -> ResourcePlan:
    if not known.operation.source_is_point:
        instance = group.instances.get(resource)
        return planner.plan_backup(known, group.access, instance, resource, group.profile)
    try:
        point = points.get(tx, resource)
    except NotFound:
        point = None
    target = group.instances.get(_target(known) or "")
    return planner.plan_restore_volume(
        known, group.access, point, resource, group.profile, target=target, taken=group.taken
    )


def _target(known: planner.Context) -> str | None:
    """Return the instance that restored volumes are to be attached to, if one is named."""
    if known.operation.options is not RestoreVolumeOptions:
        return None
    return RestoreVolumeOptions.model_validate(known.request.options).attach_to
