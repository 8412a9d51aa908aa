"""A file system with a tree of files, to be indexed."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from localcloud.seed.accounts import Network
from localcloud.seed.address import CloudAddress
from localcloud.seed.content import make_tree
from localcloud.seed.names import SEED_TAG

_NFS = 2049


@dataclass(frozen=True)
class SharedFiles:
    """A file system that is there."""

    account: str
    region: str
    id: str
    name: str


def ensure_file_system(
    cloud: CloudAddress, account: str, region: str, network: Network, name: str, *, number: int
) -> SharedFiles:
    """Make a file system that workers of the account may mount in each zone, and fill it, once.

    `number` seeds the content. Raises `CloudError`, botocore's ClientError.
    """
    efs = cloud.client("efs", account, region)
    described = efs.describe_file_systems(CreationToken=name)["FileSystems"]
    made = described[0] if described else _make(efs, name)
    file_system = str(made["FileSystemId"])
    if not efs.describe_mount_targets(FileSystemId=file_system)["MountTargets"]:
        group = _door(cloud.client("ec2", account, region), network, name)
        for subnet in network.subnets:
            efs.create_mount_target(FileSystemId=file_system, SubnetId=subnet, SecurityGroups=[group])
    # The tag comes last: one whose filling was interrupted is filled again.
    if not any(tag["Key"] == SEED_TAG for tag in made.get("Tags", [])):
        _fill(cloud, account, region, file_system, Random(f"{number}/{account}/{name}"))  # noqa: S311 - content, not a secret
        efs.tag_resource(ResourceId=file_system, Tags=[{"Key": SEED_TAG, "Value": name}])
    return SharedFiles(account, region, file_system, name)


def _make(efs: Any, name: str) -> dict[str, Any]:
    tags = [{"Key": "Name", "Value": name}, {"Key": "backup", "Value": "daily"}]
    return dict(efs.create_file_system(CreationToken=name, Encrypted=True, Tags=tags))


def _door(ec2: Any, network: Network, name: str) -> str:
    """Make the security group of the mount targets: NFS from where workers stand."""
    group = str(
        ec2.create_security_group(GroupName=name, Description="Mount targets", VpcId=network.vpc)["GroupId"],
    )
    peers = [
        {
            "IpProtocol": "tcp",
            "FromPort": _NFS,
            "ToPort": _NFS,
            "UserIdGroupPairs": [{"GroupId": network.security_group}],
        }
    ]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=peers)
    return group


def _fill(cloud: CloudAddress, account: str, region: str, file_system: str, random: Random) -> None:
    with tempfile.TemporaryDirectory(prefix="daywork-seed-") as place:
        make_tree(random, Path(place), "shared")
        cloud.post(f"file-systems/{account}/{region}/{file_system}/import", {"path": str(Path(place).resolve())})
