"""Restore of volumes and of entire instances from an image-level backup (rows 2 and 3)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from orchestrator.errors import Refused
from orchestrator.ledger.points import RestorePoint
from orchestrator.model.options import RestoreInstanceOptions, RestoreOptions, RestoreVolumeOptions
from orchestrator.model.plan import Access, ResourcePlan, SourceVolume
from orchestrator.planner.context import Context
from orchestrator.planner.recorded import EC2, is_good, source_of, usable, volumes_of
from orchestrator.planner.worker import GIB, WorkerProfile, staff
from orchestrator.ports import InstanceView

#: Device names that EC2 recommends for data volumes, for a restored volume whose own name is taken.
_DEVICES = tuple(f"/dev/sd{letter}" for letter in "fghijklmnop")


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
    point = usable(context, point, resource_id, EC2)
    options = RestoreVolumeOptions.model_validate(context.request.options)
    _refuse_damaged(point, options)
    volumes = _wanted_volumes(point, options.volumes)
    size = sum(volume.size_gib for volume in volumes) * GIB
    staffing = staff(context, context.row(resource_id), operation, profile, size)
    details: dict[str, Any] = {
        "point": point.id,
        "source": source_of(point),
        "zone": _zone(operation, point, options, target),
        "type": options.type,
        "kmsKey": _key(operation, options.kms_key),
        "volumeInitializationRate": options.volume_initialization_rate,
        "drill": options.drill or None,
    }
    if options.attach_to is not None:
        details |= _attachment(operation, options.attach_to, target, volumes, taken)
    return ResourcePlan(
        operation=operation,
        worker=staffing.worker,
        data_role=staffing.data_role,
        repository_role=staffing.repository_role,
        volumes=volumes,
        size_bytes=size,
        details={name: value for name, value in details.items() if value is not None},
    )


def _refuse_damaged(point: RestorePoint, options: RestoreOptions) -> None:
    """Raise `Refused` for a point that is known not to restore whole, unless that is what is wanted."""
    if is_good(point) or options.damaged == "accept":
        return
    raise Refused(
        f"restore point {point.id} is {point.status}: a health check could not read all of it",
        field="options.damaged",
        value=options.damaged,
        remedy="Restore another point (daywork restore-point list), run the backup again and check the point anew, "
        "or set damaged to accept: the restore then fails only if it needs what is damaged",
    )


def _wanted_volumes(point: RestorePoint, wanted: Sequence[str]) -> tuple[SourceVolume, ...]:
    known = {volume.volume_id: volume for volume in volumes_of(point)}
    if missing := [volume for volume in wanted if volume not in known]:
        raise Refused(
            f"restore point {point.id} holds no volume {missing[0]}",
            field="options.volumes",
            value=missing[0],
            remedy=f"It holds {', '.join(known)}",
        )
    return tuple(known[volume] for volume in wanted or known)


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


def _key(operation: Access, key: str | None) -> str | None:
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


def plan_restore_instance(
    context: Context,
    operation: Access,
    point: RestorePoint | None,
    resource_id: str,
    profile: WorkerProfile | None,
    *,
    zone: str | None,
) -> ResourcePlan:
    """Plan the restore of a restore point's whole instance. Raises `Refused`.

    `zone` is that of the subnet which `subnet_to_restore_into` names, None when it does not exist.
    """
    point = usable(context, point, resource_id, EC2)
    options = RestoreInstanceOptions.model_validate(context.request.options)
    _refuse_damaged(point, options)
    _refuse_without_image(point)
    subnet = subnet_to_restore_into(context, operation, point)
    if subnet is None or (options.subnet is not None and not options.security_groups):
        raise Refused(
            "the recorded network is of use in the source's own account and Region alone",
            field="options.subnet" if subnet is None else "options.securityGroups",
            value=None if subnet is None else subnet,
            remedy="Name subnet and securityGroups of the account and Region that is restored to",
        )
    if zone is None:
        raise Refused(
            f"subnet {subnet} does not exist in account {operation.account}, {operation.region}",
            field="options.subnet",
            value=subnet,
            remedy="Name a subnet of the account and Region that is restored to",
        )
    volumes = volumes_of(point)
    size = sum(volume.size_gib for volume in volumes) * GIB
    staffing = staff(context, context.row(resource_id), operation, profile, size)
    recorded = configuration_of(point)
    details = {
        "point": point.id,
        "source": source_of(point),
        "zone": zone,
        "kmsKey": _key(operation, options.kms_key),
        "configuration": recorded,
        "name": options.name or recorded.get("tags", {}).get("Name"),
        "instanceType": options.instance_type or recorded.get("instanceType"),
        "subnet": subnet,
        "securityGroups": list(options.security_groups) or recorded.get("securityGroups"),
        "instanceProfile": options.instance_profile,
        "volumeInitializationRate": options.volume_initialization_rate,
        "powerOn": options.power_on,
    }
    return ResourcePlan(
        operation=operation,
        worker=staffing.worker,
        data_role=staffing.data_role,
        repository_role=staffing.repository_role,
        volumes=volumes,
        size_bytes=size,
        details={name: value for name, value in details.items() if value is not None},
    )


def _refuse_without_image(point: RestorePoint) -> None:
    """Raise `Refused` for an instance that no image over its snapshots could start as what it was."""
    recorded = configuration_of(point)
    root, devices = recorded.get("rootDevice"), {one.device for one in volumes_of(point)}
    if root not in devices:
        raise Refused(
            f"restore point {point.id} does not hold the root volume ({root or 'its device was not recorded'})",
            remedy="Restore its volumes with ec2-restore-volume",
        )
    if recorded.get("platform") == "windows":
        raise Refused(
            f"restore point {point.id} is of a Windows instance: an image of its snapshots would have no licence",
            remedy="Start an instance from a Windows image, then restore the volumes with ec2-restore-volume and put "
            "them in the place of its own",
        )


def subnet_to_restore_into(context: Context, operation: Access, point: RestorePoint) -> str | None:
    """Return the subnet of a restored instance: the one asked for, else the recorded one where that still means it."""
    options = RestoreInstanceOptions.model_validate(context.request.options)
    if options.subnet is not None:
        return options.subnet
    if (point.account, point.region) != (operation.account, operation.region):
        return None
    found = configuration_of(point).get("subnet")
    return found if isinstance(found, str) else None


def configuration_of(point: RestorePoint) -> dict[str, Any]:
    """Return the instance's configuration as it was recorded."""
    return dict(point.record.get("configuration") or {})
