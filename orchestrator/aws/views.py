"""Turning what EC2 describes into our own values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.model.plan import SourceVolume
from orchestrator.ports import DatabaseView, FileSystemView, InstanceView, MountTargetView, SnapshotView, VolumeView


def tags_of(described: Mapping[str, Any]) -> dict[str, str]:
    """Return tags as a dict."""
    return {tag["Key"]: tag["Value"] for tag in described.get("Tags", [])}


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags as AWS takes them."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def tag_filters(tags: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return filters that match every one of these tags."""
    return [{"Name": f"tag:{key}", "Values": [value]} for key, value in sorted(tags.items())]


def volume_source(described: Mapping[str, Any], device: str, *, ends_with_instance: bool) -> SourceVolume:
    """Return a volume as something to back up."""
    return SourceVolume(
        volume_id=described["VolumeId"],
        device=device,
        size_gib=described["Size"],
        type=described.get("VolumeType", "gp3"),
        encrypted=described.get("Encrypted", False),
        kms_key=described.get("KmsKeyId"),
        iops=described.get("Iops"),
        throughput=described.get("Throughput"),
        attributes={"tags": tags_of(described), "deleteOnTermination": ends_with_instance},
    )


def instance(
    described: Mapping[str, Any],
    volumes: tuple[SourceVolume, ...] = (),
    configuration: Mapping[str, Any] | None = None,
) -> InstanceView:
    """Return an instance; `configuration` is that of a source (`orchestrator.aws.machine`)."""
    reason = described.get("StateReason") or {}
    return InstanceView(
        instance_id=described["InstanceId"],
        state=described["State"]["Name"],
        instance_type=described.get("InstanceType", ""),
        availability_zone=described.get("Placement", {}).get("AvailabilityZone", ""),
        private_address=described.get("PrivateIpAddress"),
        launched_at=described.get("LaunchTime"),
        state_reason=reason.get("Code") or described.get("StateTransitionReason") or None,
        tags=tags_of(described),
        volumes=volumes,
        configuration=configuration or {},
    )


def snapshot(described: Mapping[str, Any]) -> SnapshotView:
    """Return a snapshot, from EC2 or from the EBS direct API."""
    progress = str(described.get("Progress") or "0").rstrip("%") or "0"
    return SnapshotView(
        snapshot_id=described["SnapshotId"],
        volume_id=described.get("VolumeId", ""),
        state=described.get("State") or described.get("Status") or "pending",
        size_gib=described.get("VolumeSize", 0),
        started_at=described["StartTime"],
        progress=int(float(progress)),
        reason=described.get("StateMessage"),
        tags=tags_of(described),
    )


def volume(described: Mapping[str, Any]) -> VolumeView:
    """Return a volume."""
    return VolumeView(
        volume_id=described["VolumeId"],
        state=described["State"],
        size_gib=described["Size"],
        availability_zone=described["AvailabilityZone"],
        snapshot_id=described.get("SnapshotId"),
        tags=tags_of(described),
    )


def database(described: Mapping[str, Any]) -> DatabaseView:
    """Return a DB instance."""
    endpoint = described.get("Endpoint") or {}
    return DatabaseView(
        id=described["DBInstanceIdentifier"],
        engine=described.get("Engine", ""),
        engine_version=described.get("EngineVersion", ""),
        state=described.get("DBInstanceStatus", ""),
        size_gib=described.get("AllocatedStorage", 0),
        availability_zone=described.get("AvailabilityZone"),
        vpc=(described.get("DBSubnetGroup") or {}).get("VpcId"),
        address=endpoint.get("Address"),
        port=endpoint.get("Port") or described.get("DbInstancePort") or 5432,
        security_groups=tuple(one["VpcSecurityGroupId"] for one in described.get("VpcSecurityGroups", [])),
        kms_key=described.get("KmsKeyId"),
        tags={tag["Key"]: tag["Value"] for tag in described.get("TagList", [])},
    )


def file_system(described: Mapping[str, Any], targets: Iterable[Mapping[str, Any]]) -> FileSystemView:
    """Return a file system with its mount targets."""
    return FileSystemView(
        id=described["FileSystemId"],
        state=described.get("LifeCycleState", ""),
        size_bytes=(described.get("SizeInBytes") or {}).get("Value", 0),
        name=described.get("Name"),
        kms_key=described.get("KmsKeyId"),
        mount_targets=tuple(
            MountTargetView(
                id=one["MountTargetId"],
                subnet=one["SubnetId"],
                availability_zone=one.get("AvailabilityZoneName", ""),
                vpc=one.get("VpcId", ""),
                state=one.get("LifeCycleState", ""),
                address=one.get("IpAddress"),
                security_groups=tuple(one.get("SecurityGroups", ())),
            )
            for one in targets
        ),
        tags=tags_of(described),
    )
