"""How the worker of a resource is launched: account, Region, role, network, instance types."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator import placement
from orchestrator.errors import Refused
from orchestrator.model.account import Account, WorkerConfiguration
from orchestrator.model.catalogue import Purpose, Row
from orchestrator.model.plan import Access, WorkerPlan
from orchestrator.model.status import DeploymentMode
from orchestrator.planner.context import Context, deployment_role, repository_role, role_of

GIB = 2**30

#: An instance profile's name and the ARN of the role in it.
WorkerProfile = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Staffing:
    """A worker's plan, and the roles it takes on: of the data of another account, of the repository."""

    worker: WorkerPlan
    data_role: str | None
    repository_role: str | None


@dataclass(frozen=True, kw_only=True)
class Site:
    """What a resource asks of the place of its worker: its VPC, zones, and peers in it as (name, port, groups)."""

    vpc: str | None = None
    zones: tuple[str, ...] = ()
    peers: tuple[tuple[str, int, tuple[str, ...]], ...] = ()


ANYWHERE = Site()


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
    repository = context.repository()
    deployment = row.deployment(context.mode)
    region = repository.region if row.place.is_of_repository else operation.region
    if context.mode is DeploymentMode.PRODUCTION:
        account = context.account(operation.account)
        if profile is None:
            raise Refused(
                f"account {account.name} has no {deployment.attached} role in an instance profile",
                field=f"roles.{deployment.attached}",
                remedy="Put the role into an instance profile and register it",
            )
        plan = WorkerPlan(
            access=operation,
            instance_types=row.instance_types(size),
            image=placement.image(account, context.worker_image),
            configuration=_network(account, region, site),
            profile=profile[0],
            role=profile[1],
        )
        return Staffing(worker=plan, data_role=None, repository_role=repository_role(repository, account.id))
    account = context.backup_account()
    is_elsewhere = row.own is not Purpose.DEPLOYMENT and account.id != operation.account
    plan = WorkerPlan(
        access=Access(account=account.id, region=region, role=deployment_role(context, account)),
        instance_types=row.instance_types(size),
        image=placement.image(account, context.worker_image),
        configuration=_network(account, region, site),
    )
    return Staffing(
        worker=plan,
        data_role=role_of(context.account(operation.account), "data") if is_elsewhere else None,
        repository_role=repository_role(repository, account.id),
    )


def _network(account: Account, region: str, site: Site) -> WorkerConfiguration:
    found = placement.configuration(account, region)
    if site.vpc is not None and found.vpc not in (None, site.vpc):
        raise Refused(
            f"the workers of account {account.name} stand in {found.vpc}, the resource is in {site.vpc}",
            field="workerConfigurations",
            remedy=f"Add subnets of {site.vpc} to the worker configuration of {region}",
        )
    return found
