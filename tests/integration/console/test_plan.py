"""`daywork plan` on an embedded cloud: what is wrong is reported for the right resource, and nothing is made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from support.cloud import REGION
from support.desk import Desk
from support.ledgers import Databases
from support.seeded import World, seeded_world

HOME, A, B, C = "111111111111", "222222222222", "333333333333", "444444444444"
_READING = ("Describe", "Get", "List", "Simulate", "AssumeRole")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A backup account and three production accounts with an instance each, on one cloud for the module."""
    with seeded_world(tmp_path_factory.mktemp("world"), accounts=3) as made:
        yield made


@dataclass
class Office:
    """A command line on a ledger whose registry a test may spoil, and the cloud behind it."""

    world: World
    desk: Desk
    document: dict[str, Any]

    def account(self, account: str) -> dict[str, Any]:
        """Return an account's entry of the registry."""
        return next(one for one in self.document["accounts"] if one["id"] == account)

    def use_subnets(self, account: str, *subnets: str) -> None:
        """Have an account's workers stand in these subnets."""
        self.account(account)["workerConfigurations"][0]["subnets"] = list(subnets)

    def plan(self, *resources: str, mode: str) -> tuple[int, dict[str, Any], dict[str, dict[str, Any]]]:
        """Plan a backup; return exit code, the document, and each resource's entry by its id. Only reads are made."""
        self.desk.register(self.document)
        self.world.cloud.sim("DELETE", "calls")
        arguments = ["plan", "--operation", "ec2-backup", "--mode", mode, "--output", "json"]
        said = self.desk.say(*arguments, *[part for one in resources for part in ("--resource", one)])
        made = {one["operation"] for one in self.world.cloud.sim("GET", "calls")[1]["calls"]}
        assert made
        assert not [one for one in made if not one.partition(":")[2].startswith(_READING)]
        assert "ec2:RunInstances" not in made
        found = said.document()
        return said.code, found, {one["id"]: one for one in found["resources"]}


@pytest.fixture
def office(
    world: World, all_databases: Databases, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Office]:
    """A migrated ledger and the settings of the seeded install."""
    with all_databases.migrated("sqlite") as url:
        settings = {
            "DATABASE_URL": url,
            "BROKER_URL": "redis://127.0.0.1:1/0",
            "CONTROL_BUCKET": world.install.control_bucket,
            "REPORT_QUEUE": world.install.report_queue,
            "HOME_ACCOUNT": HOME,
            "INSTALL_ID": world.install.id,
            "WORKER_IMAGE": str(world.install.worker_image),
        }
        for name, value in settings.items():
            monkeypatch.setenv(f"DAYWORK_{name}", value)
        monkeypatch.delenv("DAYWORK_CONFIG", raising=False)
        desk = Desk(url=url, capsys=capsys)
        yield Office(world, desk, json.loads(json.dumps(world.seeded.registry)))
        desk.ledger.close()
        world.cloud.sim("DELETE", "quotas", token=world.cloud.server.admin_token)


def subnet_in(world: World, account: str, cidr: str, zone: str) -> str:
    """Make a subnet in the VPC of an account's workers."""
    ec2 = world.cloud.admin("ec2", account)
    vpc = ec2.describe_subnets(SubnetIds=[world.network(account)[0]])["Subnets"][0]["VpcId"]
    made = ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone=zone)
    return str(made["Subnet"]["SubnetId"])


def fill(world: World, account: str, subnet: str) -> None:
    """Take every address of a subnet."""
    ec2 = world.cloud.admin("ec2", account)
    free = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["AvailableIpAddressCount"]
    for _ in range(free):
        ec2.create_network_interface(SubnetId=subnet)


def sealed_instance(world: World, account: str, policy: dict[str, Any]) -> tuple[str, str, str]:
    """Launch an instance whose volume is encrypted under a key with this policy; return it, the volume and the key."""
    key = world.cloud.admin("kms", account).create_key(Policy=json.dumps(policy))["KeyMetadata"]["Arn"]
    ec2 = world.cloud.admin("ec2", account)
    ebs = {"VolumeSize": 1, "Encrypted": True, "KmsKeyId": key}
    made = ec2.run_instances(
        ImageId="ami-0da0000000000002b", InstanceType="t3.small", MinCount=1, MaxCount=1,
        SubnetId=world.network(account)[0], BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": ebs}],
    )["Instances"][0]["InstanceId"]  # fmt: skip
    world.cloud.wait_for_state(account, made, "running")
    volumes = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [made]}])["Volumes"]
    assert [one["KmsKeyId"] for one in volumes] == [key]
    return str(made), str(volumes[0]["VolumeId"]), str(key)


def set_quota(world: World, account: str, vcpus: int) -> None:
    """Let an account run so many vCPUs."""
    token = world.cloud.server.admin_token
    assert world.cloud.sim("PUT", "quotas", {"account": account, "vcpus": vcpus}, token=token)[0] == 200


def said_of(entry: dict[str, Any]) -> str:
    """Return all that was found of a resource."""
    return "; ".join(f"{one['severity']}: {one['reason']} -> {one['remedy']}" for one in entry["findings"])


def test_in_production_mode_each_account_hears_of_its_own_faults(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full subnet and half the quota in one, a type that is not offered in another, a role that nobody may take."""
    from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS

    world = office.world
    first, second, third, fourth = (f"{account}/{REGION}/{world.source(account)}" for account in (A, A, B, C))
    full = subnet_in(world, A, "10.1.240.0/28", f"{REGION}a")
    fill(world, A, full)
    office.use_subnets(A, full, world.network(A)[0])
    in_use = world.product.limits(world.access(A, "backup")).room_for_vcpus().used
    set_quota(world, A, in_use + 2)
    elsewhere = subnet_in(world, B, "10.2.240.0/28", f"{REGION}c")
    office.use_subnets(B, elsewhere)
    offerings = INSTANCE_TYPE_OFFERINGS["availability-zone"][REGION]
    types = ("c5.large", "c5a.large", "m5.large")
    monkeypatch.setitem(
        INSTANCE_TYPE_OFFERINGS["availability-zone"],
        REGION,
        [one for one in offerings if one["InstanceType"] not in types or one["Location"] != f"{REGION}c"],
    )
    monkeypatch.setitem(world.external_ids, C, "another")
    office.account(C)["externalId"] = {"env": "DAYWORK_TEST_WRONG_ID"}
    monkeypatch.setenv("DAYWORK_TEST_WRONG_ID", "canary-wrong-id")

    code, found, entries = office.plan(first, second, third, fourth, mode="production")

    assert (code, found["refused"]) == (8, True)
    assert found["counts"] == {"ok": 1, "refused": 2, "waits": 1}
    one, two, three, four = (entries[name.rsplit("/", 1)[-1]] for name in (first, second, third, fourth))
    for entry in (one, two):
        assert f"note: {full} is not used: no free addresses -> To use it, free addresses" in said_of(entry)
        assert entry["plan"]["worker"]["configuration"]["subnets"] == [world.network(A)[0]]
    assert (one["status"], two["status"]) == ("ok", "waits")
    assert f"may run {in_use + 2} vCPUs, {in_use} run already" in said_of(two)
    assert "raise the quota Running On-Demand Standard instances (L-1216C47A)" in said_of(two)
    assert (three["status"], three["plan"]) == ("refused", None)
    assert f"none of {', '.join(types)} is offered in {REGION}c" in said_of(three)
    assert "Name other instance types" in said_of(three)
    assert (four["status"], four["plan"]) == ("refused", None)
    assert "cannot be assumed" in said_of(four)
    assert "external id" in said_of(four)
    assert "canary" not in json.dumps(found)


def test_in_backup_mode_the_data_role_is_asked_about_keys(office: Office) -> None:
    """A volume whose key it may not use is named; quota and subnets are those of the backup account."""
    world = office.world
    nobody = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{A}:root"},
                "Action": ["kms:Describe*", "kms:Get*", "kms:List*", "kms:Put*"],
                "Resource": "*",
            }
        ],
    }
    sealed, volume, key = sealed_instance(world, A, nobody)
    plain = world.source(B)
    full = subnet_in(world, HOME, "10.0.240.0/28", f"{REGION}a")
    fill(world, HOME, full)
    office.use_subnets(HOME, full, world.network(HOME)[0])
    set_quota(world, HOME, 2)

    code, found, entries = office.plan(f"{A}/{REGION}/{sealed}", f"production-b/{REGION}/{plain}", mode="backup")

    assert (code, found["counts"]) == (8, {"refused": 1, "waits": 1})
    assert (
        f"refused: volume {volume}: {world.role(A, 'data')} may not use its key {key}: "
        "the key's policy allows neither the role nor its account -> Allow kms:Decrypt"
    ) in said_of(entries[sealed])
    assert f"{full} is not used: no free addresses" in said_of(entries[plain])
    assert "may run 2 vCPUs" in said_of(entries[plain])
    (place,) = found["places"]
    assert (place["account"], place["workers"], place["vcpus"]["needed"]) == (HOME, 2, 4)
    assert place["roles"]["left"] > 0
    assert place["findings"] == []


def test_a_plan_in_which_nothing_is_wrong_is_shown_as_tables(office: Office) -> None:
    """Exit code 0; a key whose policy lets the account decide is the data role's to use."""
    world = office.world
    everybody = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{A}:root"},
                "Action": "kms:*",
                "Resource": "*",
            }
        ],
    }
    sealed, _, _ = sealed_instance(world, A, everybody)
    office.desk.register(office.document)

    said = office.desk.say("plan", "--operation", "ec2-backup", "--resource", f"{A}/{REGION}/{sealed}")

    assert (said.code, said.err) == (0, "")
    assert f"{A}/{REGION}/{sealed}  ok" in said.out
    assert "DayworkWorkerDeployment" in said.out
    assert "0 s, 1 call" in said.out
