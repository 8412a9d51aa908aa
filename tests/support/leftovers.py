"""Things of ours that nobody owns any more, one of every kind that the sweeper knows, made by the accounts' own hands.

made = leave(eye, account, home, bucket=..., install=..., ended=..., unknown=...)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from console.demo.eye import Eye
from orchestrator import policies, tags
from support.servers import wait_for

_IMAGE: Final = "ami-0da0000000000002b"
_GONE: Final = ("shutting-down", "terminated")


@dataclass(frozen=True)
class Leftover:
    """One of them."""

    kind: str
    account: str
    name: str

    def is_there(self, eye: Eye) -> bool:
        """Whether it is still there."""
        client = eye.client(self.account, _SERVICE.get(self.kind, "ec2"))
        try:
            return bool(_LOOKS[self.kind](client, self.name))
        except client.exceptions.ClientError:
            return False


def leave(eye: Eye, account: str, home: str, *, bucket: str, install: str, ended: str, unknown: str) -> list[Leftover]:
    """Leave one thing of each kind: what holds data of a session that has `ended`, else of one that is `unknown`."""
    made = [Leftover(*one) for one in _of_ec2(eye, account, install, ended, unknown)]
    made.append(Leftover("role", home, _role(eye.client(home, "iam"), install, unknown)))
    eye.client(home, "s3").put_object(Bucket=bucket, Key=f"orders/{unknown}/AROA:i-1.json", Body=b"{}")
    made.append(Leftover("orders", home, f"{bucket}/{unknown}"))
    for one in made:
        wait_for(partial(one.is_there, eye), seconds=30)
    return made


def _of_ec2(eye: Eye, account: str, install: str, ended: str, unknown: str) -> Iterator[tuple[str, str, str]]:
    ec2 = eye.client(account, "ec2")
    marks = tags.session_tags(install, ended)
    zone = ec2.describe_availability_zones()["AvailabilityZones"][0]["ZoneName"]
    volume = ec2.create_volume(AvailabilityZone=zone, Size=1, TagSpecifications=_specification("volume", marks))
    yield "volume", account, volume["VolumeId"]
    snapshot = ec2.create_snapshot(VolumeId=volume["VolumeId"], TagSpecifications=_specification("snapshot", marks))
    yield "snapshot", account, snapshot["SnapshotId"]
    yield "instance", account, _instance(ec2, tags.session_tags(install, unknown))
    yield "restored-instance", account, _instance(ec2, tags.restoring_tags(install, ended, 0, 1))
    # An image stands over a snapshot of its own: one in use cannot be removed.
    under = ec2.create_snapshot(VolumeId=volume["VolumeId"])["SnapshotId"]
    wait_for(lambda: ec2.describe_snapshots(SnapshotIds=[under])["Snapshots"][0]["State"] == "completed", seconds=30)
    image = ec2.register_image(
        Name=f"left by {ended}",
        RootDeviceName="/dev/xvda",
        Architecture="x86_64",
        VirtualizationType="hvm",
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": under}}],
        TagSpecifications=_specification("image", tags.session_tags(install, unknown)),
    )
    yield "image", account, image["ImageId"]


def _instance(ec2: Any, marks: dict[str, str]) -> str:
    made = ec2.run_instances(
        ImageId=_IMAGE, InstanceType="t3.small", MinCount=1, MaxCount=1,
        TagSpecifications=_specification("instance", marks),
    )  # fmt: skip
    return str(made["Instances"][0]["InstanceId"])


def _role(iam: Any, install: str, session: str) -> str:
    name, path = tags.temporary_role_name(session), tags.path_of(install)
    iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=json.dumps(policies.ec2_trust()))
    iam.create_instance_profile(InstanceProfileName=name, Path=path)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    return name


def _specification(kind: str, marks: dict[str, str]) -> list[Any]:
    return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in marks.items()]}]


def _is_alive(ec2: Any, name: str) -> bool:
    found = ec2.describe_instances(InstanceIds=[name])["Reservations"][0]["Instances"][0]
    return found["State"]["Name"] not in _GONE


def _has_orders(s3: Any, name: str) -> bool:
    bucket, session = name.split("/")
    return bool(s3.list_objects_v2(Bucket=bucket, Prefix=f"orders/{session}/").get("Contents"))


_SERVICE: Final = {"role": "iam", "orders": "s3"}
_LOOKS: Final = {
    "volume": lambda ec2, name: ec2.describe_volumes(VolumeIds=[name])["Volumes"],
    "snapshot": lambda ec2, name: ec2.describe_snapshots(SnapshotIds=[name])["Snapshots"],
    "image": lambda ec2, name: ec2.describe_images(ImageIds=[name])["Images"],
    "instance": _is_alive,
    "restored-instance": _is_alive,
    "role": lambda iam, name: iam.get_role(RoleName=name),
    "orders": _has_orders,
}
