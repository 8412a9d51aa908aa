"""Entire instances and drills: what was restored is read block by block, and its configuration compared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import pytest
from support.stack import REGION, Stack

from localcloud.moto_behaviour import DEBIAN_IMAGE
from localcloud.seed.address import CloudAddress
from localcloud.seed.machines import GIB, import_volume, write_blocks

SOURCE, TARGET = "222222222222", "333333333333"
BLOCK: Final = 512 * 1024
DEVICES: Final = ("/dev/xvda", "/dev/xvdf")
USER_DATA: Final = "#!/bin/sh\necho shop\n"


@dataclass(frozen=True)
class Saved:
    """An instance and the restore point that holds it."""

    instance: str
    volumes: dict[str, str]
    point: str


@pytest.fixture(scope="module")
def saved(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Saved]:
    """One instance of two volumes, backed up; nothing else selects it."""
    ec2, random = stack.eye.client(SOURCE, "ec2"), Random(11)  # noqa: S311 - content, not a secret
    subnet, group = network(stack, SOURCE)
    instance = ec2.run_instances(
        ImageId=DEBIAN_IMAGE, InstanceType="t3.small", MinCount=1, MaxCount=1, SubnetId=subnet,
        SecurityGroupIds=[group], UserData=USER_DATA, EbsOptimized=True,
        MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
        BlockDeviceMappings=[
            {"DeviceName": name, "Ebs": {"VolumeSize": 1, "DeleteOnTermination": name == DEVICES[0]}}
            for name in DEVICES
        ],
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "shop"}, {"Key": "team", "Value": "one"}]},
            {"ResourceType": "volume", "Tags": [{"Key": "disk", "Value": "shop"}]},
        ],
    )["Instances"][0]["InstanceId"]  # fmt: skip
    ec2.get_waiter("instance_running").wait(InstanceIds=[instance], WaiterConfig={"Delay": 1})
    volumes = devices(described(stack, SOURCE, instance))
    cloud = CloudAddress.of(stack.eye.endpoint, stack.directory / "cloud")
    for name in DEVICES:
        image = tmp_path_factory.mktemp("content") / "image"
        write_blocks(image, ((index, random.randbytes(BLOCK)) for index in (0, 3, 700, 2047)), GIB)
        import_volume(cloud, SOURCE, REGION, volumes[name], image)
    session = stack.start(
        {"operation": "ec2-backup", "resources": [{"account": SOURCE, "region": REGION, "id": instance}]}
    )
    record = stack.wait(session)
    assert record["status"] == "success", record
    yield Saved(instance, volumes, record["resources"][0]["result"]["restorePoint"])
    ec2.terminate_instances(InstanceIds=[instance])


def network(stack: Stack, account: str) -> tuple[str, str]:
    """Return a subnet of an account and a security group beside it."""
    ec2 = stack.eye.client(account, "ec2")
    subnet = ec2.describe_subnets(Filters=[{"Name": "tag:daywork-seed", "Values": ["*"]}])["Subnets"][0]
    groups = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [subnet["VpcId"]]}])["SecurityGroups"]
    return subnet["SubnetId"], next(one["GroupId"] for one in groups if one["GroupName"] != "default")


def described(stack: Stack, account: str, instance: str) -> dict[str, Any]:
    """Return an instance as EC2 describes it."""
    ec2 = stack.eye.client(account, "ec2")
    found: dict[str, Any] = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    return found


def devices(instance: dict[str, Any]) -> dict[str, str]:
    """Return the volume at each device of an instance."""
    return {one["DeviceName"]: one["Ebs"]["VolumeId"] for one in instance["BlockDeviceMappings"]}


def restore(stack: Stack, point: str, operation: str, account: str = TARGET, **options: Any) -> dict[str, Any]:
    """Restore a point; return the session's record."""
    resource = {"account": account, "region": REGION, "id": point}
    return stack.wait(stack.start({"operation": operation, "resources": [resource], "options": options}))


def nothing_half_made(stack: Stack, record: dict[str, Any]) -> None:
    """Nothing of the session is there but what its receipt says is kept."""
    kept = {one["id"] for one in record["receipt"]["kept"]}
    assert record["receipt"]["remaining"] == []
    created = {one["id"] for one in record["receipt"]["created"]}
    assert {one.name for one in stack.left() if one.name in created} <= kept
    assert not [one for one in stack.left() if one.kind in ("instance under restore", "image")]


@contextmanager
def ended(stack: Stack, instance: str) -> Iterator[dict[str, Any]]:
    """Describe a restored instance, and end it with its volumes afterwards."""
    ec2 = stack.eye.client(TARGET, "ec2")
    found = described(stack, TARGET, instance)
    try:
        yield found
    finally:
        ec2.terminate_instances(InstanceIds=[instance])


def test_an_instance_is_restored_into_another_account_as_it_was(stack: Stack, saved: Saved) -> None:
    """Its volumes hold the same bytes, its settings are the recorded ones, its network is the one asked for."""
    before = described(stack, SOURCE, saved.instance)
    subnet, group = network(stack, TARGET)

    record = restore(stack, saved.point, "ec2-restore-instance", subnet=subnet, securityGroups=[group], name="copy")

    assert record["status"] == "success", record
    result = record["resources"][0]["result"]
    assert [(one["kind"], one["id"]) for one in record["receipt"]["kept"]] == [
        ("restored-instance", result["instanceId"])
    ]
    with ended(stack, result["instanceId"]) as made:
        volumes = devices(made)
        assert set(volumes) == set(DEVICES)
        for name in DEVICES:
            assert stack.eye.blocks(TARGET, volumes[name]) == stack.eye.blocks(SOURCE, saved.volumes[name])
        same = ("InstanceType", "RootDeviceName", "EbsOptimized", "MetadataOptions", "Architecture")
        assert {key: made.get(key) for key in same} == {key: before.get(key) for key in same}
        assert (made["SubnetId"], made["State"]["Name"]) == (subnet, "running")
        assert [one["GroupId"] for one in made["SecurityGroups"]] == [group]
        ends = {one["DeviceName"]: one["Ebs"]["DeleteOnTermination"] for one in made["BlockDeviceMappings"]}
        assert ends == {DEVICES[0]: True, DEVICES[1]: False}
        tags = {one["Key"]: one["Value"] for one in made["Tags"]}
        assert (tags["Name"], tags["team"], tags["daywork:session"]) == ("copy", "one", record["id"])
        assert not {"daywork:install", "daywork:restoring"} & set(tags)
        ec2 = stack.eye.client(TARGET, "ec2")
        data = ec2.describe_instance_attribute(InstanceId=made["InstanceId"], Attribute="userData")["UserData"]
        assert data == ec2_user_data(stack, saved)
        nothing_half_made(stack, record)


def ec2_user_data(stack: Stack, saved: Saved) -> dict[str, str]:
    """Return the user data of the source."""
    ec2 = stack.eye.client(SOURCE, "ec2")
    found: dict[str, str] = ec2.describe_instance_attribute(InstanceId=saved.instance, Attribute="userData")["UserData"]
    return found


def test_an_instance_that_ec2_refuses_leaves_nothing(stack: Stack, saved: Saved) -> None:
    """Image, snapshots and worker are gone; the reason is AWS's."""
    subnet, group = network(stack, TARGET)

    with stack.fault(operation="ec2:RunInstances", kind="error", code="InvalidParameterCombination", account=TARGET):
        record = restore(stack, saved.point, "ec2-restore-instance", subnet=subnet, securityGroups=[group])

    assert record["status"] == "failed"
    assert "InvalidParameterCombination" in record["resources"][0]["reason"]
    assert {one["kind"] for one in record["receipt"]["removed"]} >= {"image", "snapshot", "instance"}
    assert record["receipt"]["kept"] == []
    nothing_half_made(stack, record)


def test_a_drill_proves_a_point_in_its_own_account_and_leaves_nothing(stack: Stack, saved: Saved) -> None:
    """In production mode: the account's own worker reads back what it has written."""
    resource = {"account": SOURCE, "region": REGION, "id": saved.point}
    session = stack.start(
        {
            "operation": "ec2-restore-volume",
            "mode": "production",
            "resources": [resource],
            "options": {"drill": True, "volumeInitializationRate": 100},
        }
    )

    record = stack.wait(session)

    assert record["status"] == "success", record
    assert record["resources"][0]["result"]["blocksCompared"] == 8
    assert record["receipt"]["kept"] == []
    assert {one["kind"] for one in record["receipt"]["removed"]} >= {"volume", "snapshot"}
    nothing_half_made(stack, record)


def test_a_point_is_verified_from_the_command_line(stack: Stack, saved: Saved) -> None:
    """Sound: exit code 0, after a health check session."""
    said = stack.daywork("restore-point", "verify", saved.point, "--wait")

    (session,) = [one for one in said.split() if one.startswith("s-")]
    record = stack.show(session)
    assert (record["operation"], record["status"]) == ("ec2-health-check", "success")


def test_what_no_policy_covers_is_told(stack: Stack, saved: Saved) -> None:
    """The instance has a good point and no policy: exit code 3."""
    found = json.loads(stack.daywork("unprotected", SOURCE, "--output", "json", expect=3))

    (mine,) = [one for one in found["unprotected"] if one["id"] == saved.instance]
    assert (mine["restorePoint"], mine["policies"]) == (saved.point, [])
    assert found["failures"] == []
