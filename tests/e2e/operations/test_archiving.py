"""An archived point outlives its original: retrieved and restored, it is read block by block."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError
from support.stack import REGION, Stack

from localcloud.moto_behaviour import DEBIAN_IMAGE
from localcloud.seed.address import CloudAddress
from localcloud.seed.machines import GIB, import_volume, write_blocks

HOME, SOURCE, TARGET = "111111111111", "222222222222", "333333333333"
BLOCK: Final = 512 * 1024


@dataclass(frozen=True)
class Machine:
    """An instance of one volume, and what was on it when it was archived."""

    instance: str
    volume: str
    content: dict[int, bytes]


@pytest.fixture(scope="module")
def machine(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """An instance that nothing else selects."""
    ec2, random = stack.eye.client(SOURCE, "ec2"), Random(17)  # noqa: S311 - content, not a secret
    subnet = ec2.describe_subnets(Filters=[{"Name": "tag:daywork-seed", "Values": ["*"]}])["Subnets"][0]["SubnetId"]
    made = ec2.run_instances(
        ImageId=DEBIAN_IMAGE,
        InstanceType="t3.small",
        MinCount=1,
        MaxCount=1,
        SubnetId=subnet,
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 1}}],
    )["Instances"][0]["InstanceId"]
    ec2.get_waiter("instance_running").wait(InstanceIds=[made], WaiterConfig={"Delay": 1})
    found = ec2.describe_instances(InstanceIds=[made])["Reservations"][0]["Instances"][0]
    volume = found["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    image = tmp_path_factory.mktemp("content") / "image"
    write_blocks(image, ((index, random.randbytes(BLOCK)) for index in (0, 5, 900, 2040)), GIB)
    import_volume(CloudAddress.of(stack.eye.endpoint, stack.directory / "cloud"), SOURCE, REGION, volume, image)
    yield Machine(made, volume, stack.eye.blocks(SOURCE, volume))
    ec2.terminate_instances(InstanceIds=[made])


def run(stack: Stack, operation: str, account: str, resource: str, **request: Any) -> dict[str, Any]:
    """Run a session over one resource; return its record."""
    resources = [{"account": account, "region": REGION, "id": resource}]
    record = stack.wait(stack.start({"operation": operation, "resources": resources, **request}))
    assert record["status"] == "success", record
    assert record["receipt"]["remaining"] == []
    return record


def result(record: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a session's one resource."""
    found: dict[str, Any] = record["resources"][0]["result"]
    return found


def points(stack: Stack) -> dict[str, str]:
    """Return the kinds of all restore points by id."""
    listed = json.loads(stack.daywork("restore-point", "list", "--output", "json"))["restorePoints"]
    return {one["id"]: one["kind"] for one in listed}


def run_policy(stack: Stack, machine: Machine, directory: Path) -> dict[str, Any]:
    """Run a policy that keeps one restore point; return the record of the retention that follows."""
    resource = {"account": SOURCE, "region": REGION, "id": machine.instance}
    policy = {
        "name": "one-point",
        "operation": "ec2-backup",
        "resources": [resource],
        "retention": {"keep": {"last": 1}},
    }
    path = directory / "policy.json"
    path.write_text(json.dumps(policy))
    stack.daywork("policy", "apply", "-f", str(path))
    stack.daywork("policy", "run", "one-point", "--wait")
    listed = json.loads(stack.daywork("session", "list", "--output", "json"))["sessions"]
    (follower,) = [one["id"] for one in listed if one["source"] == "daywork.policy/one-point/then"]
    record = stack.wait(follower)
    stack.daywork("policy", "delete", "one-point")
    assert (record["operation"], record["status"]) == ("ec2-retention", "success"), record
    return record


def test_an_archived_point_is_restored_when_retention_has_deleted_its_original(
    stack: Stack, machine: Machine, tmp_path: Path
) -> None:
    """Its worker is launched when what it reads is retrieved; a worker that died while archiving left nothing bad."""
    first = result(run(stack, "ec2-backup", SOURCE, machine.instance))["restorePoint"]
    ec2, s3 = stack.eye.client(HOME, "ec2"), stack.eye.client(HOME, "s3")

    with stack.fault(operation="s3:CompleteMultipartUpload", kind="latency", seconds=5):
        resources = [{"account": HOME, "region": REGION, "id": first}]
        retry = {"attempts": 2, "delay": 1}
        session = stack.start({"operation": "ec2-archive", "resources": resources, "retry": retry})
        stack.wait_for_status(session, {"running"})
        worker = stack.show(session)["resources"][0]["worker"]["instanceId"]
        ec2.terminate_instances(InstanceIds=[worker])
        stack.wait_for_status(session, {"pending"})
    archived = stack.wait(session)
    assert (archived["status"], archived["resources"][0]["attempts"]) == ("success", 2), archived
    copy = result(archived)["restorePoint"]
    bucket = next(one["Name"] for one in s3.list_buckets()["Buckets"] if one["Name"].startswith("daywork-archive-"))
    packs = s3.list_objects_v2(Bucket=bucket, Prefix="packs/")["Contents"]
    assert {one["StorageClass"] for one in packs} == {"DEEP_ARCHIVE"}
    with pytest.raises(ClientError, match="InvalidObjectState"):
        s3.get_object(Bucket=bucket, Key=packs[0]["Key"])

    kept = run_policy(stack, machine, tmp_path)
    assert result(kept)["deleted"] == 1
    listed = points(stack)
    assert first not in listed
    assert listed[copy] == "archived"

    restored = run(stack, "ec2-restore-volume", TARGET, copy, options={"retrieval": "bulk"})

    made = result(restored)["volumes"][0]["newVolumeId"]
    assert stack.eye.blocks(TARGET, made) == machine.content
    log = stack.daywork("session", "log", restored["id"])
    assert "asked for from the archive (bulk)" in log
    assert "waiting: retrieving from the archive, expected by" in log
    stack.eye.client(TARGET, "ec2").delete_volume(VolumeId=made)


def test_a_lost_ledger_finds_archived_points_again(stack: Stack) -> None:
    """They are read from their heads, which are not archived."""
    imported = json.loads(stack.daywork("repository", "import", "--output", "json"))["repositories"]

    (main,) = imported
    assert main["unread"] == []
    assert main["known"] == len(points(stack))
