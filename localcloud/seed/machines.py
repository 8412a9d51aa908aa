"""Instances to back up: launched like any other, then their volumes are filled with content."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Any, Final

from localcloud.moto_behaviour import DEBIAN_IMAGE
from localcloud.seed.accounts import Network
from localcloud.seed.address import CloudAddress
from localcloud.seed.content import BLOCK, mixed_blocks, sparse_blocks
from localcloud.seed.filesystem import make_image
from localcloud.seed.names import SEED_TAG
from localcloud.seed.wait import wait_until

GIB: Final = 2**30
_DEVICES: Final = MappingProxyType({"system": "/dev/xvda", "mixed": "/dev/xvdf", "sparse": "/dev/xvdg"})
_BLOCKS: Final[Mapping[str, Callable[[Random, int], Iterator[tuple[int, bytes]]]]] = MappingProxyType(
    {"mixed": mixed_blocks, "sparse": sparse_blocks}
)


@dataclass(frozen=True)
class Machine:
    """An instance to make: its name, and what kind of volumes it has besides the system volume."""

    name: str
    data: tuple[str, ...]
    number: int

    @property
    def kinds(self) -> tuple[str, ...]:
        """All kinds of volumes, the system volume first."""
        return ("system", *self.data)


@dataclass(frozen=True)
class Made:
    """An instance that is there. `volumes` maps device names to volume ids."""

    account: str
    region: str
    instance: str
    name: str
    volumes: Mapping[str, str]


def machines(account_name: str, count: int) -> list[Machine]:
    """Return the machines of an account: in turn one with a data volume, one with a sparse volume as well."""
    return [
        Machine(f"{account_name}-{'db' if number % 2 else 'web'}-{number + 1}", data, number)
        for number in range(count)
        for data in [("mixed", "sparse") if number % 2 else ("mixed",)]
    ]


def launch_machine(
    cloud: CloudAddress, account: str, region: str, network: Network, machine: Machine, size_gib: int
) -> str:
    """Launch an instance, or find the one that was launched before; return its id."""
    ec2 = cloud.client("ec2", account, region)
    found = _find(ec2, machine.name)
    if found is None:
        subnet = network.subnets[machine.number % len(network.subnets)]
        found = _launch(ec2, machine, subnet, network.security_group, size_gib)
    return str(found["InstanceId"])


def finish_machine(
    cloud: CloudAddress, account: str, region: str, machine: Machine, instance: str, *, number: int, size_gib: int
) -> Made:
    """Wait until a launched instance runs and fill its volumes, once. `number` seeds the content."""
    ec2 = cloud.client("ec2", account, region)
    described = wait_until(
        lambda: _running(ec2, instance), seconds=60, what=f"instance {instance} ({machine.name}) is running"
    )
    volumes = {one["DeviceName"]: one["Ebs"]["VolumeId"] for one in described["BlockDeviceMappings"]}
    # The tag comes last: a machine whose filling was interrupted is filled again.
    if not any(tag["Key"] == SEED_TAG for tag in described.get("Tags", [])):
        _fill(cloud, account, region, machine, volumes, number, size_gib * GIB)
        ec2.create_tags(Resources=[instance], Tags=[{"Key": SEED_TAG, "Value": machine.name}])
    return Made(account, region, instance, machine.name, volumes)


def _find(ec2: Any, name: str) -> dict[str, Any] | None:
    pages = ec2.get_paginator("describe_instances").paginate(
        Filters=[
            {"Name": "tag:Name", "Values": [name]},
            {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]},
        ]
    )
    found = [one for page in pages for reservation in page["Reservations"] for one in reservation["Instances"]]
    return found[0] if found else None


def _launch(ec2: Any, machine: Machine, subnet: str, group: str, size_gib: int) -> dict[str, Any]:
    volume = {"VolumeSize": size_gib, "VolumeType": "gp3"}
    made = ec2.run_instances(
        ImageId=DEBIAN_IMAGE,
        InstanceType="t3.small",
        MinCount=1,
        MaxCount=1,
        SubnetId=subnet,
        SecurityGroupIds=[group],
        MetadataOptions={"HttpTokens": "required"},
        BlockDeviceMappings=[
            {"DeviceName": _DEVICES[kind], "Ebs": {**volume, "DeleteOnTermination": kind == "system"}}
            for kind in machine.kinds
        ],
        TagSpecifications=[
            {
                "ResourceType": "instance",
                "Tags": [{"Key": "Name", "Value": machine.name}, {"Key": "backup", "Value": "daily"}],
            },
            {"ResourceType": "volume", "Tags": [{"Key": "Name", "Value": machine.name}]},
        ],
    )
    return dict(made["Instances"][0])


def _running(ec2: Any, instance: str) -> dict[str, Any] | None:
    described = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    return described if described["State"]["Name"] == "running" else None


def _fill(
    cloud: CloudAddress,
    account: str,
    region: str,
    machine: Machine,
    volumes: Mapping[str, str],
    number: int,
    size: int,
) -> None:
    with tempfile.TemporaryDirectory(prefix="daywork-seed-") as place:
        for kind in machine.kinds:
            random = Random(f"{number}/{account}/{machine.name}/{kind}")  # noqa: S311 - content, not a secret
            if kind == "system":
                image = make_image(Path(place), random, size=size, host=machine.name)
            else:
                image = Path(place) / kind
                write_blocks(image, _BLOCKS[kind](random, size // BLOCK - 1), size)
            import_volume(cloud, account, region, volumes[_DEVICES[kind]], image)
            image.unlink()


def write_blocks(image: Path, blocks: Iterator[tuple[int, bytes]], size: int) -> None:
    """Write blocks into a sparse file of `size` bytes."""
    with image.open("wb") as file:
        for index, block in blocks:
            file.seek(index * BLOCK)
            file.write(block)
        file.truncate(size)


def import_volume(cloud: CloudAddress, account: str, region: str, volume: str, image: Path) -> None:
    """Make an image file on this machine the content of a volume. Raises `CloudError`."""
    cloud.post(
        f"volumes/{account}/{region}/{volume}/import",
        {"path": str(image.resolve())},
    )
