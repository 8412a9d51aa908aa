"""Seeding: complete, repeatable, with content that depends on the seed alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from support.cloud import (
    LocalCloud,
    cloud as cloud,  # noqa: PLC0414 - a fixture is made known by its name
    code,
)

from localcloud.seed import CloudAddress, foundation, seed
from localcloud.seed.address import CloudError
from localcloud.seed.filesystem import make_image
from orchestrator.model.account import Registry

HOME, FIRST = "111111111111", "222222222222"


@pytest.fixture(scope="module")
def address(cloud: LocalCloud) -> Iterator[CloudAddress]:
    """The cloud as the seed sees it."""
    made = CloudAddress.of(cloud.url, cloud.server.cloud.directory)
    yield made
    made.close()


@pytest.fixture(scope="module")
def external_ids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where external ids are written."""
    return tmp_path_factory.mktemp("secrets") / "external-ids"


@pytest.fixture(scope="module")
def seeded(address: CloudAddress, external_ids: Path) -> dict[str, Any]:
    """What seeding one account with two instances made."""
    foundation(address, "local")
    return seed(address, "local", external_ids=external_ids, accounts=1, instances=2).to_dict()


def test_the_registry_document_is_valid_and_complete(seeded: dict[str, Any]) -> None:
    """The product reads the registry as it is: accounts, roles, networks, one repository."""
    registry = Registry.model_validate(seeded["registry"])

    home, first = registry.accounts
    assert (home.id, home.name, home.backup_account) == (HOME, "backup", True)
    assert (first.id, first.name, first.backup_account) == (FIRST, "production-a", False)
    assert first.external_id is not None
    assert set(first.roles.named()) == {"backup", "restore", "worker", "files", "data"}
    assert set(home.roles.named()) == {"workerDeployment", "backup", "restore", "worker", "files"}
    assert [len(one.worker_configurations[0].subnets) for one in registry.accounts] == [2, 2]
    assert registry.repositories[0].role == f"arn:aws:iam::{HOME}:role/DayworkRepository"


def test_seeding_again_changes_nothing_and_more_can_be_asked_for(
    address: CloudAddress, external_ids: Path, seeded: dict[str, Any]
) -> None:
    """The same seed again finds everything; a larger one adds to it."""
    again = seed(address, "local", external_ids=external_ids, accounts=1, instances=2).to_dict()
    more = seed(address, "local", external_ids=external_ids, accounts=2, instances=0).to_dict()

    assert again == seeded
    assert more["registry"]["accounts"][:2] == seeded["registry"]["accounts"]
    assert more["registry"]["accounts"][2]["name"] == "production-b"


def test_external_ids_are_in_their_files_alone(seeded: dict[str, Any], external_ids: Path) -> None:
    """Each account has its own secret, which only its owner can read and nothing repeats."""
    found = {path.name: path.read_text() for path in external_ids.iterdir()}

    assert set(found) >= {FIRST}
    assert len(set(found.values())) == len(found)
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in external_ids.iterdir())
    assert not any(secret in json.dumps(seeded) for secret in found.values())


def test_instances_are_tagged_run_and_start_no_agent(cloud: LocalCloud, seeded: dict[str, Any]) -> None:
    """The instances to back up run, can be selected by tag, and are no workers."""
    ids = [one["id"] for one in seeded["instances"]]

    cloud.account(FIRST)
    pages = cloud.admin("ec2", FIRST).describe_instances(Filters=[{"Name": "tag:backup", "Values": ["daily"]}])
    described = {one["InstanceId"]: one for page in pages["Reservations"] for one in page["Instances"]}
    assert sorted(described) == sorted(ids)
    for one in described.values():
        assert one["State"]["Name"] == "running"
        assert "IamInstanceProfile" not in one
        attribute = cloud.admin("ec2", FIRST).describe_instance_attribute(
            InstanceId=one["InstanceId"], Attribute="userData"
        )
        assert not attribute.get("UserData", {}).get("Value")
    assert not list(cloud.server.cloud.directory.glob("console/*"))


def test_volumes_hold_the_bytes_of_their_seed(cloud: LocalCloud, seeded: dict[str, Any], tmp_path: Path) -> None:
    """The system volume is byte for byte the image of its seed; data volumes hold data, the sparse one two blocks."""
    web, database = seeded["instances"]
    dice = Random(f"1/{FIRST}/{web['name']}/system")  # noqa: S311 - content, not a secret
    image = make_image(tmp_path, dice, size=2**30, host=web["name"])
    token = cloud.server.admin_token

    compared = cloud.sim(
        "POST",
        f"volumes/{FIRST}/eu-west-1/{web['volumes']['/dev/xvda']}/compare",
        {"path": str(image)},
        token=token,
    )
    assert compared == (200, {"equal": True, "differing": []})
    blocks = {
        device: cloud.sim("GET", f"volumes/{FIRST}/eu-west-1/{volume}", token=token)[1]["blocks"]
        for device, volume in database["volumes"].items()
    }
    assert set(blocks) == {"/dev/xvda", "/dev/xvdf", "/dev/xvdg"}
    assert blocks["/dev/xvdf"] == 36
    assert blocks["/dev/xvdg"] == 2


def test_a_file_system_can_be_mounted_by_workers_and_holds_files(cloud: LocalCloud, seeded: dict[str, Any]) -> None:
    """A mount target in each zone, open to the group of workers alone; behind them a tree of files."""
    (made,) = seeded["fileSystems"]
    efs, ec2 = cloud.admin("efs", FIRST), cloud.admin("ec2", FIRST)
    (workers,) = seeded["registry"]["accounts"][1]["workerConfigurations"]

    targets = efs.describe_mount_targets(FileSystemId=made["id"])["MountTargets"]
    groups = {
        group
        for one in targets
        for group in efs.describe_mount_target_security_groups(MountTargetId=one["MountTargetId"])["SecurityGroups"]
    }

    assert {one["SubnetId"] for one in targets} == set(workers["subnets"])
    (door,) = ec2.describe_security_groups(GroupIds=sorted(groups))["SecurityGroups"]
    (rule,) = door["IpPermissions"]
    assert (rule["FromPort"], rule["ToPort"]) == (2049, 2049)
    assert [one["GroupId"] for one in rule["UserIdGroupPairs"]] == workers["securityGroups"]
    root = cloud.server.cloud.file_systems.directory / made["id"]
    assert (root / "srv" / "data" / "orders.csv").stat().st_size == 3 * 2**20
    assert (root / "srv" / "data" / "latest.csv").is_symlink()


def test_the_buckets_are_closed_to_strangers(cloud: LocalCloud, seeded: dict[str, Any]) -> None:
    """An account that nobody registered reaches neither the control bucket nor the repository."""
    stranger = cloud.admin("s3", cloud.account())

    for bucket in ("daywork-control-local", "daywork-repository-local"):
        assert code(lambda bucket=bucket: stranger.list_objects_v2(Bucket=bucket)) == "AccessDenied"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"accounts": -1}, "accounts"), ({"accounts": 49}, "accounts"), ({"instances": -1}, "instances")],
)
def test_numbers_that_cannot_be_are_refused_before_anything_is_made(
    address: CloudAddress, tmp_path: Path, wrong: dict[str, int], said: str
) -> None:
    """The error names the number."""
    with pytest.raises(ValueError, match=said):
        seed(address, "refused", external_ids=tmp_path, **wrong)

    assert not list(tmp_path.iterdir())


def test_a_cloud_that_does_not_answer_is_named(tmp_path: Path) -> None:
    """Without a cloud the error says which address was tried, and without a directory which file is missing."""
    with pytest.raises(CloudError, match=r"127\.0\.0\.1:9 does not answer"):
        foundation(CloudAddress("http://127.0.0.1:9", "token"), "local")
    with pytest.raises(CloudError, match="admin-token"):
        CloudAddress.of("http://127.0.0.1:9", tmp_path)


def test_a_wrong_token_makes_nothing(cloud: LocalCloud) -> None:
    """The pages that make accounts refuse whoever does not hold the token, without repeating it."""
    with pytest.raises(CloudError, match="X-Sim-Token") as caught:
        foundation(CloudAddress(cloud.url, "guess-of-a-token"), "local")

    assert "guess-of-a-token" not in str(caught.value)
