"""An instance whose volumes a test writes to between backups, and knows block by block."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from console.demo.eye import BLOCK, Eye
from localcloud.seed.machines import GIB, write_blocks
from support.servers import wait_for

_IMAGE = "ami-0da0000000000002b"
_DEVICES = ("/dev/xvda", "/dev/xvdb")


@dataclass
class Changing:
    """An instance and what is on its volumes: `held` by volume id, block index to 512 KiB."""

    eye: Eye
    account: str
    instance: str
    volumes: tuple[str, ...]
    directory: Path
    held: dict[str, dict[int, bytes]] = field(default_factory=dict)

    @classmethod
    def launch(cls, eye: Eye, account: str, directory: Path, *, user_data: str = "", **tags: str) -> Changing:
        """Launch an instance with two volumes of 1 GiB each; return it when it runs."""
        ec2 = eye.client(account, "ec2")
        made = ec2.run_instances(
            ImageId=_IMAGE,
            InstanceType="t3.small",
            MinCount=1,
            MaxCount=1,
            UserData=user_data,
            BlockDeviceMappings=[
                {"DeviceName": one, "Ebs": {"VolumeSize": 1, "VolumeType": "gp3"}} for one in _DEVICES
            ],
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
            ]
            if tags
            else [],
        )["Instances"][0]["InstanceId"]

        def described() -> dict[str, Any]:
            found: dict[str, Any] = ec2.describe_instances(InstanceIds=[made])["Reservations"][0]["Instances"][0]
            return found

        wait_for(lambda: described()["State"]["Name"] == "running", seconds=30)
        mapped = {one["DeviceName"]: one["Ebs"]["VolumeId"] for one in described()["BlockDeviceMappings"]}
        return cls(eye, account, made, tuple(mapped[one] for one in _DEVICES), directory)

    def write(self, volume: str, blocks: Mapping[int, bytes]) -> None:
        """Write blocks; the others stay as they are."""
        held = self.held.setdefault(volume, {})
        held.update(blocks)
        image = self.directory / f"{volume}.img"
        write_blocks(image, sorted(held.items()), GIB)
        page = f"/_sim/volumes/{self.account}/{self.eye.region}/{volume}/import"
        self.eye._post(page, {"path": str(image.resolve())})
        image.unlink()

    def digests(self, volume: str) -> dict[int, bytes]:
        """Return what `Eye.blocks` is to find on a volume with this one's present content."""
        zero = bytes(BLOCK)
        return {at: hashlib.sha256(one).digest() for at, one in self.held[volume].items() if one != zero}
