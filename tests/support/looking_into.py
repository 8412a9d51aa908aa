"""Files of snapshots and points under exactly the role documents: what a session and the command line call."""

from __future__ import annotations

from typing import Any, Final

from agent.protocol import Order, order_key, result_key
from orchestrator import policies, tags
from orchestrator.model.plan import TemporaryRole
from orchestrator.ports import LaunchCall
from support.cloud import REGION, Keys, code
from support.seeded import FIRST, HOME, INSTALL, World
from support.servers import wait_for

SESSION: Final = "s-01JD8ZQWB2M3N4P5Q6R7S8T9VF"
DENIED: Final = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")


def files_in_production_mode(world: World) -> None:
    """The account's role for files launches a worker, which has it as well, and reads any snapshot of the account."""
    access = world.access(FIRST, "files")
    profile, role = world.product.roles(access).worker_profile(world.role(FIRST, "files"))
    worker = _launched(world, FIRST, "files", profile)
    keys = world.worker_keys(FIRST, worker)
    user = world.cloud.client("sts", keys).get_caller_identity()["UserId"]
    assert user == f"{role.role_id}:{worker}"
    fleet = world.product.compute(access)
    assert fleet.console_output(worker)
    orders, bucket = world.product.orders(), world.foundation.control_bucket
    orders.give(
        user,
        Order(
            session=SESSION,
            attempt=1,
            fence=1,
            job_name="ec2-restore-files",
            deadline="2030-01-01T00:00:00.000Z",
            job={},
        ),
    )
    s3 = world.cloud.client("s3", keys)
    s3.get_object(Bucket=bucket, Key=order_key(SESSION, user))
    s3.put_object(Bucket=bucket, Key=result_key(SESSION, user), Body=b"result")
    _write(s3, bucket, user)
    world.cloud.client("sqs", keys).send_message(QueueUrl=world.foundation.report_queue, MessageBody="report")
    received = world.cloud.client("sqs", world.control_plane).receive_message(QueueUrl=world.foundation.report_queue)
    world.product.reports().acknowledge([received["Messages"][0]["ReceiptHandle"]])
    snapshot = _snapshot(world)
    assert [one.snapshot_id for one in fleet.snapshots(ids=[snapshot])] == [snapshot]
    _read(world.cloud.client("ebs", keys), snapshot)
    fleet.terminate([worker])
    orders.absent(SESSION, user)


def files_in_backup_mode(world: World) -> None:
    """A worker of the backup account reads snapshots of another that their owner has marked, and no others."""
    deploying = world.access(HOME, "workerDeployment")
    role = TemporaryRole(name="dw-test-00000f", path=tags.path_of(INSTALL), account=HOME, region=REGION)
    policy = policies.temporary_role(
        install=INSTALL,
        session=SESSION,
        control_bucket=world.foundation.control_bucket,
        report_queue_arn=world.foundation.report_queue_arn,
        repository=None,
        roles=[world.role(FIRST, "data")],
        has_blocks=False,
        gives_files=True,
    )
    marks = tags.session_tags(INSTALL, SESSION)
    world.product.roles(deploying).ensure_temporary_role(role, policy=policy, tags=marks, boundary=None)
    worker = _launched(world, HOME, "workerDeployment", role.name)
    keys = world.worker_keys(HOME, worker)
    user = world.cloud.client("sts", keys).get_caller_identity()["UserId"]
    data = world.cloud.client("ebs", world.cloud.assume(keys, world.role(FIRST, "data")))
    snapshot = _snapshot(world)
    assert code(lambda: data.list_snapshot_blocks(SnapshotId=snapshot)) in DENIED
    owner = world.cloud.admin("ec2", FIRST)
    owner.create_tags(Resources=[snapshot], Tags=[{"Key": tags.FILES, "Value": INSTALL}])
    _read(data, snapshot)
    assert code(lambda: data.start_snapshot(VolumeSize=1)) in DENIED
    _write(world.cloud.client("s3", keys), world.foundation.control_bucket, user)
    world.product.compute(deploying).terminate([worker])
    world.cloud.wait_for_state(HOME, worker, "terminated")
    world.product.roles(deploying).absent_temporary_role(role)


def points_from_the_command_line(world: World) -> None:
    """The opener role reads all of a repository and its archive, and writes nothing."""
    keys: Keys = world.cloud.assume(world.control_plane, world.repository["opener"])
    s3, kms = world.cloud.client("s3", keys), world.cloud.client("kms", keys)
    owner = world.cloud.admin("s3", HOME)
    key = world.repository["key"]["kms"]
    sealed = world.cloud.admin("kms", HOME).encrypt(KeyId=key, Plaintext=b"key")["CiphertextBlob"]
    for url in (world.repository["url"], world.repository["archive"]["url"]):
        bucket = str(url).removeprefix("s3://")
        owner.put_object(Bucket=bucket, Key="packs/1", Body=b"pack")
        assert s3.get_object(Bucket=bucket, Key="packs/1")["Body"].read() == b"pack"
        assert s3.list_objects_v2(Bucket=bucket, Prefix="packs/")["KeyCount"] == 1
        assert code(lambda bucket=bucket: s3.put_object(Bucket=bucket, Key="packs/2", Body=b"x")) in DENIED
        assert code(lambda bucket=bucket: s3.delete_object(Bucket=bucket, Key="packs/1")) in DENIED
        owner.delete_object(Bucket=bucket, Key="packs/1")
    assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"key"


def _launched(world: World, account: str, purpose: str, profile: str) -> str:
    subnet, group = world.network(account)
    (made,) = world.product.compute(world.access(account, purpose)).launch(
        LaunchCall(
            token=f"files-{account}",
            count=1,
            instance_type="t3.medium",
            image=world.foundation.worker_image,
            subnet=subnet,
            security_groups=(group,),
            profile=profile,
            user_data="none",
            tags=tags.session_tags(INSTALL, SESSION),
        )
    )
    world.cloud.wait_for_state(account, made.instance_id, "running")
    return made.instance_id


def _snapshot(world: World) -> str:
    """Make a snapshot that is none of ours, of an encrypted volume with something on it."""
    ec2 = world.cloud.admin("ec2", FIRST)
    key = str(world.cloud.admin("kms", FIRST).create_key()["KeyMetadata"]["Arn"])
    volume = ec2.create_volume(AvailabilityZone="eu-west-1a", Size=1, Encrypted=True, KmsKeyId=key)["VolumeId"]
    wait_for(lambda: ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["State"] == "available", seconds=20)
    made = str(ec2.create_snapshot(VolumeId=volume)["SnapshotId"])
    wait_for(lambda: ec2.describe_snapshots(SnapshotIds=[made])["Snapshots"][0]["State"] == "completed", seconds=20)
    return made


def _read(ebs: Any, snapshot: str) -> None:
    """List a snapshot's blocks, and ask for one: a snapshot of an empty volume has none, so the refusal is not ours."""
    assert ebs.list_snapshot_blocks(SnapshotId=snapshot)["VolumeSize"] == 1
    said = code(lambda: ebs.get_snapshot_block(SnapshotId=snapshot, BlockIndex=0, BlockToken="AAAA"))
    assert said not in DENIED


def _write(s3: Any, bucket: str, user: str) -> None:
    """Write an archive in parts into the worker's own folder, give another one up; nowhere else."""
    place = {"Bucket": bucket, "Key": f"restored/{SESSION}/{user}/files.tar"}
    upload = s3.create_multipart_upload(**place)["UploadId"]
    part = s3.upload_part(**place, UploadId=upload, PartNumber=1, Body=b"tar")
    parts = [{"ETag": part["ETag"], "PartNumber": 1}]
    s3.complete_multipart_upload(**place, UploadId=upload, MultipartUpload={"Parts": parts})
    given_up = s3.create_multipart_upload(**place)["UploadId"]
    s3.abort_multipart_upload(**place, UploadId=given_up)
    other = {**place, "Key": f"restored/{SESSION}/AROA:i-other/files.tar"}
    assert code(lambda: s3.put_object(**other, Body=b"forged")) in DENIED
    assert code(lambda: s3.get_object(**place)) in DENIED
