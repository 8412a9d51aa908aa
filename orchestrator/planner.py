"""From a request and what was read to a plan, for each resource or a refusal. Pure: no clock, no cloud, no ledger."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from orchestrator import placement
from orchestrator.errors import Refused
from orchestrator.ledger.points import RestorePoint
from orchestrator.model.account import Account, Registry, Repository
from orchestrator.model.catalogue import Operation, Purpose
from orchestrator.model.options import BackupOptions, RestoreVolumeOptions
from orchestrator.model.plan import Access, ResourcePlan, SessionPlan, SourceVolume, TemporaryRole, WorkerPlan
from orchestrator.model.request import SessionRequest
from orchestrator.model.status import DeploymentMode
from orchestrator.operations import CATALOGUE
from orchestrator.ports import InstanceView

GIB = 2**30

#: Device names that EC2 recommends for data volumes, for a restored volume whose own name is taken.
_DEVICES = tuple(f"/dev/sd{letter}" for letter in "fghijklmnop")


@dataclass(frozen=True, kw_only=True)
class Context:
    """What planning knows: the request, its mode, the registry, and the install's own values."""

    request: SessionRequest
    mode: DeploymentMode
    registry: Registry
    install: str
    home_account: str
    worker_image: str | None = None

    @property
    def operation(self) -> Operation:
        """The catalogue's row."""
        return CATALOGUE[self.request.operation]

    def account(self, account_id: str) -> Account:
        """Return a registered account. Raises `Refused`."""
        found = next((one for one in self.registry.accounts if one.id == account_id), None)
        if found is None:
            raise Refused("account is not registered", field="account", value=account_id)
        return found

    def known_account(self, name: str) -> str:
        """Return the id of an account by its id or name; an unknown name stays as it is."""
        return next((one.id for one in self.registry.accounts if name == one.name), name)

    def backup_account(self) -> Account:
        """Return the account that workers are deployed into in backup mode. Raises `Refused`."""
        for one in self.registry.accounts:
            if one.backup_account or (one.id == self.home_account and not self._any_backup_account()):
                return one
        raise Refused(
            "no account is the backup account",
            field="accounts",
            remedy="Set backupAccount: true on one account of the registry",
        )

    def _any_backup_account(self) -> bool:
        return any(one.backup_account for one in self.registry.accounts)

    def repository(self) -> Repository:
        """Return the repository of the session. Raises `Refused`."""
        wanted = self.request.repository
        found = [one for one in self.registry.repositories if wanted is None or one.name == wanted]
        if len(found) != 1:
            raise Refused("name one of the registered repositories", field="repository", value=wanted)
        return found[0]


def operation_access(context: Context, account_id: str, region: str) -> Access:
    """Return the operation's own role for an account. Raises `Refused` naming the role that is missing."""
    account = context.account(account_id)
    override = context.request.roles.operation
    if override is not None and override.split(":")[4] == account_id:
        return Access(account=account_id, region=region, role=override)
    return Access(account=account_id, region=region, role=_role(account, context.operation.rows[0].own))


def _role(account: Account, purpose: Purpose | str) -> str:
    name, named = str(purpose), account.roles.named()
    found = named.get(name) or (named.get(purpose.general) if isinstance(purpose, Purpose) else None)
    if found is None:
        raise Refused(
            f"account {account.name} has no {name} role",
            field=f"roles.{name}",
            remedy=f"Make the role and add it to account {account.id} in the registry",
        )
    return found


def _deployment_role(context: Context, account: Account) -> str | None:
    """Return the role that deploys workers in backup mode; None is the control plane's own, in its own account."""
    if account.roles.worker_deployment is None and account.id == context.home_account:
        return None
    return _role(account, Purpose.DEPLOYMENT)


def plan_session(context: Context, *, session: str, role_name: str, path: str, policy: str | None) -> SessionPlan:
    """Return what is equal for all resources. `role_name` is used in backup mode only. Raises `Refused`."""
    repository = context.repository()
    if context.mode is DeploymentMode.PRODUCTION:
        return SessionPlan(mode=context.mode, repository=repository.name)
    account = context.backup_account()
    return SessionPlan(
        mode=context.mode,
        repository=repository.name,
        temporary_role=TemporaryRole(
            name=role_name,
            path=path,
            account=account.id,
            region=account.regions[0],
            repository_role=_repository_role(repository, account.id),
        ),
        tags=placement.expanded(account.tags, install=context.install, session=session, policy=policy),
    )


def _repository_role(repository: Repository, worker_account: str) -> str | None:
    if repository.account == worker_account:
        return None
    if repository.role is None:
        raise Refused(
            f"repository {repository.name} lives in account {repository.account} and has no role for other accounts",
            field="repositories.role",
            remedy="Add the repository role to the registry",
        )
    return repository.role


def _worker(
    context: Context, operation: Access, profile: tuple[str, str] | None, size: int
) -> tuple[WorkerPlan, str | None, str | None]:
    """Return the worker's plan, the data role and the repository role it uses."""
    repository = context.repository()
    types = context.operation.rows[0].instance_types(size)
    if context.mode is DeploymentMode.PRODUCTION:
        account = context.account(operation.account)
        if profile is None:
            raise Refused(f"account {account.name} has no worker role", field="roles.worker")
        plan = WorkerPlan(
            access=operation,
            instance_types=types,
            image=placement.image(account, context.worker_image),
            configuration=placement.configuration(account, operation.region),
            profile=profile[0],
            role=profile[1],
        )
        return plan, None, _repository_role(repository, account.id)
    account = context.backup_account()
    data = None if account.id == operation.account else _role(context.account(operation.account), "data")
    plan = WorkerPlan(
        access=Access(account=account.id, region=operation.region, role=_deployment_role(context, account)),
        instance_types=types,
        image=placement.image(account, context.worker_image),
        configuration=placement.configuration(account, operation.region),
    )
    return plan, data, _repository_role(repository, account.id)


def worker_role_of(context: Context, account_id: str) -> str:
    """Return the pre-configured worker role of an account (production mode). Raises `Refused`."""
    override = context.request.roles.worker
    if override is not None and override.split(":")[4] == account_id:
        return override
    return _role(context.account(account_id), "worker")


def plan_backup(
    context: Context,
    operation: Access,
    instance: InstanceView | None,
    resource_id: str,
    profile: tuple[str, str] | None,
) -> ResourcePlan:
    """Plan the backup of one instance. Raises `Refused`."""
    if instance is None:
        raise Refused(
            f"instance {resource_id} does not exist in account {operation.account}, {operation.region}",
            remedy="Check the id, account and Region",
        )
    options = BackupOptions.model_validate(context.request.options)
    excluded = [volume for volume in instance.volumes if volume.volume_id in options.exclude_volumes]
    root = instance.configuration.get("rootDevice")
    volumes = tuple(volume for volume in instance.volumes if volume.volume_id not in options.exclude_volumes)
    if not volumes:
        raise Refused(
            f"instance {resource_id} has no EBS volume to back up"
            + (f" (excluded: {', '.join(options.exclude_volumes)})" if options.exclude_volumes else ""),
            remedy="Attach a volume or exclude fewer",
        )
    size = sum(volume.size_gib for volume in volumes) * GIB
    worker, data, repository_role = _worker(context, operation, profile, size)
    return ResourcePlan(
        operation=operation,
        worker=worker,
        data_role=data,
        repository_role=repository_role,
        chain=f"{operation.account}/{operation.region}/{resource_id}",
        volumes=volumes,
        size_bytes=size,
        details={
            "configuration": dict(instance.configuration),
            "excludeVolumes": sorted(volume.volume_id for volume in excluded if volume.device != root),
            "excludeBoot": any(volume.device == root for volume in excluded),
        },
    )


def plan_restore_volume(
    context: Context,
    operation: Access,
    point: RestorePoint | None,
    resource_id: str,
    profile: tuple[str, str] | None,
    *,
    target: InstanceView | None = None,
    taken: Collection[str] = (),
) -> ResourcePlan:
    """Plan the restore of a restore point's volumes. Raises `Refused`.

    `target` is the instance named by `attachTo`, None when it does not exist; `taken` are device names that other
    resources of the session will use there.
    """
    if point is None:
        raise Refused(f"restore point {resource_id} is not known", remedy="See daywork restore-point list")
    if point.repository != context.repository().name:
        raise Refused(
            f"restore point {point.id} is in repository {point.repository}",
            field="repository",
            value=context.repository().name,
            remedy=f"Set repository to {point.repository} in the request",
        )
    options = RestoreVolumeOptions.model_validate(context.request.options)
    volumes = _wanted_volumes(point, options)
    size = sum(volume.size_gib for volume in volumes) * GIB
    worker, data, repository_role = _worker(context, operation, profile, size)
    details: dict[str, Any] = {
        "point": point.id,
        "source": {"account": point.account, "region": point.region, "id": point.resource_id},
        "zone": _zone(operation, point, options, target),
        "type": options.type,
        "kmsKey": _key(operation, options),
    }
    if options.attach_to is not None:
        details |= _attachment(operation, options.attach_to, target, volumes, taken)
    return ResourcePlan(
        operation=operation,
        worker=worker,
        data_role=data,
        repository_role=repository_role,
        volumes=volumes,
        size_bytes=size,
        details={name: value for name, value in details.items() if value is not None},
    )


def _wanted_volumes(point: RestorePoint, options: RestoreVolumeOptions) -> tuple[SourceVolume, ...]:
    known = {volume["volumeId"]: SourceVolume.model_validate(volume) for volume in point.record["volumes"]}
    wanted = options.volumes or tuple(known)
    if missing := [volume for volume in wanted if volume not in known]:
        raise Refused(
            f"restore point {point.id} holds no volume {missing[0]}",
            field="options.volumes",
            value=missing[0],
            remedy=f"It holds {', '.join(known)}",
        )
    return tuple(known[volume] for volume in wanted)


def _zone(
    operation: Access, point: RestorePoint, options: RestoreVolumeOptions, target: InstanceView | None
) -> str | None:
    """Return the zone to restore to: asked for, the target instance's, the source's; None: wherever the worker is."""
    zone = options.availability_zone
    if zone is not None and not zone.startswith(operation.region):
        raise Refused(
            f"zone {zone} is not in {operation.region}",
            field="options.availabilityZone",
            value=zone,
            remedy="Name a zone of the Region that is restored to",
        )
    if target is not None:
        if zone is not None and zone != target.availability_zone:
            raise Refused(
                f"instance {target.instance_id} is in {target.availability_zone}; a volume can only be attached there",
                field="options.availabilityZone",
                value=zone,
                remedy="Leave availabilityZone out",
            )
        return target.availability_zone
    source = point.record.get("configuration", {}).get("availabilityZone")
    return zone or (source if isinstance(source, str) and source.startswith(operation.region) else None)


def _key(operation: Access, options: RestoreVolumeOptions) -> str | None:
    key = options.kms_key
    if key is not None and key.split(":")[3] != operation.region:
        raise Refused(
            f"the key is not in {operation.region}",
            field="options.kmsKey",
            value=key,
            remedy="Name a key of the Region that is restored to",
        )
    return key


def _attachment(
    operation: Access,
    wanted: str,
    target: InstanceView | None,
    volumes: tuple[SourceVolume, ...],
    taken: Collection[str],
) -> dict[str, Any]:
    """Return the instance and a free device name for each volume: its own one if it can be had."""
    if target is None:
        raise Refused(
            f"instance {wanted} does not exist in account {operation.account}, {operation.region}",
            field="options.attachTo",
            value=wanted,
            remedy="Name an instance of the account and Region that is restored to",
        )
    used = {volume.device for volume in target.volumes} | set(taken)
    devices: dict[str, str] = {}
    for volume in volumes:
        free = next((name for name in (volume.device, *_DEVICES) if name not in used), None)
        if free is None:
            raise Refused(
                f"instance {wanted} has no free device name for {volume.volume_id}",
                field="options.attachTo",
                value=wanted,
                remedy="Detach volumes that are not needed, or restore without attachTo",
            )
        used.add(free)
        devices[volume.volume_id] = free
    return {"attachTo": wanted, "devices": devices}
