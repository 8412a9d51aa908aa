"""Machine images: launches get volumes from what their image was registered with."""

from __future__ import annotations

from typing import Any

import pytest
from support.blocks import block, content, make_snapshot
from support.cloud import LocalCloud, code

from localcloud.moto_behaviour import DEBIAN_IMAGE, WORKER_IMAGE


def launch(ec2: Any, image: str, mappings: list[dict[str, Any]] | None = None, **options: Any) -> dict[str, Any]:
    """Launch an instance; return its volumes by device, as EC2 shows them."""
    given = {"BlockDeviceMappings": mappings} if mappings is not None else {}
    made = ec2.run_instances(ImageId=image, InstanceType="t3.small", MinCount=1, MaxCount=1, **given, **options)[
        "Instances"
    ][0]
    shown = ec2.describe_instances(InstanceIds=[made["InstanceId"]])["Reservations"][0]["Instances"][0]
    attached = {one["DeviceName"]: one["Ebs"]["VolumeId"] for one in shown["BlockDeviceMappings"]}
    volumes = {one["VolumeId"]: one for one in ec2.describe_volumes(VolumeIds=list(attached.values()))["Volumes"]}
    return {"id": made["InstanceId"], **{device: volumes[volume] for device, volume in attached.items()}}


def register(ec2: Any, name: str, mappings: list[dict[str, Any]], **options: Any) -> str:
    """Register an image."""
    return str(
        ec2.register_image(
            Name=name,
            Architecture="x86_64",
            VirtualizationType="hvm",
            RootDeviceName="/dev/xvda",
            BlockDeviceMappings=mappings,
            **options,
        )["ImageId"]
    )


@pytest.mark.parametrize("image", [DEBIAN_IMAGE, WORKER_IMAGE])
def test_a_launch_without_mapping_gets_the_images_root(ec2: Any, image: str) -> None:
    """Where the image says, and gone with the instance."""
    made = launch(ec2, image)

    root = made["/dev/xvda"]
    assert set(made) == {"id", "/dev/xvda"}
    assert (root["Size"], root["VolumeType"]) == (1, "gp3")
    assert root["SnapshotId"].startswith("snap-")
    assert root["Attachments"][0]["DeleteOnTermination"]


def test_a_launch_may_say_more_of_the_root_volume(ec2: Any) -> None:
    """Neither size nor snapshot need to be told: the image has them."""
    mapping = {"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": True, "VolumeType": "gp3", "DeleteOnTermination": False}}

    root = launch(ec2, DEBIAN_IMAGE, [mapping])["/dev/xvda"]

    assert (root["Size"], root["Encrypted"]) == (1, True)
    assert not root["Attachments"][0]["DeleteOnTermination"]


def test_every_instance_of_a_launch_has_volumes_of_its_own(ec2: Any, ebs: Any) -> None:
    """With the bytes of their snapshots."""
    snapshot = make_snapshot(ebs, {3: block(1)})
    made = ec2.run_instances(
        ImageId=DEBIAN_IMAGE,
        InstanceType="t3.small",
        MinCount=2,
        MaxCount=2,
        BlockDeviceMappings=[
            {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8}},
            {"DeviceName": "/dev/xvdf", "Ebs": {"SnapshotId": snapshot}},
        ],
        TagSpecifications=[{"ResourceType": "volume", "Tags": [{"Key": "of", "Value": "launch"}]}],
    )["Instances"]

    volumes = ec2.describe_volumes(Filters=[{"Name": "tag:of", "Values": ["launch"]}])["Volumes"]
    data = [one["VolumeId"] for one in volumes if one["Attachments"][0]["Device"] == "/dev/xvdf"]

    assert len(made) == 2
    assert sorted(one["Size"] for one in volumes) == [1, 1, 8, 8]
    for volume in data:
        assert content(ebs, ec2.create_snapshot(VolumeId=volume)["SnapshotId"]) == {3: block(1)}


def test_a_registered_image_launches_its_snapshots(ec2: Any, ebs: Any) -> None:
    """Root and data, larger where the launch asks, without what it leaves out."""
    root, data, more = (make_snapshot(ebs, {0: block(number)}) for number in (1, 2, 3))
    image = register(
        ec2,
        "restored",
        [
            {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": root, "VolumeType": "gp3"}},
            {"DeviceName": "/dev/xvdf", "Ebs": {"SnapshotId": data}},
            {"DeviceName": "/dev/xvdg", "Ebs": {"SnapshotId": more}},
        ],
        TagSpecifications=[{"ResourceType": "image", "Tags": [{"Key": "a", "Value": "b"}]}],
    )

    made = launch(
        ec2,
        image,
        [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 9}}, {"DeviceName": "/dev/xvdg", "NoDevice": ""}],
    )

    shown = ec2.describe_images(ImageIds=[image])["Images"][0]
    assert (shown["RootDeviceName"], shown["Tags"]) == ("/dev/xvda", [{"Key": "a", "Value": "b"}])
    assert [one["Ebs"]["SnapshotId"] for one in shown["BlockDeviceMappings"]] == [root, data, more]
    assert set(made) == {"id", "/dev/xvda", "/dev/xvdf"}
    assert (made["/dev/xvda"]["Size"], made["/dev/xvda"]["SnapshotId"]) == (9, root)
    assert made["/dev/xvda"]["Attachments"][0]["DeleteOnTermination"]
    assert not made["/dev/xvdf"]["Attachments"][0]["DeleteOnTermination"]
    taken = ec2.create_snapshots(InstanceSpecification={"InstanceId": made["id"]})["Snapshots"]
    assert [content(ebs, one["SnapshotId"]) for one in taken] == [{0: block(1)}, {0: block(2)}]


def test_a_snapshot_of_an_image_stays(ec2: Any, ebs: Any) -> None:
    """Until the image is deregistered; the account has no snapshots but its own."""
    snapshot = make_snapshot(ebs, {0: block(1)})
    image = register(ec2, "kept", [{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot}}])

    refused = code(lambda: ec2.delete_snapshot(SnapshotId=snapshot))
    own = [one["SnapshotId"] for one in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]]
    ec2.deregister_image(ImageId=image)
    ec2.delete_snapshot(SnapshotId=snapshot)

    assert refused == "InvalidSnapshot.InUse"
    assert own == [snapshot]


def test_sizes_and_snapshots_are_checked(cloud: LocalCloud, ec2: Any, ebs: Any) -> None:
    """A volume is not smaller than its snapshot; an image's snapshots are there and completed."""
    large, pending = make_snapshot(ebs, {}, size=4), ebs.start_snapshot(VolumeSize=1)["SnapshotId"]

    def mapping(snapshot: str, size: int | None = None) -> list[dict[str, Any]]:
        ebs_part = {"SnapshotId": snapshot} if size is None else {"SnapshotId": snapshot, "VolumeSize": size}
        return [{"DeviceName": "/dev/xvda", "Ebs": ebs_part}]

    assert code(lambda: launch(ec2, DEBIAN_IMAGE, mapping(large, 3))) == "InvalidBlockDeviceMapping"
    assert code(lambda: register(ec2, "image-a", mapping(large, 3))) == "InvalidBlockDeviceMapping"
    assert code(lambda: register(ec2, "image-b", mapping(pending))) == "IncorrectState"
    assert code(lambda: register(ec2, "image-c", mapping("snap-00000000000000000"))) == "InvalidSnapshot.NotFound"
    assert code(lambda: launch(ec2, DEBIAN_IMAGE, mapping(pending))) == "IncorrectState"
    assert ec2.describe_volumes()["Volumes"] == ec2.describe_instances()["Reservations"] == []
