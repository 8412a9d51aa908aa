"""Tiny instances to back up: one volume with a few blocks, launched by their owners. A backup takes no time."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any, Final

from console.demo.eye import BLOCK, Eye
from localcloud.seed.machines import GIB, write_blocks
from support.servers import wait_for

#: (account, instance id)
Source = tuple[str, str]

_BLOCKS: Final = (0, 3, 4, 1000)


def tiny_sources(eye: Eye, account: str, count: int, directory: Path) -> list[Source]:
    """Launch `count` instances in an account whose volumes hold four blocks each; return them when they can be used."""
    ec2 = eye.client(account, "ec2")
    launched = ec2.run_instances(
        ImageId="ami-0da0000000000002b",
        InstanceType="t3.small",
        MinCount=count,
        MaxCount=count,
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 1, "VolumeType": "gp3"}}],
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "tiny"}]}],
    )["Instances"]
    ids = [str(one["InstanceId"]) for one in launched]
    wait_for(lambda: all(one["State"]["Name"] == "running" for one in _described(ec2, ids)), seconds=30)
    for number, one in enumerate(_described(ec2, ids)):
        image = directory / "tiny.img"
        random = Random(f"{account}/{number}")  # noqa: S311 - content, not a secret
        write_blocks(image, ((index, random.randbytes(BLOCK)) for index in _BLOCKS), GIB)
        _import(eye, account, one["BlockDeviceMappings"][0]["Ebs"]["VolumeId"], image)
        image.unlink()
    return [(account, one) for one in ids]


def _described(ec2: Any, ids: list[str]) -> list[dict[str, Any]]:
    groups = ec2.describe_instances(InstanceIds=ids)["Reservations"]
    return [one for group in groups for one in group["Instances"]]


def _import(eye: Eye, account: str, volume: str, image: Path) -> None:
    page = f"/_sim/volumes/{account}/{eye.region}/{volume}/import"
    eye._post(page, {"path": str(image.resolve())})


def kill_agent(eye: Eye, instance: str) -> None:
    """Kill the agent on an instance, as the kernel of a machine that has run out of memory does."""
    eye._post("/_sim/fleet/kill", {"instance": instance, "signal": 9})
