"""What the role documents must not allow: other accounts, other sessions, other paths, things that are not ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.cloud import EC2_TRUST, EVERYTHING, REGION, Keys, code
from support.seeded import FIRST, HOME, INSTALL, SECOND, World, seeded_world

from orchestrator import policies, tags
from orchestrator.errors import AccessDenied
from orchestrator.model.plan import Access

SESSION = "s-01JD8ZQWB2M3N4P5Q6R7S8T9VA"
PATH = tags.path_of(INSTALL)
DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A seeded cloud."""
    with seeded_world(tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture(scope="module")
def worker(world: World) -> Keys:
    """Credentials of a worker with a temporary role that names the first account's data role."""
    iam = world.cloud.admin("iam", HOME)
    document = policies.temporary_role(
        install=INSTALL,
        session=SESSION,
        control_bucket=world.foundation.control_bucket,
        report_queue_arn=world.foundation.report_queue_arn,
        repository=None,
        roles=[world.role(FIRST, "data")],
    )
    iam.create_role(RoleName="dw-worker", Path=PATH, AssumeRolePolicyDocument=json.dumps(EC2_TRUST))
    iam.put_role_policy(RoleName="dw-worker", PolicyName="own", PolicyDocument=json.dumps(document))
    iam.create_instance_profile(InstanceProfileName="dw-worker", Path=PATH)
    iam.add_role_to_instance_profile(InstanceProfileName="dw-worker", RoleName="dw-worker")
    return world.worker_keys(HOME, run(world, HOME, IamInstanceProfile={"Name": "dw-worker"}))


def run(world: World, account: str, **options: Any) -> str:
    """Launch an instance as its owner; return its id when it runs."""
    made = launch(world.cloud.admin("ec2", account), world, account, **options)
    world.cloud.wait_for_state(account, made, "running")
    return made


def launch(ec2: Any, world: World, account: str, **options: Any) -> str:
    """Launch an instance with somebody's client; return its id."""
    subnet, group = world.network(account)
    given = {
        "ImageId": world.foundation.worker_image,
        "InstanceType": "t3.small",
        "MinCount": 1,
        "MaxCount": 1,
        "SubnetId": subnet,
        "SecurityGroupIds": [group],
        "MetadataOptions": {"HttpTokens": "required"},
        **options,
    }
    return str(ec2.run_instances(**given)["Instances"][0]["InstanceId"])


def marked(*kinds: str, install: str = INSTALL) -> list[dict[str, Any]]:
    """Return tag specifications with the install's tag."""
    return [{"ResourceType": kind, "Tags": [{"Key": tags.INSTALL, "Value": install}]} for kind in kinds]


WORKER_KINDS = ("instance", "volume", "network-interface")


# --- assuming roles -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("purpose", ["backup", "restore"])
def test_roles_of_other_accounts_ask_for_the_external_id(world: World, purpose: str) -> None:
    """Without an external id, or with a wrong one, or with another account's, the role is not given."""
    role, keys = world.role(FIRST, purpose), world.control_plane

    assert code(lambda: world.cloud.assume(keys, role)) == "AccessDenied"
    assert code(lambda: world.cloud.assume(keys, role, ExternalId="wrong")) == "AccessDenied"
    others = world.external_ids[SECOND]
    assert code(lambda: world.cloud.assume(keys, role, ExternalId=others)) == "AccessDenied"
    assert world.cloud.assume(keys, role, ExternalId=world.external_ids[FIRST]).token


def test_the_adapter_says_what_to_do_when_a_role_cannot_be_assumed(world: World) -> None:
    """A refused role becomes one error with a remedy, and the external id is not in it."""
    access = Access(account=FIRST, region=REGION, role=f"arn:aws:iam::{FIRST}:role/Missing")

    with pytest.raises(AccessDenied) as caught:
        world.product.check(access)

    assert caught.value.remedy
    assert world.external_ids[FIRST] not in f"{caught.value!r} {caught.value} {caught.value.remedy}"


def test_the_control_plane_assumes_registered_roles_alone(world: World) -> None:
    """A role that trusts the control plane without being registered is out of its reach."""
    trust = policies.operation_trust(world.foundation.control_plane, None)
    stray = world.cloud.role(SECOND, "Stray", trust=trust)

    assert code(lambda: world.cloud.assume(world.control_plane, stray)) == "AccessDenied"


def test_nobody_else_takes_operation_roles_with_the_right_external_id(world: World) -> None:
    """The external id is no key: the trust policy names the control plane's principal."""
    stranger = world.cloud.user(SECOND, "stranger", EVERYTHING)
    ours = world.cloud.administrator(HOME)

    given = world.external_ids[FIRST]
    for keys in (stranger, ours):
        assert code(lambda k=keys: world.cloud.assume(k, world.role(FIRST, "backup"), ExternalId=given)) == (
            "AccessDenied"
        )


def test_data_roles_are_for_temporary_roles_of_this_install(world: World, worker: Keys) -> None:
    """A worker takes the data role that its session names; other accounts' and other principals do not get it."""
    administrator = world.cloud.administrator(HOME)
    trust = policies.operation_trust(world.foundation.control_plane, None)
    imitation = world.cloud.assume(
        world.control_plane, world.cloud.role(HOME, "dw-imitation", trust=trust, policy=EVERYTHING)
    )

    assert world.cloud.assume(worker, world.role(FIRST, "data")).token
    assert code(lambda: world.cloud.assume(worker, world.role(SECOND, "data"))) == "AccessDenied"
    assert code(lambda: world.cloud.assume(administrator, world.role(FIRST, "data"))) == "AccessDenied"
    assert code(lambda: world.cloud.assume(imitation, world.role(FIRST, "data"))) == "AccessDenied"


def test_worker_roles_cannot_be_taken_by_anybody_but_ec2(world: World) -> None:
    """Nobody can choose the session name of a worker's role, which is what orders are kept under."""
    for keys in (world.control_plane, world.cloud.administrator(FIRST), world.assume(FIRST, "backup")):
        assert code(lambda k=keys: world.cloud.assume(k, world.role(FIRST, "worker"))) == "AccessDenied"


# --- the deployment role ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def deployment(world: World) -> Callable[[str], Any]:
    """Clients with the deployment role's rights."""
    keys = world.assume(HOME, "workerDeployment")
    return lambda service: world.cloud.client(service, keys)


def test_roles_are_made_and_removed_under_the_path_alone(world: World, deployment: Callable[[str], Any]) -> None:
    """Other paths, other roles and other profiles cannot be touched, nor can policies be put on them."""
    iam = deployment("iam")
    trust, all_rights = json.dumps(EC2_TRUST), json.dumps(EVERYTHING)
    world.cloud.role(HOME, "theirs", policy=EVERYTHING, profile=True)

    for path in ("/", "/daywork/", "/daywork/other/", f"/x{PATH}"):
        made = lambda path=path: iam.create_role(RoleName="stray", Path=path, AssumeRolePolicyDocument=trust)  # noqa: E731 - a call to be refused
        assert code(made) == "AccessDenied"
    for refused in (
        lambda: iam.put_role_policy(RoleName="theirs", PolicyName="more", PolicyDocument=all_rights),
        lambda: iam.delete_role_policy(RoleName="theirs", PolicyName="own"),
        lambda: iam.delete_role(RoleName="theirs"),
        lambda: iam.attach_role_policy(RoleName="theirs", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess"),
        lambda: iam.update_assume_role_policy(RoleName="theirs", PolicyDocument=trust),
        lambda: iam.remove_role_from_instance_profile(InstanceProfileName="theirs", RoleName="theirs"),
        lambda: iam.delete_instance_profile(InstanceProfileName="theirs"),
        lambda: iam.create_user(UserName="back-door"),
        lambda: iam.create_access_key(UserName="daywork-administrator"),
    ):
        assert code(refused) == "AccessDenied"


def test_only_roles_under_the_path_can_be_passed(world: World, deployment: Callable[[str], Any], worker: Keys) -> None:
    """Neither a profile of somebody's nor a profile of ours with somebody's role can be launched with."""
    iam, admin = deployment("iam"), world.cloud.admin("iam", HOME)
    world.cloud.role(HOME, "powerful", policy=EVERYTHING, profile=True)
    admin.create_instance_profile(InstanceProfileName="dw-mixed", Path=PATH)

    assert code(lambda: iam.add_role_to_instance_profile(InstanceProfileName="dw-mixed", RoleName="powerful")) == (
        "AccessDenied"
    )
    admin.add_role_to_instance_profile(InstanceProfileName="dw-mixed", RoleName="powerful")
    for profile in ("powerful", "dw-mixed"):
        start = lambda name=profile: launch(  # noqa: E731 - a call to be refused
            deployment("ec2"),
            world,
            HOME,
            IamInstanceProfile={"Name": name},
            TagSpecifications=marked(*WORKER_KINDS),
        )
        assert code(start) == "UnauthorizedOperation"
    assert launch(
        deployment("ec2"),
        world,
        HOME,
        IamInstanceProfile={"Name": "dw-worker"},
        TagSpecifications=marked(*WORKER_KINDS),
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"TagSpecifications": marked("instance")},
        {"TagSpecifications": marked("instance", "volume")},
        {"TagSpecifications": marked(*WORKER_KINDS, install="other")},
        {"TagSpecifications": marked(*WORKER_KINDS), "MetadataOptions": {"HttpTokens": "optional"}},
        {"TagSpecifications": marked(*WORKER_KINDS), "KeyName": "somebody"},
    ],
    ids=["untagged", "volume untagged", "interface untagged", "another install's tag", "IMDSv1", "with a key pair"],
)
def test_workers_are_launched_tagged_and_guarded_or_not_at_all(
    world: World, deployment: Callable[[str], Any], options: dict[str, Any]
) -> None:
    """A launch without our tag on everything, with the old metadata service or with a key pair is refused."""
    assert code(lambda: launch(deployment("ec2"), world, HOME, **options)) == "UnauthorizedOperation"


def test_only_our_own_instances_are_terminated(world: World, deployment: Callable[[str], Any]) -> None:
    """An instance without our tag, or with another install's, stays - also when it is named beside one of ours."""
    theirs = run(world, HOME)
    others = run(world, HOME, TagSpecifications=marked("instance", install="other"))
    ours = run(world, HOME, TagSpecifications=marked("instance"))
    ec2 = deployment("ec2")

    for ids in ([theirs], [others], [ours, theirs]):
        assert code(lambda ids=ids: ec2.terminate_instances(InstanceIds=ids)) == "UnauthorizedOperation"
    tag = [{"Key": tags.INSTALL, "Value": INSTALL}]
    assert code(lambda: ec2.create_tags(Resources=[theirs], Tags=tag)) == "UnauthorizedOperation"

    assert {world.cloud.instance_state(HOME, one) for one in (theirs, others, ours)} == {"running"}
    assert ec2.terminate_instances(InstanceIds=[ours])["TerminatingInstances"]


def test_a_boundary_binds_the_roles_that_are_made(world: World) -> None:
    """With a boundary configured, a role without it cannot be made nor given a policy."""
    boundary = world.cloud.admin("iam", HOME).create_policy(PolicyName="limit", PolicyDocument=json.dumps(EVERYTHING))[
        "Policy"
    ]["Arn"]
    document = policies.worker_deployment_role(install=INSTALL, account=HOME, boundary=boundary)
    iam = world.cloud.client("iam", world.cloud.user(HOME, "bounded", document))
    trust = json.dumps(EC2_TRUST)
    iam_admin = world.cloud.admin("iam", HOME)
    iam_admin.create_role(RoleName="dw-free", Path=PATH, AssumeRolePolicyDocument=trust)

    made = iam.create_role(RoleName="dw-bound", Path=PATH, AssumeRolePolicyDocument=trust, PermissionsBoundary=boundary)
    iam.put_role_policy(RoleName="dw-bound", PolicyName="own", PolicyDocument=json.dumps(EVERYTHING))

    assert made["Role"]["Path"] == PATH
    assert code(lambda: iam.create_role(RoleName="dw-unbound", Path=PATH, AssumeRolePolicyDocument=trust)) == (
        "AccessDenied"
    )
    give = lambda: iam.put_role_policy(  # noqa: E731 - a call to be refused
        RoleName="dw-free", PolicyName="own", PolicyDocument=json.dumps(EVERYTHING)
    )
    assert code(give) == "AccessDenied"


# --- backup, restore, workers, control plane ----------------------------------------------------------------------


def test_a_backup_role_makes_tagged_snapshots_and_removes_its_own(world: World) -> None:
    """Snapshots without our tag cannot be made, and others' snapshots and volumes cannot be deleted."""
    source = world.source(FIRST)
    admin, ec2 = world.cloud.admin("ec2", FIRST), world.cloud.client("ec2", world.assume(FIRST, "backup"))
    volume = admin.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [source]}])["Volumes"][0]
    theirs = admin.create_snapshot(VolumeId=volume["VolumeId"])["SnapshotId"]
    tag = [{"Key": tags.INSTALL, "Value": INSTALL}]

    assert code(lambda: ec2.create_snapshots(InstanceSpecification={"InstanceId": source})) == "UnauthorizedOperation"
    assert code(lambda: ec2.delete_snapshot(SnapshotId=theirs)) == "UnauthorizedOperation"
    assert code(lambda: ec2.create_tags(Resources=[theirs], Tags=tag)) == "UnauthorizedOperation"
    assert code(lambda: ec2.delete_volume(VolumeId=volume["VolumeId"])) == "UnauthorizedOperation"
    assert code(lambda: ec2.terminate_instances(InstanceIds=[source])) == "UnauthorizedOperation"
    assert code(lambda: ec2.stop_instances(InstanceIds=[source])) == "UnauthorizedOperation"


def test_a_restore_role_touches_no_volume_that_is_not_ours(world: World) -> None:
    """Others' volumes can be neither tagged as ours, attached nor deleted, nor can others' snapshots be used."""
    target = world.source(FIRST)
    admin, ec2 = world.cloud.admin("ec2", FIRST), world.cloud.client("ec2", world.assume(FIRST, "restore"))
    theirs = admin.create_volume(AvailabilityZone="eu-west-1a", Size=1)["VolumeId"]
    snapshot = admin.create_snapshot(VolumeId=theirs)["SnapshotId"]
    tag = [{"Key": tags.INSTALL, "Value": INSTALL}]
    place = {"AvailabilityZone": "eu-west-1a", "SnapshotId": snapshot, "TagSpecifications": marked("volume")}

    assert code(lambda: ec2.create_tags(Resources=[theirs], Tags=tag)) == "UnauthorizedOperation"
    assert code(lambda: ec2.delete_volume(VolumeId=theirs)) == "UnauthorizedOperation"
    assert code(lambda: ec2.attach_volume(VolumeId=theirs, InstanceId=target, Device="/dev/xvdz")) == (
        "UnauthorizedOperation"
    )
    assert code(lambda: ec2.create_volume(**place)) == "UnauthorizedOperation"
    assert code(lambda: ec2.create_volume(AvailabilityZone="eu-west-1a", Size=1)) == "UnauthorizedOperation"


def test_blocks_are_read_and_written_by_tag_alone(world: World, worker: Keys) -> None:
    """The data role opens this install's snapshots; the worker's own role only those of its session, at home."""
    data = world.cloud.client("ebs", world.cloud.assume(worker, world.role(FIRST, "data")))
    own = world.cloud.client("ebs", worker)

    def snapshot(account: str, **marks: str) -> str:
        ec2 = world.cloud.admin("ec2", account)
        volume = ec2.create_volume(AvailabilityZone="eu-west-1a", Size=1)["VolumeId"]
        made = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
        if marks:
            ec2.create_tags(Resources=[made], Tags=[{"Key": key, "Value": value} for key, value in marks.items()])
        ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[made], WaiterConfig={"Delay": 0, "MaxAttempts": 2000})
        return str(made)

    ours = {tags.INSTALL: INSTALL}
    assert data.list_snapshot_blocks(SnapshotId=snapshot(FIRST, **ours))["VolumeSize"] == 1
    for marks in ({}, {tags.INSTALL: "other"}):
        one = snapshot(FIRST, **marks)
        assert code(lambda one=one: data.list_snapshot_blocks(SnapshotId=one)) == "AccessDeniedException"
        pair = {"FirstSnapshotId": snapshot(FIRST, **ours), "SecondSnapshotId": one}
        assert code(lambda pair=pair: data.list_changed_blocks(**pair)) == "AccessDeniedException"
    session = {**ours, tags.SESSION: SESSION}
    assert own.list_snapshot_blocks(SnapshotId=snapshot(HOME, **session))["VolumeSize"] == 1
    for marks in (ours, {**ours, tags.SESSION: "s-other"}):
        one = snapshot(HOME, **marks)
        assert code(lambda one=one: own.list_snapshot_blocks(SnapshotId=one)) == "AccessDeniedException"
    assert code(lambda: own.start_snapshot(VolumeSize=1)) == "AccessDeniedException"


def test_a_worker_has_no_right_beside_its_job(world: World, worker: Keys) -> None:
    """EC2, IAM, other buckets, other queues and the listing of the control bucket are closed to a worker."""
    client = lambda service: world.cloud.client(service, worker)  # noqa: E731 - a short name
    bucket = world.foundation.control_bucket
    world.cloud.admin("s3", HOME).put_object(Bucket=bucket, Key="ledger/backup", Body=b"ledger")

    for refused in (
        lambda: client("ec2").describe_instances(),
        lambda: client("iam").list_roles(),
        lambda: client("s3").list_objects_v2(Bucket=bucket),
        lambda: client("s3").get_object(Bucket=bucket, Key="ledger/backup"),
        lambda: client("s3").put_object(Bucket=bucket, Key="ledger/backup", Body=b""),
        lambda: client("sqs").receive_message(QueueUrl=world.foundation.report_queue),
        lambda: client("sqs").purge_queue(QueueUrl=world.foundation.report_queue),
        lambda: client("kms").list_keys(),
    ):
        assert code(refused) in DENIED


def test_the_control_plane_keeps_to_orders_and_reports(world: World) -> None:
    """Its own identity reaches no instance, no role, no repository and no other part of the control bucket."""
    client = lambda service: world.cloud.client(service, world.control_plane)  # noqa: E731 - a short name
    repository = world.repository["url"].removeprefix("s3://")

    for refused in (
        lambda: client("ec2").describe_instances(),
        lambda: client("iam").list_roles(),
        lambda: client("s3").get_object(Bucket=repository, Key="heads/1"),
        lambda: client("s3").list_objects_v2(Bucket=repository),
        lambda: client("s3").put_object(Bucket=world.foundation.control_bucket, Key="other/1", Body=b""),
        lambda: client("s3").delete_bucket(Bucket=world.foundation.control_bucket),
        lambda: client("sqs").send_message(QueueUrl=world.foundation.report_queue, MessageBody="forged"),
        lambda: client("sqs").delete_queue(QueueUrl=world.foundation.report_queue),
        lambda: client("kms").decrypt(CiphertextBlob=b"x" * 64, KeyId=world.repository["key"]["kms"]),
    ):
        assert code(refused) in DENIED


def test_an_account_that_is_not_registered_reaches_nothing_shared(world: World) -> None:
    """Queue and buckets are closed to accounts that their policies do not name."""
    stranger = world.cloud.user(world.cloud.account(), "stranger", EVERYTHING)

    for refused in (
        lambda: world.cloud.client("sqs", stranger).send_message(
            QueueUrl=world.foundation.report_queue, MessageBody="forged"
        ),
        lambda: world.cloud.client("s3", stranger).get_object(Bucket=world.foundation.control_bucket, Key="orders/1"),
        lambda: world.cloud.client("s3", stranger).list_objects_v2(
            Bucket=world.repository["url"].removeprefix("s3://")
        ),
        lambda: world.cloud.client("kms", stranger).generate_data_key(
            KeyId=world.repository["key"]["kms"], KeySpec="AES_256"
        ),
    ):
        assert code(refused) in DENIED
