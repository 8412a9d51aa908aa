"""Turning what EC2 describes into our own values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.model.plan import SourceVolume
from orchestrator.ports import InstanceView, SnapshotView, VolumeView


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


def instance(described: Mapping[str, Any], volumes: tuple[SourceVolume, ...] = ()) -> InstanceView:
    """Return an instance."""
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
        configuration=configuration(described),
    )


def configuration(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return what must be known to make the instance again, as plain JSON values."""
    return {
        "instanceType": described.get("InstanceType"),
        "image": described.get("ImageId"),
        "availabilityZone": described.get("Placement", {}).get("AvailabilityZone"),
        "architecture": described.get("Architecture"),
        "vpc": described.get("VpcId"),
        "subnet": described.get("SubnetId"),
        "securityGroups": [group["GroupId"] for group in described.get("SecurityGroups", [])],
        "privateAddress": described.get("PrivateIpAddress"),
        "keyName": described.get("KeyName"),
        "profile": (described.get("IamInstanceProfile") or {}).get("Arn"),
        "rootDevice": described.get("RootDeviceName"),
        "ebsOptimized": described.get("EbsOptimized"),
        "tags": tags_of(described),
    }


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
