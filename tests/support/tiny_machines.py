"""Instances whose one volume holds a few blocks: many of them are made, backed up and compared in no time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from localcloud.moto_behaviour import DEBIAN_IMAGE
from localcloud.seed import CloudAddress
from localcloud.seed.content import BLOCK
from localcloud.seed.machines import GIB, import_volume, write_blocks
from orchestrator.ledger import registry
from support.servers import wait_for
from support.stack import REGION, Stack


@dataclass(frozen=True, kw_only=True)
class TinyMachine:
    """An instance, its volume, and the image file that holds what is on it."""

    account: str
    id: str
    volume: str
    image: Path

    @property
    def selector(self) -> dict[str, str]:
        """Return it as a request names it."""
        return {"account": self.account, "region": REGION, "id": self.id}


def tiny_machines(stack: Stack, count: int, directory: Path, *, number: int = 1) -> list[TinyMachine]:
    """Make `count` machines in each production account of a seeded stack; `number` seeds their content.

    Images and volumes stay as they are, so each may be compared with what is restored.
    """
    cloud = CloudAddress.of(stack.record["addresses"]["cloud"], stack.directory / "cloud")
    random = Random(number)  # noqa: S311 - content, not a secret
    twin = random.randbytes(BLOCK)
    try:
        return [
            _filled(cloud, account, one, directory, random, twin)
            for account, subnet, group in _networks(stack)
            for one in _launched(cloud, account, subnet, group, count)
        ]
    finally:
        cloud.close()


def _networks(stack: Stack) -> list[tuple[str, str, str]]:
    with stack.ledger.read() as tx:
        accounts = [one for one in registry.load(tx).accounts if not one.backup_account]
    networks = [(one.id, one.worker_configurations[0]) for one in accounts]
    return [(account, network.subnets[0], network.security_groups[0]) for account, network in networks]


def _launched(cloud: CloudAddress, account: str, subnet: str, group: str, count: int) -> Sequence[dict[str, Any]]:
    ec2 = cloud.client("ec2", account, REGION)
    made = ec2.run_instances(
        ImageId=DEBIAN_IMAGE,
        InstanceType="t3.small",
        MinCount=count,
        MaxCount=count,
        SubnetId=subnet,
        SecurityGroupIds=[group],
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "tiny"}]}],
    )["Instances"]
    ids = [one["InstanceId"] for one in made]
    described: list[dict[str, Any]] = []

    def all_run() -> bool:
        pages = ec2.get_paginator("describe_instances").paginate(InstanceIds=ids)
        described[:] = [one for page in pages for group in page["Reservations"] for one in group["Instances"]]
        return all(one["State"]["Name"] == "running" for one in described)

    wait_for(all_run, seconds=60)
    return described


def _filled(
    cloud: CloudAddress, account: str, instance: dict[str, Any], directory: Path, random: Random, twin: bytes
) -> TinyMachine:
    """Give the volume a block that all have, one or two of its own, and a hole between."""
    volume = instance["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    image = directory / volume
    own = [(index, random.randbytes(BLOCK)) for index in random.sample(range(5, 200), random.randint(1, 2))]
    write_blocks(image, iter([(0, twin), *own]), GIB)
    import_volume(cloud, account, REGION, volume, image)
    return TinyMachine(account=account, id=instance["InstanceId"], volume=volume, image=image)


def differences(stack: Stack, account: str, volume: str, image: Path) -> Any:
    """Compare a volume with an image file, byte for byte; return what the cloud says differs."""
    cloud = CloudAddress.of(stack.record["addresses"]["cloud"], stack.directory / "cloud")
    try:
        return cloud.post(f"volumes/{account}/{REGION}/{volume}/compare", {"path": str(image)})
    finally:
        cloud.close()
