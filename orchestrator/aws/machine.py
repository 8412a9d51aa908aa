"""An EC2 instance as a restore point records it: all that must be known to make it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.aws.views import tags_of


def configuration(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return what must be known to make the instance again, as plain JSON values. None: EC2 did not say.

    These keys are the contract between backup and restore; they are written into heads of restore points.

    - `instanceType`, `architecture`, `virtualizationType`, `hypervisor`, `bootMode`, `enaSupport`, `sriovNetSupport`,
      `platform` (`windows` or None), `rootDevice` (name of the root volume's device), `image`, `kernel`, `ramdisk`,
      `usageOperation` (what is billed): what an image of the root volume's snapshot and a launch of it need.
    - `availabilityZone`, `tenancy`, `placementGroup`, `partition`.
    - `vpc`, `subnet`, `securityGroups` (ids), `privateAddress`: of the first network interface.
    - `networkInterfaces`: each `{index, card, subnet, securityGroups, privateAddress, privateAddresses (secondary),
      ipv6Addresses, sourceDestCheck, deleteOnTermination, description, publicAddress (whether it had one)}`.
    - `devices`: each `{device, volumeId, deleteOnTermination}`, volumes that were left out of the backup included.
    - `profile` (ARN of the instance profile), `keyName`, `ebsOptimized`, `monitoring`, `hibernation`, `enclave`, `cpu`
      (`{cores, threadsPerCore}`), `metadata` (`{httpTokens, httpPutResponseHopLimit, httpEndpoint, httpProtocolIpv6,
      instanceMetadataTags}`), `maintenance` (auto-recovery), `privateDnsName` (`{hostnameType, ...}` as EC2 has it).
    - `tags`.
    - `userData` (base64, as EC2 keeps it) is added by the backup itself, if the instance has any and the role may read
      it. It may hold what its owner thinks secret: it is never shown.
    """
    placement, cpu = described.get("Placement") or {}, described.get("CpuOptions") or {}
    return {
        "instanceType": described.get("InstanceType"),
        "image": described.get("ImageId"),
        "architecture": described.get("Architecture"),
        "virtualizationType": described.get("VirtualizationType"),
        "hypervisor": described.get("Hypervisor"),
        "bootMode": described.get("BootMode"),
        "enaSupport": described.get("EnaSupport"),
        "sriovNetSupport": described.get("SriovNetSupport"),
        "platform": described.get("Platform"),
        "usageOperation": described.get("UsageOperation"),
        "kernel": described.get("KernelId"),
        "ramdisk": described.get("RamdiskId"),
        "rootDevice": described.get("RootDeviceName"),
        "availabilityZone": placement.get("AvailabilityZone"),
        "tenancy": placement.get("Tenancy"),
        "placementGroup": placement.get("GroupName") or None,
        "partition": placement.get("PartitionNumber"),
        "vpc": described.get("VpcId"),
        "subnet": described.get("SubnetId"),
        "securityGroups": _groups(described.get("SecurityGroups")),
        "privateAddress": described.get("PrivateIpAddress"),
        "networkInterfaces": [_interface(one) for one in described.get("NetworkInterfaces") or ()],
        "devices": [
            {
                "device": one["DeviceName"],
                "volumeId": one["Ebs"]["VolumeId"],
                "deleteOnTermination": one["Ebs"].get("DeleteOnTermination", False),
            }
            for one in described.get("BlockDeviceMappings") or ()
            if "Ebs" in one
        ],
        "profile": (described.get("IamInstanceProfile") or {}).get("Arn"),
        "keyName": described.get("KeyName"),
        "ebsOptimized": described.get("EbsOptimized"),
        "monitoring": (described.get("Monitoring") or {}).get("State") in ("enabled", "pending"),
        "hibernation": (described.get("HibernationOptions") or {}).get("Configured"),
        "enclave": (described.get("EnclaveOptions") or {}).get("Enabled"),
        "cpu": {"cores": cpu.get("CoreCount"), "threadsPerCore": cpu.get("ThreadsPerCore")} if cpu else None,
        "metadata": _own_words(described.get("MetadataOptions"), without=("State",)),
        "maintenance": _own_words(described.get("MaintenanceOptions")),
        "privateDnsName": _own_words(described.get("PrivateDnsNameOptions")),
        "tags": tags_of(described),
    }


def _groups(described: Any) -> list[str]:
    return [one["GroupId"] for one in described or ()]


def _interface(described: Mapping[str, Any]) -> dict[str, Any]:
    attachment = described.get("Attachment") or {}
    return {
        "index": attachment.get("DeviceIndex", 0),
        "card": attachment.get("NetworkCardIndex", 0),
        "subnet": described.get("SubnetId"),
        "securityGroups": _groups(described.get("Groups")),
        "privateAddress": described.get("PrivateIpAddress"),
        "privateAddresses": [
            one["PrivateIpAddress"] for one in described.get("PrivateIpAddresses") or () if not one.get("Primary")
        ],
        "ipv6Addresses": [one["Ipv6Address"] for one in described.get("Ipv6Addresses") or ()],
        "sourceDestCheck": described.get("SourceDestCheck"),
        "deleteOnTermination": attachment.get("DeleteOnTermination"),
        "description": described.get("Description") or None,
        "publicAddress": bool((described.get("Association") or {}).get("PublicIp")),
    }


def _own_words(described: Mapping[str, Any] | None, without: tuple[str, ...] = ()) -> dict[str, Any] | None:
    """Return a group of options with keys in our form and values as EC2 has them."""
    kept = {key[0].lower() + key[1:]: value for key, value in (described or {}).items() if key not in without}
    return kept or None
