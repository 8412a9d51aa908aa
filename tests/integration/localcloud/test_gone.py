"""Removing what is gone is success, though AWS refuses it: what is gone has neither our tag nor our path.

Seen on AWS: UnauthorizedOperation (karpenter-provider-aws issue 2100), AccessDenied (iam-manager issue 31).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.cloud import FAST, REGION, code
from support.seeded import FIRST, HOME, INSTALL, World, seeded_world

from orchestrator import tags
from orchestrator.errors import AccessDenied
from orchestrator.model.plan import TemporaryRole

MARKS = [{"Key": tags.INSTALL, "Value": INSTALL}]
DOCUMENT = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A seeded cloud."""
    assert "iam" in FAST.enforce
    with seeded_world(tmp_path_factory.mktemp("world"), accounts=1) as made:
        yield made


def test_a_temporary_role_is_removed_from_any_state(world: World) -> None:
    """Whatever is left of a temporary role, removing it ends with nothing left, and again."""
    roles, iam = world.product.roles(world.access(HOME, "workerDeployment")), world.cloud.admin("iam", HOME)

    def role(name: str) -> TemporaryRole:
        made = TemporaryRole(name=name, path=tags.path_of(INSTALL), account=HOME, region=REGION)
        roles.ensure_temporary_role(made, policy=DOCUMENT, tags={tags.INSTALL: INSTALL}, boundary=None)
        return made

    whole, without_profile, without_policy = role("dw-1"), role("dw-2"), role("dw-3")
    iam.remove_role_from_instance_profile(InstanceProfileName="dw-2", RoleName="dw-2")
    iam.delete_instance_profile(InstanceProfileName="dw-2")
    iam.remove_role_from_instance_profile(InstanceProfileName="dw-3", RoleName="dw-3")
    iam.delete_role_policy(RoleName="dw-3", PolicyName="daywork")
    never = TemporaryRole(name="dw-4", path=tags.path_of(INSTALL), account=HOME, region=REGION)

    for _ in range(2):
        for one in (whole, without_profile, without_policy, never):
            roles.absent_temporary_role(one)

    assert roles.temporary_names(tags.path_of(INSTALL)) == set()


def test_terminating_what_is_gone_terminates_the_rest(world: World) -> None:
    """An instance that EC2 has forgotten does not keep the others of its page alive."""
    subnet, group = world.network(HOME)
    made = world.cloud.admin("ec2", HOME).run_instances(
        ImageId=world.foundation.worker_image,
        InstanceType="t3.small",
        MinCount=2,
        MaxCount=2,
        SubnetId=subnet,
        SecurityGroupIds=[group],
        TagSpecifications=[{"ResourceType": "instance", "Tags": MARKS}],
    )["Instances"]
    ids = [one["InstanceId"] for one in made]
    compute = world.product.compute(world.access(HOME, "workerDeployment"))

    compute.terminate([ids[0], "i-0123456789abcdef0", ids[1]])
    for one in ids:
        world.cloud.wait_for_state(HOME, one, "terminated")
    compute.terminate([*ids, "i-0123456789abcdef0"])


def test_terminating_what_is_not_ours_is_refused_all_the_same(world: World) -> None:
    """An instance that is there and not ours is no missing one."""
    theirs = world.source(HOME)
    compute = world.product.compute(world.access(HOME, "workerDeployment"))

    with pytest.raises(AccessDenied):
        compute.terminate([theirs])

    assert world.cloud.instance_state(HOME, theirs) == "running"


def test_snapshots_and_volumes_that_are_gone_are_removed_already(world: World) -> None:
    """Removing twice is success; removing somebody else's is refused."""
    ec2 = world.cloud.admin("ec2", FIRST)
    compute = world.product.compute(world.access(FIRST, "restore"))
    theirs = ec2.create_volume(AvailabilityZone="eu-west-1a", Size=1)["VolumeId"]
    volume = ec2.create_volume(
        AvailabilityZone="eu-west-1a", Size=1, TagSpecifications=[{"ResourceType": "volume", "Tags": MARKS}]
    )["VolumeId"]
    snapshot = ec2.create_snapshot(VolumeId=theirs, TagSpecifications=[{"ResourceType": "snapshot", "Tags": MARKS}])[
        "SnapshotId"
    ]
    their_snapshot = ec2.create_snapshot(VolumeId=theirs)["SnapshotId"]

    for _ in range(2):
        compute.absent_volume(volume)
        compute.absent_snapshot(snapshot)

    for refused in (lambda: compute.absent_volume(theirs), lambda: compute.absent_snapshot(their_snapshot)):
        with pytest.raises(AccessDenied):
            refused()


def test_the_cloud_refuses_what_is_gone_as_aws_does(world: World) -> None:
    """Rights limited by tag or path do not reach what does not exist; full rights hear that it is gone."""
    keys = world.assume(HOME, "workerDeployment")
    ec2, iam = world.cloud.client("ec2", keys), world.cloud.client("iam", keys)
    admin = world.cloud.admin

    assert code(lambda: ec2.terminate_instances(InstanceIds=["i-0123456789abcdef0"])) == "UnauthorizedOperation"
    assert code(lambda: iam.delete_role(RoleName="dw-never")) == "AccessDenied"
    assert code(lambda: iam.get_role(RoleName="dw-never")) == "AccessDenied"
    assert code(lambda: admin("ec2", HOME).terminate_instances(InstanceIds=["i-0123456789abcdef0"])) == (
        "InvalidInstanceID.NotFound"
    )
    assert code(lambda: admin("iam", HOME).get_role(RoleName="dw-never")) == "NoSuchEntity"
