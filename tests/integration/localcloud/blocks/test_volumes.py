"""Volumes and snapshots of EC2: their bytes go with them."""

from __future__ import annotations

import threading
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from moto.ec2.models.elastic_block_store import EBSBackend
from support.blocks import BLOCK, block, changed, checksum, content, make_snapshot
from support.cloud import REGION, LocalCloud, code

from localcloud import state
from localcloud.blocks.records import volume_record
from localcloud.moto_behaviour import DEBIAN_IMAGE

ZONE = f"{REGION}a"
GIB = 2**30


def fill(cloud: LocalCloud, account: str, volume: str, blocks: dict[int, bytes], directory: Path) -> None:
    """Make blocks the content of a volume of 1 GiB."""
    image = directory / f"{volume}.img"
    with image.open("wb") as file:
        for index, data in blocks.items():
            file.seek(index * BLOCK)
            file.write(data)
        file.truncate(GIB)
    status, answer = cloud.sim(
        "POST", f"volumes/{account}/{REGION}/{volume}/import", {"path": str(image)}, token=cloud.server.admin_token
    )
    assert status == 200, answer


def launch(ec2: Any, *devices: str) -> dict[str, Any]:
    """Launch an instance with data volumes of 1 GiB; return instance id, and volume ids by device."""
    made = ec2.run_instances(
        ImageId=DEBIAN_IMAGE,
        InstanceType="t3.small",
        MinCount=1,
        MaxCount=1,
        BlockDeviceMappings=[{"DeviceName": device, "Ebs": {"VolumeSize": 1}} for device in devices],
    )["Instances"][0]
    shown = ec2.describe_instances(InstanceIds=[made["InstanceId"]])["Reservations"][0]["Instances"][0]
    volumes = {one["DeviceName"]: one["Ebs"]["VolumeId"] for one in shown["BlockDeviceMappings"]}
    return {"instance": made["InstanceId"], "root": shown["RootDeviceName"], "volumes": volumes}


def test_an_empty_volume_has_an_empty_snapshot(ebs: Any, ec2: Any) -> None:
    """Nothing was ever written; a terabyte costs nothing."""
    volume = ec2.create_volume(Size=1024, AvailabilityZone=ZONE)["VolumeId"]

    snapshot = ec2.create_snapshot(VolumeId=volume, Description="empty")

    shown = ec2.describe_snapshots(SnapshotIds=[snapshot["SnapshotId"]])["Snapshots"][0]
    assert (shown["VolumeId"], shown["VolumeSize"], shown["Description"]) == (volume, 1024, "empty")
    assert (shown["State"], shown["Progress"]) == ("completed", "100%")
    assert content(ebs, snapshot["SnapshotId"]) == {}


def test_a_snapshot_of_a_volume_made_from_a_snapshot_holds_its_bytes(ebs: Any, ec2: Any) -> None:
    """Also when the first snapshot and the volume are gone by then."""
    blocks = {0: block(1), 2047: block(2)}
    origin = make_snapshot(ebs, blocks)
    volume = ec2.create_volume(SnapshotId=origin, AvailabilityZone=ZONE)
    snapshot = ec2.create_snapshot(VolumeId=volume["VolumeId"])["SnapshotId"]

    ec2.delete_snapshot(SnapshotId=origin)
    ec2.delete_volume(VolumeId=volume["VolumeId"])

    assert (volume["Size"], volume["SnapshotId"]) == (1, origin)
    assert content(ebs, snapshot) == blocks


def test_a_volume_is_not_smaller_than_its_snapshot(ebs: Any, ec2: Any) -> None:
    """EC2 names the size that it needs; nothing is made."""
    snapshot = make_snapshot(ebs, {}, size=2)

    refused = code(lambda: ec2.create_volume(SnapshotId=snapshot, Size=1, AvailabilityZone=ZONE))

    assert refused == "InvalidParameterValue"
    assert ec2.describe_volumes()["Volumes"] == []


def test_a_volume_made_twice_with_one_token_is_one(ebs: Any, ec2: Any) -> None:
    """With its snapshot's bytes; another request under the same token is refused."""
    asked = {"SnapshotId": make_snapshot(ebs, {3: block(1)}), "AvailabilityZone": ZONE, "ClientToken": "volume-1"}

    first, second = ec2.create_volume(**asked), ec2.create_volume(**asked)

    assert first["VolumeId"] == second["VolumeId"]
    assert len(ec2.describe_volumes()["Volumes"]) == 1
    assert code(lambda: ec2.create_volume(**asked, Size=2)) == "IdempotentParameterMismatch"


def test_what_is_written_later_is_not_in_the_snapshot(
    cloud: LocalCloud, account: str, ebs: Any, ec2: Any, tmp_path: Path
) -> None:
    """And the next one tells what changed between."""
    volume = ec2.create_volume(Size=1, AvailabilityZone=ZONE)["VolumeId"]
    fill(cloud, account, volume, {0: block(1), 1: block(2)}, tmp_path)
    first = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]

    fill(cloud, account, volume, {0: block(1), 1: block(3), 2: block(4)}, tmp_path)
    second = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]

    assert content(ebs, first) == {0: block(1), 1: block(2)}
    assert content(ebs, second) == {0: block(1), 1: block(3), 2: block(4)}
    assert {index: bool(both[0]) for index, both in changed(ebs, first, second).items()} == {1: True, 2: False}


def test_deleting_gives_the_space_back(cloud: LocalCloud, account: str, ebs: Any, ec2: Any, tmp_path: Path) -> None:
    """When the last of those that share the bytes is gone."""
    directory = cloud.server.cloud.directory / "blocks"

    def space() -> int:
        return sum(path.stat().st_blocks * 512 for path in directory.rglob("*") if path.is_file())

    before = space()
    volume = ec2.create_volume(Size=1, AvailabilityZone=ZONE)["VolumeId"]
    fill(cloud, account, volume, {index: block(index + 1) for index in range(10)}, tmp_path)
    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    filled = space()

    ec2.delete_volume(VolumeId=volume)
    kept = space()
    ec2.delete_snapshot(SnapshotId=snapshot)

    assert filled - before >= 10 * BLOCK
    assert kept == filled
    assert space() == before


def test_snapshots_of_an_instance_are_of_one_moment(
    cloud: LocalCloud, account: str, ebs: Any, ec2: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written once the first volume is frozen is in no snapshot, whichever volume it is written to."""
    made = launch(ec2, "/dev/xvdf", "/dev/xvdg")
    volumes = list(made["volumes"].values())
    for volume in volumes:
        fill(cloud, account, volume, {0: block(1)}, tmp_path)
    backend = state.ec2(account, REGION)
    contents = [volume_record(backend.volumes[volume]).content for volume in volumes]
    written = threading.Event()
    create, began = EBSBackend.create_snapshot, threading.Event()

    def write() -> None:
        for one in contents:
            one.write(0, block(2), sha256(block(2)).digest())
        written.set()

    writer = threading.Thread(target=write)

    def create_and_write(*args: Any, **options: Any) -> Any:
        snapshot = create(*args, **options)
        if not began.is_set():
            began.set()
            writer.start()
            # The write has every chance to come between; it must not.
            written.wait(0.2)
        return snapshot

    monkeypatch.setattr(EBSBackend, "create_snapshot", create_and_write)

    taken = ec2.create_snapshots(InstanceSpecification={"InstanceId": made["instance"]})["Snapshots"]

    writer.join()
    assert [content(ebs, one["SnapshotId"]) for one in taken] == [{0: block(1)}] * 3
    assert content(ebs, ec2.create_snapshot(VolumeId=volumes[0])["SnapshotId"]) == {0: block(2)}


def test_snapshots_of_an_instance_carry_what_was_asked(ec2: Any, account: str) -> None:
    """Tags, description, the tags of their volumes when asked for; one for each volume."""
    made = launch(ec2, "/dev/xvdf")
    for device, volume in made["volumes"].items():
        ec2.create_tags(Resources=[volume], Tags=[{"Key": "device", "Value": device}, {"Key": "k", "Value": "volume"}])

    answer = ec2.create_snapshots(
        InstanceSpecification={"InstanceId": made["instance"]},
        Description="nightly",
        CopyTagsFromSource="volume",
        TagSpecifications=[{"ResourceType": "snapshot", "Tags": [{"Key": "k", "Value": "asked"}]}],
    )["Snapshots"]

    assert {one["VolumeId"] for one in answer} == set(made["volumes"].values())
    found = ec2.describe_snapshots(Filters=[{"Name": "tag:k", "Values": ["asked"]}], OwnerIds=["self"])["Snapshots"]
    assert {one["SnapshotId"] for one in found} == {one["SnapshotId"] for one in answer}
    for one in found:
        tags = {tag["Key"]: tag["Value"] for tag in one["Tags"]}
        assert made["volumes"][tags["device"]] == one["VolumeId"]
        assert (one["Description"], one["OwnerId"]) == ("nightly", account)


@pytest.mark.parametrize(
    ("exclude_boot", "excluded", "left"),
    [
        (True, (), {"/dev/xvdf", "/dev/xvdg"}),
        (False, ("/dev/xvdf",), {"/dev/xvda", "/dev/xvdg"}),
        (True, ("/dev/xvdf",), {"/dev/xvdg"}),
    ],
)
def test_volumes_can_be_excluded(ec2: Any, exclude_boot: bool, excluded: tuple[str, ...], left: set[str]) -> None:  # noqa: FBT001 - a parameter of the test
    """The boot volume by its flag, data volumes by their ids."""
    made = launch(ec2, "/dev/xvdf", "/dev/xvdg")

    answer = ec2.create_snapshots(
        InstanceSpecification={
            "InstanceId": made["instance"],
            "ExcludeBootVolume": exclude_boot,
            "ExcludeDataVolumeIds": [made["volumes"][device] for device in excluded],
        }
    )["Snapshots"]

    assert {one["VolumeId"] for one in answer} == {made["volumes"][device] for device in left}


def test_exclusions_must_make_sense(ec2: Any) -> None:
    """The boot volume is no data volume; strange volumes, nothing left and no instance are refused."""
    made = launch(ec2)
    root = made["volumes"][made["root"]]

    def snapshots(**specification: Any) -> str:
        return code(
            lambda: ec2.create_snapshots(InstanceSpecification={"InstanceId": made["instance"], **specification})
        )

    assert snapshots(ExcludeDataVolumeIds=[root]) == "InvalidParameterValue"
    assert snapshots(ExcludeDataVolumeIds=["vol-00000000000000000"]) == "InvalidParameterValue"
    assert snapshots(ExcludeBootVolume=True) == "InvalidParameterValue"
    assert snapshots(InstanceId="i-00000000000000000") == "InvalidInstanceID.NotFound"
    assert ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []


def test_terminating_an_instance_drops_the_volumes_it_says(cloud: LocalCloud, account: str, ec2: Any) -> None:
    """By default the root volume alone; data volumes stay, made with it or attached later."""
    made = launch(ec2, "/dev/xvdf")
    cloud.wait_for_state(account, made["instance"], "running")
    zone = ec2.describe_volumes()["Volumes"][0]["AvailabilityZone"]
    later = ec2.create_volume(Size=1, AvailabilityZone=zone)["VolumeId"]
    ec2.attach_volume(VolumeId=later, InstanceId=made["instance"], Device="/dev/xvdh")

    ec2.terminate_instances(InstanceIds=[made["instance"]])
    cloud.wait_for_state(account, made["instance"], "terminated")

    left = {one["VolumeId"]: one["State"] for one in ec2.describe_volumes()["Volumes"]}
    assert left == {made["volumes"]["/dev/xvdf"]: "available", later: "available"}


def test_attaching_has_its_rules(cloud: LocalCloud, account: str, ec2: Any) -> None:
    """One instance at a time, one volume a device, one zone."""
    made = launch(ec2)
    cloud.wait_for_state(account, made["instance"], "running")
    zone = ec2.describe_volumes()["Volumes"][0]["AvailabilityZone"]
    elsewhere = next(
        one["ZoneName"] for one in ec2.describe_availability_zones()["AvailabilityZones"] if one["ZoneName"] != zone
    )
    first, second = (ec2.create_volume(Size=1, AvailabilityZone=zone)["VolumeId"] for _ in range(2))
    far = ec2.create_volume(Size=1, AvailabilityZone=elsewhere)["VolumeId"]

    def attach(volume: str, device: str = "/dev/xvdf") -> Any:
        return ec2.attach_volume(VolumeId=volume, InstanceId=made["instance"], Device=device)

    attach(first)
    assert code(lambda: attach(first, "/dev/xvdg")) == "VolumeInUse"
    assert code(lambda: attach(second)) == "InvalidParameterValue"
    assert code(lambda: attach(far, "/dev/xvdg")) == "InvalidVolume.ZoneMismatch"
    assert code(lambda: attach("vol-00000000000000000", "/dev/xvdg")) == "InvalidVolume.NotFound"
    assert code(lambda: ec2.delete_volume(VolumeId=first)) == "VolumeInUse"
    ec2.detach_volume(VolumeId=first)
    attach(second)
    assert code(lambda: ec2.detach_volume(VolumeId=first)) == "IncorrectState"
    assert code(lambda: ec2.detach_volume(VolumeId=made["volumes"][made["root"]])) == "OperationNotPermitted"


def test_a_copy_holds_the_same_bytes_in_another_region(cloud: LocalCloud, account: str, ebs: Any) -> None:
    """And outlives its source."""
    blocks = {1: block(1)}
    source = make_snapshot(ebs, blocks)
    elsewhere = "eu-central-1"

    copy = cloud.admin("ec2", account, elsewhere).copy_snapshot(SourceSnapshotId=source, SourceRegion=REGION)
    cloud.admin("ec2", account).delete_snapshot(SnapshotId=source)

    assert content(cloud.admin("ebs", account, elsewhere), copy["SnapshotId"]) == blocks


def test_snapshots_are_described_by_id_owner_filter_and_page(ebs: Any, ec2: Any) -> None:
    """Unknown ids and filters are refused; images' snapshots are not one's own."""
    made = [make_snapshot(ebs, {}, Tags=[{"Key": "n", "Value": str(number)}]) for number in range(3)]

    def ids(**given: Any) -> list[str]:
        return [one["SnapshotId"] for one in ec2.describe_snapshots(**given)["Snapshots"]]

    assert ids(OwnerIds=["self"]) == made
    assert set(made) < set(ids())
    assert ids(SnapshotIds=[made[2], made[0]]) == [made[2], made[0]]
    assert ids(Filters=[{"Name": "snapshot-id", "Values": made[:2]}, {"Name": "tag:n", "Values": ["1"]}]) == [made[1]]
    assert ids(Filters=[{"Name": "snapshot-id", "Values": ["snap-*"]}], OwnerIds=["self"]) == made
    assert ids(OwnerIds=["self"], Filters=[{"Name": "status", "Values": ["pending"]}]) == []
    pages = ec2.get_paginator("describe_snapshots").paginate(OwnerIds=["self"], PaginationConfig={"PageSize": 5})
    assert [one["SnapshotId"] for page in pages for one in page["Snapshots"]] == made
    first = ec2.describe_snapshots(OwnerIds=["self"], MaxResults=2)
    assert [one["SnapshotId"] for one in first["Snapshots"]] == made[:2]
    assert ids(OwnerIds=["self"], MaxResults=2, NextToken=first["NextToken"]) == made[2:]
    assert code(lambda: ids(SnapshotIds=["snap-00000000000000000"])) == "InvalidSnapshot.NotFound"
    assert code(lambda: ids(Filters=[{"Name": "no-such-filter", "Values": ["1"]}])) == "InvalidParameterValue"


def test_checksums_are_those_of_the_data(cloud: LocalCloud, account: str, ebs: Any, ec2: Any, tmp_path: Path) -> None:
    """What was imported has the digest of its bytes, as what was put has."""
    volume = ec2.create_volume(Size=1, AvailabilityZone=ZONE)["VolumeId"]
    fill(cloud, account, volume, {5: block(9)}, tmp_path)
    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    token = ebs.list_snapshot_blocks(SnapshotId=snapshot)["Blocks"][0]["BlockToken"]

    answer = ebs.get_snapshot_block(SnapshotId=snapshot, BlockIndex=5, BlockToken=token)

    assert answer["Checksum"] == checksum(block(9)) == checksum(answer["BlockData"].read())
