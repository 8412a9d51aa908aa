"""How the worker of a resource is launched: account, Region, role, network, instance types."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator import placement
from orchestrator.errors import Refused
from orchestrator.model.account import Account
from orchestrator.model.catalogue import Purpose, Row, Size
from orchestrator.model.plan import Access, WorkerNetwork, WorkerPlan
from orchestrator.model.status import DeploymentMode
from orchestrator.planner.context import Context, deployment_role, repository_role, role_of
from orchestrator.planner.place import ANYWHERE, Site, requirement, settle

GIB = 2**30

#: As long as every session's id, to see how long tags will be.
_ANY_SESSION = "s-00000000000000000000000000"

#: An instance profile's name and the ARN of the role in it.
WorkerProfile = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Staffing:
    """A worker's plan, and the roles it takes on: of the data of another account, of the repository."""

    worker: WorkerPlan
    data_role: str | None
    repository_role: str | None


def staff(
    context: Context,
    row: Row,
    operation: Access,
    profile: WorkerProfile | None,
    size: int,
    *,
    site: Site = ANYWHERE,
) -> Staffing:
    """Plan the worker of a resource whose source is reached by `operation`. Raises `Refused`.

    `profile` holds the pre-configured role of production mode. `size` in bytes decides the instance types.
    """
    attached = row.deployment(context.mode).attached
    access = worker_access(context, row, operation)
    account = context.account(access.account)
    if context.mode is DeploymentMode.PRODUCTION and profile is None:
        raise Refused(
            f"account {account.name} has no {attached} role in an instance profile",
            field=f"roles.{attached}",
            remedy="Put the role into an instance profile and register it",
        )
    wanted = instance_types(account, access.region, row, row.size(size))
    placement.expanded(account.tags, install=context.install, session=_ANY_SESSION, policy=context.policy)
    configuration, types = _where(context, account, access.region, wanted, site)
    is_elsewhere = row.own is not Purpose.DEPLOYMENT and account.id != operation.account
    return Staffing(
        worker=WorkerPlan(
            access=access,
            instance_types=types,
            image=placement.image(account, context.worker_image),
            configuration=configuration,
            tags=account.tags,
            profile=None if profile is None else profile[0],
            role=None if profile is None else profile[1],
        ),
        data_role=role_of(context.account(operation.account), "data") if is_elsewhere else None,
        repository_role=repository_role(context, account.id),
    )


def instance_types(account: Account, region: str, row: Row, size: Size) -> tuple[str, ...]:
    """Return the types of a size, in order of preference: the account's profiles replace the catalogue's."""
    return account.instance_types(region, row.operation, size.profile) or size.types


def types_of(account: Account, region: str, row: Row) -> list[str]:
    """List every instance type that a worker of the row may have in an account and Region, whatever its size."""
    return sorted({kind for size in row.sizes for kind in instance_types(account, region, row, size)})


def worker_access(context: Context, row: Row, operation: Access) -> Access:
    """Return who launches the worker of a resource, and in which account and Region. Raises `Refused`."""
    region = context.repository().region if row.place.is_of_repository else operation.region
    if context.mode is DeploymentMode.PRODUCTION:
        return operation.model_copy(update={"region": region})
    account = context.backup_account()
    if region not in account.regions:
        raise Refused(
            f"the worker would stand in {region}, for which the backup account {account.name} is not registered",
            field="accounts.regions",
            value=region,
            remedy=f"Add {region} to the Regions of account {account.id} in the registry, or use production mode",
        )
    return Access(account=account.id, region=region, role=deployment_role(context, account))


def _where(
    context: Context, account: Account, region: str, types: tuple[str, ...], site: Site
) -> tuple[WorkerNetwork, tuple[str, ...]]:
    """Return where the worker stands and its types, by what was read of the place; unread, by the registry alone."""
    place = context.places.get((account.id, region))
    if place is None:
        return placement.configuration(account, region), types
    wanted = requirement(
        account,
        region,
        context.mode,
        control_region=context.control_region or region,
        repository_region=context.repository().region,
        site=site,
    )
    return settle(place, account, wanted, types)
