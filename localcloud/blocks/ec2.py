"""The EC2 side of volumes and snapshots: what moto does not do or not as EC2 does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any, Final

from localcloud import state, wire
from localcloud.blocks import amis, attachments
from localcloud.blocks.records import find_snapshot, volume_record
from localcloud.call import Call, Reply
from localcloud.errors import AwsError

_INSTANCE_ID: Final = re.compile(rb"<instanceId>(i-[0-9a-f]+)</instanceId>")
_IMAGE_ID: Final = re.compile(rb"<imageId>(ami-[0-9a-f]+)</imageId>")
_PAGE_LIMIT: Final = 1000


class Ec2Volumes:
    """Answers or completes EC2's calls about volumes and snapshots."""

    def __init__(self) -> None:
        self._before: dict[str, Callable[[Call], Reply | None]] = {
            "RunInstances": _run_instances,
            "CreateSnapshots": _create_snapshots,
            "DescribeSnapshots": _describe_snapshots,
            "AttachVolume": _attach_volume,
            "DetachVolume": _detach_volume,
            "RegisterImage": _check_image,
        }

    def before(self, call: Call) -> Reply | None:
        """Answer the call, complete it, or refuse it with `AwsError`."""
        deed = self._before.get(call.operation)
        return None if deed is None or call.parameters.get("DryRun") else deed(call)

    @staticmethod
    def after(call: Call, reply: Reply) -> Reply:
        """Complete what moto has made."""
        if reply.status >= 300:  # noqa: PLR2004 - HTTP's own limit
            return reply
        if call.operation == "RunInstances":
            backend = state.ec2(call.account, call.region)
            for found in set(_INSTANCE_ID.findall(wire.whole(reply))):
                instance = backend.get_instance_by_id(found.decode())
                if instance is not None:
                    amis.finish_launch(call, instance)
        if call.operation == "RegisterImage":
            match = _IMAGE_ID.search(wire.whole(reply))
            if match is not None:
                amis.finish_registration(call, state.ec2(call.account, call.region).amis[match[1].decode()])
        return reply


def _run_instances(call: Call) -> None:
    amis.complete_launch(call)


def _attach_volume(call: Call) -> None:
    attachments.check_attachment(call)


def _detach_volume(call: Call) -> None:
    attachments.complete_detachment(call)


def _check_image(call: Call) -> None:
    amis.check_registration(call)


def _create_snapshots(call: Call) -> Reply:
    """CreateSnapshots: all volumes of an instance, at one moment."""
    backend = state.ec2(call.account, call.region)
    given = call.parameters
    volumes = _chosen_volumes(backend, given.get("InstanceSpecification") or {})
    tags = _tags(given, "snapshot")
    copied = given.get("CopyTagsFromSource") == "volume"
    with ExitStack() as stack:
        for volume in volumes:
            stack.enter_context(volume_record(volume).content.still())
        snapshots = [backend.create_snapshot(volume.id, given.get("Description") or "") for volume in volumes]
    for snapshot, volume in zip(snapshots, volumes, strict=True):
        inherited = {tag["key"]: tag["value"] for tag in volume.get_tags()} if copied else {}
        snapshot.add_tags({**inherited, **tags})
    return wire.answer(call, {"Snapshots": [_shown(snapshot) for snapshot in snapshots]})


def _chosen_volumes(backend: Any, specification: Mapping[str, Any]) -> list[Any]:
    instance_id = specification.get("InstanceId", "")
    instance = backend.get_instance_by_id(instance_id)
    if instance is None:
        raise AwsError("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")
    attached = dict(instance.get_block_device_mapping)
    root = attached.get(instance.root_device_name)
    root_id = root.volume_id if root is not None else None
    excluded = set(specification.get("ExcludeDataVolumeIds") or ())
    if root_id in excluded:
        raise AwsError(
            "InvalidParameterValue",
            f"Volume {root_id} is the boot volume; use ExcludeBootVolume rather than ExcludeDataVolumeIds.",
        )
    if strange := sorted(excluded - {device.volume_id for device in attached.values()}):
        raise AwsError("InvalidParameterValue", f"Volume {strange[0]} is not attached to instance {instance_id}.")
    if specification.get("ExcludeBootVolume"):
        excluded.add(root_id)
    chosen = [backend.get_volume(device.volume_id) for device in attached.values() if device.volume_id not in excluded]
    if not chosen:
        raise AwsError("InvalidParameterValue", f"No volume of instance {instance_id} is left to snapshot.")
    return chosen


def _describe_snapshots(call: Call) -> Reply:
    """DescribeSnapshots: by id at once, by owner, filtered, in pages."""
    from moto.ec2.exceptions import EC2ClientError
    from moto.ec2.utils import generic_filter

    backend = state.ec2(call.account, call.region)
    given = call.parameters
    filters = {str(one.get("Name")): list(one.get("Values") or []) for one in given.get("Filters") or []}
    found = _by_id(call, given.get("SnapshotIds") or [])
    if not found:
        wanted = filters.get("snapshot-id", [])
        # Values may hold wildcards; then all are looked at.
        plain = wanted and not any(char in value for value in wanted for char in "*?")
        snapshots = backend.snapshots
        found = [snapshots[one] for one in wanted if one in snapshots] if plain else list(snapshots.values())
    owners = {call.account if one == "self" else one for one in given.get("OwnerIds") or []}
    if owners:
        found = [snapshot for snapshot in found if snapshot.owner_id in owners]
    if filters:
        try:
            found = list(generic_filter(filters, found))
        except (EC2ClientError, NotImplementedError) as error:
            raise AwsError("InvalidParameterValue", f"The filter is not valid: {error}") from None
    page, token = _page(found, given)
    answer: dict[str, Any] = {"Snapshots": [_shown(snapshot) for snapshot in page]}
    return wire.answer(call, answer if token is None else {**answer, "NextToken": token})


def _by_id(call: Call, ids: Iterable[str]) -> list[Any]:
    found = []
    for snapshot_id in ids:
        snapshot = find_snapshot(call.account, call.region, snapshot_id)
        if snapshot is None:
            raise AwsError("InvalidSnapshot.NotFound", f"The snapshot '{snapshot_id}' does not exist.")
        found.append(snapshot)
    return found


def _page(found: list[Any], given: Mapping[str, Any]) -> tuple[list[Any], str | None]:
    most = given.get("MaxResults")
    try:
        start = int(given.get("NextToken") or 0)
    except ValueError:
        raise AwsError("InvalidParameterValue", "The next token is not valid.") from None
    end = len(found) if most is None else start + min(int(most), _PAGE_LIMIT)
    return found[start:end], str(end) if end < len(found) else None


def _shown(snapshot: Any) -> dict[str, Any]:
    shown = {
        "SnapshotId": snapshot.id,
        "VolumeId": snapshot.volume_id,
        "State": snapshot.status,
        "StateMessage": snapshot.state_message,
        "StartTime": snapshot.start_time,
        "Progress": snapshot.progress,
        "OwnerId": snapshot.owner_id,
        "Description": snapshot.description or "",
        "VolumeSize": snapshot.volume_size,
        "Encrypted": bool(snapshot.encrypted),
        "KmsKeyId": snapshot.kms_key_id,
        "StorageTier": snapshot.storage_tier,
        "Tags": [{"Key": tag["key"], "Value": tag["value"]} for tag in snapshot.get_tags()],
    }
    return {name: value for name, value in shown.items() if value is not None}


def _tags(given: Mapping[str, Any], kind: str) -> dict[str, str]:
    return {
        tag["Key"]: tag.get("Value", "")
        for specification in given.get("TagSpecifications") or []
        if specification.get("ResourceType") == kind
        for tag in specification.get("Tags") or []
    }
