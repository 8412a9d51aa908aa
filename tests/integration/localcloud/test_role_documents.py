"""The product's calls under exactly the role documents of `orchestrator.policies`: what it does works, all else not.

The first part is one backup, one restore and one production session as the adapters and a worker make them; the second
tries what nobody may do. `test_nothing_is_granted_that_is_not_used` then looks at what the first part has used.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.cloud import REGION, Keys, code
from support.looking_into import files_in_backup_mode, files_in_production_mode, points_from_the_command_line
from support.restoring import restore_an_instance
from support.seeded import FIRST, HOME, INSTALL, World, seeded_world
from support.servers import wait_for

from agent.protocol import Order, order_key, result_key
from orchestrator import policies, tags
from orchestrator.model.plan import Access, TemporaryRole
from orchestrator.ports import LaunchCall, NewVolume, PackState, SnapshotView

BACKUP, RESTORE, PRODUCTION = (f"s-01JD8ZQWB2M3N4P5Q6R7S8T9V{letter}" for letter in "ABC")
BLOCK = 512 * 1024
DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")


#: Rights that AWS asks for and the embedded cloud does not: making an encrypted volume re-encrypts its data key.
NOT_SEEN_HERE = {("DayworkRestore", "VolumeKeys", action) for action in ("kms:ReEncryptFrom", "kms:ReEncryptTo")}


@pytest.fixture(scope="module")
def done() -> set[str]:
    """The sessions that have run."""
    return set()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A seeded cloud."""
    with seeded_world(tmp_path_factory.mktemp("world")) as made:
        yield made


# --- what a session does ------------------------------------------------------------------------------------------


def temporary_role(world: World, name: str = "dw-test-000001") -> TemporaryRole:
    """Return a session's temporary role."""
    return TemporaryRole(name=name, path=tags.path_of(INSTALL), account=HOME, region=REGION)


def temporary_policy(world: World, session: str) -> dict[str, Any]:
    """Return the document of a session's temporary role."""
    return policies.temporary_role(
        install=INSTALL,
        session=session,
        control_bucket=world.foundation.control_bucket,
        report_queue_arn=world.foundation.report_queue_arn,
        repository=(world.repository["url"].removeprefix("s3://"), "", world.repository["key"]["kms"]),
        roles=[world.role(FIRST, "data")],
        compares=session == BACKUP,
    )


def ensured(world: World, role: TemporaryRole, session: str) -> None:
    """Make a temporary role as the product does."""
    world.product.roles(world.access(HOME, "workerDeployment")).ensure_temporary_role(
        role,
        policy=temporary_policy(world, session),
        tags=tags.session_tags(INSTALL, session),
        boundary=None,
    )


def launch(
    world: World, account: str, purpose: str, profile: str, session: str, *, token: str, count: int = 1
) -> list[str]:
    """Launch workers as the product does; return their ids when they run."""
    subnet, group = world.network(account)
    made = world.product.compute(world.access(account, purpose)).launch(
        LaunchCall(
            token=token,
            count=count,
            instance_type="c5.large",
            image=world.foundation.worker_image,
            subnet=subnet,
            security_groups=(group,),
            profile=profile,
            user_data="none",
            tags=tags.session_tags(INSTALL, session),
        )
    )
    for one in made:
        world.cloud.wait_for_state(account, one.instance_id, "running")
    return [one.instance_id for one in made]


def order(session: str) -> Order:
    """Return an order for a worker."""
    return Order(
        session=session, attempt=1, fence=1, job_name="ec2-backup", deadline="2030-01-01T00:00:00.000Z", job={}
    )


def completed(world: World, account: str, purpose: str, ids: list[str]) -> list[SnapshotView]:
    """Wait until snapshots are completed, as the product looks at them."""
    compute = world.product.compute(world.access(account, purpose))
    found: list[SnapshotView] = []

    def done() -> bool:
        found[:] = compute.snapshots(ids=ids)
        return len(found) == len(ids) and all(one.state == "completed" for one in found)

    wait_for(done, seconds=20)
    return found


def put_block(ebs: Any, snapshot: str, data: bytes) -> str:
    """Write one block and complete the snapshot; return the checksum of the block."""
    digest = hashlib.sha256(data)
    checksum = base64.b64encode(digest.digest()).decode()
    ebs.put_snapshot_block(
        SnapshotId=snapshot,
        BlockIndex=0,
        BlockData=data,
        DataLength=BLOCK,
        Checksum=checksum,
        ChecksumAlgorithm="SHA256",
    )
    whole = base64.b64encode(hashlib.sha256(digest.digest()).digest()).decode()
    ebs.complete_snapshot(
        SnapshotId=snapshot,
        ChangedBlocksCount=1,
        Checksum=whole,
        ChecksumAlgorithm="SHA256",
        ChecksumAggregationMethod="LINEAR",
    )
    return checksum


def report(world: World, keys: Keys, user: str) -> None:
    """Send a report as a worker and take it as the listener does: SQS names its sender."""
    queue = world.foundation.report_queue
    world.cloud.client("sqs", keys).send_message(QueueUrl=queue, MessageBody="report")
    listener = world.cloud.client("sqs", world.control_plane)
    # `daywork doctor` looks at the queue's length
    waiting = listener.get_queue_attributes(QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"])
    assert waiting["Attributes"]["ApproximateNumberOfMessages"] == "1"
    received = listener.receive_message(QueueUrl=queue, MessageSystemAttributeNames=["SenderId"])["Messages"][0]
    assert received["Attributes"]["SenderId"] == user
    world.product.reports().acknowledge([received["ReceiptHandle"]])


def use_repository(world: World, keys: Keys) -> None:
    """Write, read and list the repository and use its key, as a worker does."""
    bucket, key = world.repository["url"].removeprefix("s3://"), world.repository["key"]["kms"]
    s3, kms = world.cloud.client("s3", keys), world.cloud.client("kms", keys)
    s3.put_object(Bucket=bucket, Key="packs/1", Body=b"pack", IfNoneMatch="*")
    assert s3.get_object(Bucket=bucket, Key="packs/1")["Body"].read() == b"pack"
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix="packs/")["Contents"]] == ["packs/1"]
    s3.put_object(Bucket=bucket, Key="lease/chain", Body=b"held")
    s3.delete_object(Bucket=bucket, Key="lease/chain")
    made = kms.generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext={"repository": "main"})
    opened = kms.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext={"repository": "main"})
    assert opened["Plaintext"] == made["Plaintext"]
    assert code(lambda: s3.delete_object(Bucket=bucket, Key="packs/1")) in DENIED
    world.cloud.admin("s3", HOME).delete_object(Bucket=bucket, Key="packs/1")


def archive_bucket(world: World) -> str:
    """Return the bucket of the repository's archive."""
    return str(world.repository["archive"]["url"]).removeprefix("s3://")


def use_archive(world: World, keys: Keys) -> None:
    """Write a pack in parts, give another one up, read and list: as a worker that archives does."""
    s3, place = world.cloud.client("s3", keys), {"Bucket": archive_bucket(world), "Key": "packs/ab/1"}
    upload = s3.create_multipart_upload(**place, StorageClass="GLACIER")["UploadId"]
    part = s3.upload_part(**place, UploadId=upload, PartNumber=1, Body=b"pack")
    parts = [{"ETag": part["ETag"], "PartNumber": 1}]
    s3.complete_multipart_upload(**place, UploadId=upload, MultipartUpload={"Parts": parts})
    given_up = s3.create_multipart_upload(**place, StorageClass="GLACIER")["UploadId"]
    s3.abort_multipart_upload(**place, UploadId=given_up)
    s3.put_object(Bucket=place["Bucket"], Key="rp/1", Body=b"head", IfNoneMatch="*")
    assert s3.get_object(Bucket=place["Bucket"], Key="rp/1")["Body"].read() == b"head"
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=place["Bucket"], Prefix="packs/")["Contents"]] == [
        "packs/ab/1"
    ]
    assert code(lambda: s3.restore_object(**place, RestoreRequest={"Days": 1})) in DENIED
    assert code(lambda: s3.delete_object(**place)) in DENIED
    forget_archive(world)


def read_archive(world: World, keys: Keys) -> None:
    """Read what was retrieved, as a worker that restores does; write nothing there."""
    owner, bucket = world.cloud.admin("s3", HOME), archive_bucket(world)
    owner.put_object(Bucket=bucket, Key="packs/ab/1", Body=b"pack")
    s3 = world.cloud.client("s3", keys)
    assert s3.get_object(Bucket=bucket, Key="packs/ab/1")["Body"].read() == b"pack"
    assert s3.list_objects_v2(Bucket=bucket, Prefix="packs/")["KeyCount"] == 1
    assert code(lambda: s3.put_object(Bucket=bucket, Key="packs/ab/2", Body=b"pack")) in DENIED
    forget_archive(world)


def ask_for_packs(world: World) -> None:
    """Look at archived packs and have one retrieved, as the control plane does; it cannot read it all the same."""
    owner, bucket = world.cloud.admin("s3", HOME), archive_bucket(world)
    name = f"packs/ab/{'0' * 8}{'a' * 16}{'1' * 16}"
    for key in (name, "repo.json", "rp/1"):
        owner.put_object(Bucket=bucket, Key=key, Body=b"any", StorageClass="STANDARD" if key != name else "GLACIER")
    access = Access(account=HOME, region=REGION, role=world.repository["reader"])
    store = world.product.archive(access, f"s3://{bucket}")
    assert [one.state for one in store.packs("packs/ab", "a" * 16)] == [PackState.ARCHIVED]
    assert store.packs("packs/ab", "b" * 16) == []
    for _ in range(2):
        store.retrieve([name], tier="bulk", days=1)
    assert [one.state for one in store.packs("packs/ab", "a" * 16)] == [PackState.RETRIEVING]
    s3 = world.cloud.client("s3", world.cloud.assume(world.control_plane, world.repository["reader"]))
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix="rp/")["Contents"]] == ["rp/1"]
    s3.get_object(Bucket=bucket, Key="repo.json")
    assert code(lambda: s3.get_object(Bucket=bucket, Key=name)) in DENIED
    forget_archive(world)


def forget_archive(world: World) -> None:
    """Empty the archive's bucket."""
    owner, bucket = world.cloud.admin("s3", HOME), archive_bucket(world)
    for one in owner.list_objects_v2(Bucket=bucket).get("Contents", []):
        owner.delete_object(Bucket=bucket, Key=one["Key"])


def read_heads(world: World) -> None:
    """Look for restore points as the control plane does: heads alone, by a role of its own."""
    bucket, key = world.repository["url"].removeprefix("s3://"), world.repository["key"]["kms"]
    owner = world.cloud.admin("s3", HOME)
    for name in ("repo.json", "rp/1", "packs/1"):
        owner.put_object(Bucket=bucket, Key=name, Body=b"head")
    sealed = world.cloud.admin("kms", HOME).encrypt(KeyId=key, Plaintext=b"key")["CiphertextBlob"]
    keys = world.cloud.assume(world.control_plane, world.repository["reader"])
    s3 = world.cloud.client("s3", keys)
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix="rp/")["Contents"]] == ["rp/1"]
    s3.get_object(Bucket=bucket, Key="repo.json")
    assert code(lambda: s3.get_object(Bucket=bucket, Key="packs/1")) in DENIED
    assert world.cloud.client("kms", keys).decrypt(CiphertextBlob=sealed)["Plaintext"] == b"key"
    for name in ("repo.json", "rp/1", "packs/1"):
        owner.delete_object(Bucket=bucket, Key=name)


def own_key(world: World, account: str) -> str:
    """Make a key of an account's own; its policy lets the account's policies decide."""
    return str(world.cloud.admin("kms", account).create_key()["KeyMetadata"]["Arn"])


def run_backup_session(world: World) -> None:
    """A backup in backup-account mode, from the roles to the removal."""
    source = world.source(FIRST, backup="daily")
    operation, deploying = world.access(FIRST, "backup"), world.access(HOME, "workerDeployment")
    world.product.check(operation)
    world.product.check(deploying)
    compute = world.product.compute(operation)
    assert compute.find_instances({"backup": "daily"}) == [source]
    assert len(compute.instances([source])[source].volumes) == 2
    assert compute.user_data(source) is None
    marks = tags.session_tags(INSTALL, BACKUP)
    taken = compute.make_snapshots(source, exclude_volumes=(), exclude_boot=False, tags=marks, description="test")
    assert {one.snapshot_id for one in compute.snapshots(tags=marks)} == {one.snapshot_id for one in taken}
    completed(world, FIRST, "backup", [one.snapshot_id for one in taken])

    role = temporary_role(world)
    for _ in range(2):
        ensured(world, role, BACKUP)
    worker, other = launch(world, HOME, "workerDeployment", role.name, BACKUP, token="backup", count=2)
    fleet = world.product.compute(deploying)
    assert {one.instance_id for one in fleet.workers(session=BACKUP)} == {worker, other}
    assert [one.instance_id for one in fleet.workers(ids=[worker])] == [worker]
    assert fleet.zone_of_subnet(world.network(HOME)[0]) == "eu-west-1a"
    assert fleet.console_output(worker)

    work_as_a_worker(world, worker, other, taken[0].snapshot_id)
    work_on_the_own_account(world, worker)

    fleet.terminate([worker, other])
    world.cloud.wait_for_state(HOME, worker, "terminated")
    fleet.terminate([worker])
    roles = world.product.roles(deploying)
    assert roles.temporary_names(role.path) == {role.name}
    roles.absent_temporary_role(role)
    assert roles.temporary_names(role.path) == set()
    for one in taken:
        compute.absent_snapshot(one.snapshot_id)
    assert compute.snapshots(tags=marks) == []


def work_as_a_worker(world: World, worker: str, other: str, snapshot: str) -> None:
    """Read the order, report, read blocks through the data role, write the repository, write the result."""
    keys = world.worker_keys(HOME, worker)
    user = world.cloud.client("sts", keys).get_caller_identity()["UserId"]
    assert user.endswith(f":{worker}")
    orders = world.product.orders()
    orders.give(user, order(BACKUP))
    s3, bucket = world.cloud.client("s3", keys), world.foundation.control_bucket
    assert s3.get_object(Bucket=bucket, Key=order_key(BACKUP, user))["Body"].read() == order(BACKUP).to_json().encode()
    strangers = world.worker_keys(HOME, other)
    for stranger in (strangers, world.assume(FIRST, "backup")):
        key = order_key(BACKUP, user)
        assert code(lambda who=stranger, key=key: world.cloud.client("s3", who).get_object(Bucket=bucket, Key=key)) in (
            *DENIED,
            "NoSuchKey",
        )
    assert code(lambda: s3.put_object(Bucket=bucket, Key=order_key(BACKUP, user), Body=b"forged")) in DENIED
    assert code(lambda: s3.list_objects_v2(Bucket=bucket)) in DENIED
    orders.set_epoch("ledger:1")
    assert orders.epoch() == "ledger:1"
    assert BACKUP in orders.sessions()
    orders.stop(BACKUP, user)
    s3.get_object(Bucket=bucket, Key=order_key(BACKUP, user).replace(".json", ".stop"))

    report(world, keys, user)
    queue = world.foundation.report_queue
    assert code(lambda: world.cloud.client("sqs", keys).receive_message(QueueUrl=queue)) in DENIED

    data = world.cloud.assume(keys, world.role(FIRST, "data"))
    ebs = world.cloud.client("ebs", data)
    listed = ebs.list_snapshot_blocks(SnapshotId=snapshot)
    assert listed["VolumeSize"] == 1
    assert ebs.list_changed_blocks(FirstSnapshotId=snapshot, SecondSnapshotId=snapshot)["ChangedBlocks"] == []

    use_repository(world, keys)
    s3.put_object(Bucket=bucket, Key=result_key(BACKUP, user), Body=b"result")
    assert s3.get_object(Bucket=bucket, Key=result_key(BACKUP, user))["Body"].read() == b"result"
    assert orders.result(BACKUP, user) is None
    assert len(orders.keys(BACKUP)) == 3
    orders.absent(BACKUP, user)
    for key in orders.keys(BACKUP):
        orders.absent_key(key)


def work_on_the_own_account(world: World, worker: str) -> None:
    """Write and read blocks of the backup account itself, with nothing but the worker's own role."""
    compute, key = world.product.compute(world.access(HOME, "restore")), own_key(world, HOME)
    marks = tags.session_tags(INSTALL, BACKUP)
    started = compute.start_snapshot(token="home", size_gib=1, tags=marks, encrypted=True, kms_key=key)
    ebs = world.cloud.client("ebs", world.worker_keys(HOME, worker))
    put_block(ebs, started.snapshot_id, b"h" * BLOCK)
    completed(world, HOME, "restore", [started.snapshot_id])
    token = ebs.list_snapshot_blocks(SnapshotId=started.snapshot_id)["Blocks"][0]["BlockToken"]
    ebs.get_snapshot_block(SnapshotId=started.snapshot_id, BlockIndex=0, BlockToken=token)
    compare_with_a_base(world, ebs, started.snapshot_id)
    compute.absent_snapshot(started.snapshot_id)


def compare_with_a_base(world: World, ebs: Any, snapshot: str) -> None:
    """Ask what has changed since an earlier session's snapshot: its point's tag opens that, its blocks stay closed."""
    compute = world.product.compute(world.access(HOME, "restore"))
    earlier, owner = tags.session_tags(INSTALL, "s-earlier"), world.cloud.admin("ebs", HOME)
    bases = [
        compute.start_snapshot(
            token=f"base-{number}", size_gib=1, tags=marks, encrypted=False, kms_key=None
        ).snapshot_id
        for number, marks in enumerate(({**earlier, tags.POINT: "rp-1"}, earlier))
    ]
    for one in bases:
        put_block(owner, one, b"b" * BLOCK)
    completed(world, HOME, "restore", bases)
    base, other = bases

    def changed(first: str) -> Any:
        return ebs.list_changed_blocks(FirstSnapshotId=first, SecondSnapshotId=snapshot)

    assert code(lambda: changed(base)) not in DENIED
    assert code(lambda: changed(other)) in DENIED
    assert code(lambda: ebs.list_snapshot_blocks(SnapshotId=base)) in DENIED
    token = owner.list_snapshot_blocks(SnapshotId=base)["Blocks"][0]["BlockToken"]
    assert code(lambda: ebs.get_snapshot_block(SnapshotId=base, BlockIndex=0, BlockToken=token)) in DENIED
    for one in bases:
        compute.absent_snapshot(one)


def run_restore_session(world: World) -> None:
    """A restore of a volume: blocks written through the data role, a volume made, attached, removed."""
    target = world.source(FIRST)
    compute = world.product.compute(world.access(FIRST, "restore"))
    marks, key = tags.session_tags(INSTALL, RESTORE), own_key(world, FIRST)
    started = compute.start_snapshot(token="restore", size_gib=1, tags=marks, encrypted=True, kms_key=key)
    role = temporary_role(world, "dw-test-000002")
    ensured(world, role, RESTORE)
    (worker,) = launch(world, HOME, "workerDeployment", role.name, RESTORE, token="restore")
    data = world.cloud.assume(world.worker_keys(HOME, worker), world.role(FIRST, "data"))
    ebs = world.cloud.client("ebs", data)

    checksum = put_block(ebs, started.snapshot_id, b"r" * BLOCK)

    completed(world, FIRST, "restore", [started.snapshot_id])
    token = ebs.list_snapshot_blocks(SnapshotId=started.snapshot_id)["Blocks"][0]["BlockToken"]
    block = ebs.get_snapshot_block(SnapshotId=started.snapshot_id, BlockIndex=0, BlockToken=token)
    assert block["Checksum"] == checksum
    volume = compute.make_volume(
        NewVolume(
            token="restore",
            snapshot_id=started.snapshot_id,
            availability_zone="eu-west-1a",
            type="gp3",
            size_gib=1,
            encrypted=True,
            kms_key=key,
            tags=marks,
        )
    )
    wait_for(lambda: compute.volumes(ids=[volume.volume_id])[0].state == "available", seconds=20)
    compute.attach_volume(volume.volume_id, target, "/dev/xvdz")
    wait_for(lambda: compute.volumes(tags=marks)[0].state == "in-use", seconds=20)
    spare = compute.make_volume(
        NewVolume(
            token="spare",
            snapshot_id=started.snapshot_id,
            availability_zone="eu-west-1a",
            type="gp3",
            size_gib=1,
            encrypted=True,
            kms_key=key,
            tags=marks,
        )
    )
    wait_for(lambda: compute.volumes(ids=[spare.volume_id])[0].state == "available", seconds=20)
    compute.absent_volume(spare.volume_id)
    compute.absent_snapshot(started.snapshot_id)
    world.product.compute(world.access(HOME, "workerDeployment")).terminate([worker])
    world.cloud.wait_for_state(HOME, worker, "terminated")
    world.product.roles(world.access(HOME, "workerDeployment")).absent_temporary_role(role)


def run_production_session(world: World, account: str, purpose: str) -> None:
    """A session with the account's own worker role: found, launched with, used and left alone."""
    access = world.access(account, purpose)
    profile, role = world.product.roles(access).worker_profile(world.role(account, "worker"))
    (worker,) = launch(world, account, purpose, profile, PRODUCTION, token=f"production-{purpose}")
    fleet = world.product.compute(access)
    assert worker in {one.instance_id for one in fleet.workers(session=PRODUCTION)}
    assert fleet.zone_of_subnet(world.network(account)[0]) == "eu-west-1a"
    assert fleet.console_output(worker)
    keys = world.worker_keys(account, worker)
    user = world.cloud.client("sts", keys).get_caller_identity()["UserId"]
    assert user == f"{role.role_id}:{worker}"
    world.product.orders().give(user, order(PRODUCTION))
    s3, bucket = world.cloud.client("s3", keys), world.foundation.control_bucket
    s3.get_object(Bucket=bucket, Key=order_key(PRODUCTION, user))
    s3.put_object(Bucket=bucket, Key=result_key(PRODUCTION, user), Body=b"result")
    report(world, keys, user)

    compute = world.product.compute(world.access(account, "restore"))
    marks = tags.session_tags(INSTALL, PRODUCTION)
    token, key = f"production-{purpose}", own_key(world, account)
    started = compute.start_snapshot(token=token, size_gib=1, tags=marks, encrypted=True, kms_key=key)
    ebs = world.cloud.client("ebs", keys)
    put_block(ebs, started.snapshot_id, b"p" * BLOCK)
    completed(world, account, "restore", [started.snapshot_id])
    token = ebs.list_snapshot_blocks(SnapshotId=started.snapshot_id)["Blocks"][0]["BlockToken"]
    ebs.get_snapshot_block(SnapshotId=started.snapshot_id, BlockIndex=0, BlockToken=token)
    ebs.list_changed_blocks(SecondSnapshotId=started.snapshot_id)
    at_home = account == HOME
    use_repository(world, keys if at_home else world.cloud.assume(keys, world.repository["role"]))
    if at_home:
        read_archive(world, keys)
    else:
        use_archive(world, world.cloud.assume(keys, world.repository["role"]))

    fleet.terminate([worker])
    fleet.absent_snapshot(started.snapshot_id)
    world.product.orders().absent(PRODUCTION, user)


def run_planning(world: World) -> None:
    """What plans read, and what roles may ask of their rights, in an account and at home."""
    for account, purpose in ((HOME, "workerDeployment"), (FIRST, "backup"), (FIRST, "restore"), (FIRST, "files")):
        access = world.access(account, purpose)
        networks, limits = world.product.networks(access), world.product.limits(access)
        assert networks.network(subnets=[world.network(account)[0]]).subnets
        assert networks.offered(["c5.large"])["c5.large"]
        assert limits.vcpus(["c5.large"])["c5.large"] == 2
        assert limits.room_for_vcpus().most
        proved = [world.role(account, purpose)]
        if purpose == "workerDeployment":
            assert limits.room_for_roles().most
            proved.append(world.repository["role"])
        elif purpose == "files":
            assert world.product.compute(access).snapshots(ids=["snap-0123456789abcdef0"]) == []
            world.product.roles(access).worker_profile(world.role(account, purpose))
        else:
            key = own_key(world, account)
            keys = world.product.keys(access)
            assert keys.key(key).is_enabled
            proved += [world.role(account, "worker"), world.role(account, "data")]
            assert world.product.databases(access).databases(["none"]) == {}
            assert world.product.rights(access).trust(world.role(account, "data"))["Statement"]
        if purpose == "backup":
            look_at_file_systems(world, access)
        for role in proved:
            pair = ("iam:DeleteUser", "*")
            asked = world.product.rights(access).refused(role, actions=[pair[0]], resources=[pair[1]], context={})
            assert asked == {pair}
    assert world.product.rights(world.access(HOME, "workerDeployment")).trust(world.repository["role"])["Statement"]
    look_at_the_own_doors(world)
    read_heads(world)
    ask_for_packs(world)


def look_at_file_systems(world: World, access: Access) -> None:
    """Find a file system with a mount target, as the planning of an index does."""
    efs = world.cloud.admin("efs", FIRST)
    made = efs.create_file_system(CreationToken="planned")["FileSystemId"]
    subnet, group = world.network(FIRST)
    efs.create_mount_target(FileSystemId=made, SubnetId=subnet, SecurityGroups=[group])
    (target,) = world.product.file_systems(access).file_systems([made])[made].mount_targets
    assert target


def look_at_the_own_doors(world: World) -> None:
    """What the control plane reads of itself, and the copies of its ledger."""
    doors = world.product.doors()
    assert doors.bucket_policy()["Statement"]
    assert doors.queue_policy()["Statement"]
    own = Access(account=HOME, region=REGION, role=None)
    pair = ("iam:DeleteUser", "*")
    assert world.product.rights(own).refused(doors.identity(), actions=[pair[0]], resources=[pair[1]], context={}) == {
        pair
    }
    backups = world.product.backups()
    backups.put("copy", io.BytesIO(b"ledger"), sha256=hashlib.sha256(b"ledger").hexdigest(), content="1")
    assert [one.name for one in backups.kept()] == ["copy"]
    backups.fetch("copy", io.BytesIO())
    backups.absent("copy")


SESSIONS: dict[str, Callable[[World], None]] = {
    "planning": run_planning,
    "backup": run_backup_session,
    "restore": run_restore_session,
    "restore of an instance": restore_an_instance,
    "production backup": lambda world: run_production_session(world, FIRST, "backup"),
    "production restore": lambda world: run_production_session(world, FIRST, "restore"),
    "production at home": lambda world: run_production_session(world, HOME, "backup"),
    "files in production mode": files_in_production_mode,
    "files in backup mode": files_in_backup_mode,
    "points from the command line": points_from_the_command_line,
}


def run_once(world: World, done: set[str], session: str) -> None:
    """Run one of the sessions, unless it has run."""
    if session not in done:
        SESSIONS[session](world)
        done.add(session)


@pytest.mark.parametrize("session", SESSIONS)
def test_a_session_works_with_exactly_the_role_documents(world: World, done: set[str], session: str) -> None:
    """Everything that a session of each kind calls is allowed, and workers reach nothing of each other."""
    run_once(world, done, session)

    assert session in done


def test_nothing_is_granted_that_is_not_used(world: World, done: set[str]) -> None:
    """No role document allows an action that no session needs."""
    for session in SESSIONS:
        run_once(world, done, session)

    # Roles of one name hold the same document in every account.
    used: dict[tuple[str, str, str], bool] = {}
    for one in world.cloud.sim("GET", "grants")[1]["grants"]:
        grant = (one["holder"].rpartition("/")[2].rpartition(":")[2], one["sid"], one["action"])
        used[grant] = used.get(grant, False) or one["used"]
    assert {grant for grant, is_used in used.items() if not is_used} == NOT_SEEN_HERE
