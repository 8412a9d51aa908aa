"""Backup and restore in the embedded cloud: other accounts' blocks and repository, least rights, faults."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from threading import Event
from typing import Any, Final

import pytest
from botocore.session import Session
from support.block_devices import Content, block as kind_of_block
from support.blocks import content, make_snapshot
from support.cloud import FAST, REGION, LocalCloud, local_cloud

from agent.jobs import JOBS
from agent.jobs.context import JobContext, JobFailed
from agent.protocol import (
    BackupJob,
    BackupVolume,
    DataAccess,
    JobResult,
    RepositoryRef,
    ResourceRef,
    RestoreVolume,
    RestoreVolumeJob,
)
from orchestrator import policies, tags

GIB: Final = 1024**3
INSTALL: Final = "it"
SESSION: Final = "s-01"
TAGS: Final = [{"Key": tags.INSTALL, "Value": INSTALL}, {"Key": tags.SESSION, "Value": SESSION}]
CANARY: Final = "canary"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """A cloud that throttles blocks at a rate that a few threads reach, and whose snapshots are ready at once."""
    settings = replace(FAST, snapshot=timedelta(0), volume=timedelta(0), block_rate=300)
    with local_cloud(tmp_path_factory.mktemp("cloud"), settings) as made:
        yield made


@dataclass
class Site:
    """A backup account with repository and worker role, and a production account with data role and snapshots."""

    cloud: LocalCloud
    home: str
    production: str
    bucket: str
    key: str
    data_role: str
    session: Session
    repository_role: str | None = None
    numbers: Iterator[int] = field(default_factory=itertools.count)
    progress: list[tuple[int, int]] = field(default_factory=list)

    @property
    def ebs(self) -> Any:
        """The production account's administrator at the block API."""
        return self.cloud.admin("ebs", self.production)

    @property
    def repository(self) -> RepositoryRef:
        """The repository, reached with the worker's own role unless there is one for it."""
        return RepositoryRef(
            url=f"s3://{self.bucket}/main", region=REGION, kms_key=self.key, role_arn=self.repository_role
        )

    def context(self) -> JobContext:
        """Return what the runner gives a job."""
        return JobContext(
            session=self.session,
            worker_id="i-0worker",
            stop=Event(),
            progress=lambda done, total: self.progress.append((done, total)),
            endpoint_url=self.cloud.url,
        )

    def backup(self, snapshot: str, *, parent: str | None = None, previous: str | None = None) -> JobResult:
        """Back up a snapshot of 2 GiB into a new restore point."""
        volume = BackupVolume(
            volume_id="vol-1",
            snapshot_id=snapshot,
            size_bytes=2 * GIB,
            device="/dev/xvda",
            previous_snapshot_id=previous,
        )
        job = BackupJob(
            repository=self.repository,
            data=DataAccess(region=REGION, role_arn=self.data_role),
            resource=ResourceRef(account=self.production, region=REGION, id="i-0source"),
            restore_point=f"rp-{next(self.numbers)}",
            created_at="2026-11-23T02:00:00.000Z",
            volumes=(volume,),
            parent=parent,
        )
        return JOBS["ec2-backup"](self.context(), job)

    def restore(self, point: str) -> Content:
        """Restore a point into a new snapshot; return the snapshot's blocks."""
        target = str(self.ebs.start_snapshot(VolumeSize=2, Tags=TAGS)["SnapshotId"])
        job = RestoreVolumeJob(
            repository=self.repository,
            data=DataAccess(region=REGION, role_arn=self.data_role),
            source=ResourceRef(account=self.production, region=REGION, id="i-0source"),
            restore_point=point,
            volumes=(RestoreVolume(volume_id="vol-1", snapshot_id=target, size_bytes=2 * GIB),),
        )
        JOBS["ec2-restore-volume"](self.context(), job)
        return content(self.ebs, target)

    def objects(self) -> list[str]:
        """Return the keys of the repository's objects."""
        answer = self.cloud.admin("s3", self.home).list_objects_v2(Bucket=self.bucket, Prefix="main/")
        return [one["Key"] for one in answer.get("Contents", [])]


@pytest.fixture
def site(cloud: LocalCloud) -> Site:
    """Two accounts, with the policies that the product documents and nothing more."""
    home, production = cloud.account(), cloud.account()
    bucket = f"repository-{home}"
    cloud.admin("s3", home).create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    key = str(cloud.admin("kms", home).create_key()["KeyMetadata"]["Arn"])
    pattern = f"arn:aws:iam::{home}:role{tags.path_of(INSTALL)}*"
    data_role = cloud.role(
        production,
        "data",
        trust=policies.workers_trust([(home, pattern)]),
        policy=policies.data_role(INSTALL),
    )
    # A real worker role trusts EC2 alone; here the test takes the instance's place.
    starter = cloud.user(home, "starter", {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}]})  # fmt: skip
    worker = cloud.role(
        home,
        "worker",
        trust={"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{home}:root"}, "Action": "sts:AssumeRole"}]},
        policy=policies.temporary_role(
            install=INSTALL,
            session=SESSION,
            control_bucket="control",
            report_queue_arn=f"arn:aws:sqs:{REGION}:{home}:reports",
            repository=(bucket, "main/", key),
            roles=[data_role],
        ),
        Path=tags.path_of(INSTALL),
    )  # fmt: skip
    keys = cloud.assume(starter, worker, name="i-0worker")
    session = Session()
    session.set_credentials(keys.access_key, keys.secret, keys.token)
    return Site(cloud, home, production, bucket, key, data_role, session)


def blocks(*indices: int, kind: str = "text") -> Content:
    """Return blocks of their own at some indices."""
    return {index: kind_of_block(kind, index) for index in indices}


def test_blocks_of_another_account_are_backed_up_and_restored_with_documented_rights(site: Site) -> None:
    """The worker takes the data role under its own id; the point restores exactly."""
    held = blocks(0, 1, 700, 4095) | {5: bytes(512 * 1024), 6: kind_of_block("noise", 6)}
    snapshot = make_snapshot(site.ebs, held, size=2, Tags=TAGS)

    result = site.backup(snapshot)

    assert (result.outcome, result.detail["kind"], result.detail["blocksRead"]) == ("success", "full", 6)
    assert site.restore(result.detail["restorePoint"]) == {i: data for i, data in held.items() if i != 5}
    readers = {call["principal"] for call in site.cloud.calls("ebs:GetSnapshotBlock", site.production)}
    assert f"arn:aws:sts::{site.production}:assumed-role/data/i-0worker" in readers
    assert site.progress[-1][0] == site.progress[-1][1]


def test_volumes_under_a_customers_own_key_are_backed_up_and_restored(site: Site) -> None:
    """The data role uses the key through EBS; the repository has keys of its own."""
    key = site.cloud.admin("kms", site.production).create_key()["KeyMetadata"]["Arn"]
    first_blocks = blocks(0, 9)
    encrypted = {"Encrypted": True, "KmsKeyArn": key, "Tags": TAGS}
    first = make_snapshot(site.ebs, first_blocks, size=2, **encrypted)
    second = make_snapshot(site.ebs, {9: kind_of_block("noise", 9)}, size=2, ParentSnapshotId=first, Tags=TAGS)

    full = site.backup(first)
    incremental = site.backup(second, parent=full.detail["restorePoint"], previous=first)

    assert incremental.detail["blocksRead"] == 1
    assert site.restore(full.detail["restorePoint"]) == first_blocks
    assert site.restore(incremental.detail["restorePoint"]) == first_blocks | {9: kind_of_block("noise", 9)}
    asked = {call["principal"] for call in site.cloud.calls("ebs:GetSnapshotBlock", site.production)}
    assert f"arn:aws:sts::{site.production}:assumed-role/data/i-0worker" in asked


def test_a_repository_in_another_account_is_reached_through_its_role(site: Site) -> None:
    """The repository role holds what a writer needs and trusts the workers; the worker's own role holds none of it."""
    snapshot = make_snapshot(site.ebs, blocks(0, 9), size=2, Tags=TAGS)
    iam = site.cloud.admin("iam", site.home)
    pattern = f"arn:aws:iam::{site.home}:role{tags.path_of(INSTALL)}*"
    role = site.cloud.role(
        site.home,
        "repository",
        trust=policies.workers_trust([(site.home, pattern)]),
        policy=policies.repository_role(site.bucket, "main/", site.key),
    )
    own = policies.temporary_role(
        install=INSTALL,
        session=SESSION,
        control_bucket="control",
        report_queue_arn=f"arn:aws:sqs:{REGION}:{site.home}:reports",
        repository=None,
        roles=[site.data_role, role],
    )
    iam.put_role_policy(RoleName="worker", PolicyName="own", PolicyDocument=json.dumps(own))

    with pytest.raises(JobFailed, match=r"may not use repo\.json"):
        site.backup(snapshot)
    result = replace(site, repository_role=role).backup(snapshot)

    assert replace(site, repository_role=role).restore(result.detail["restorePoint"]) == blocks(0, 9)


def test_an_incremental_reads_what_changed_and_stores_nothing_twice(site: Site) -> None:
    """Both points restore, each with its own bytes."""
    first_blocks = blocks(0, 1, 2, 3000)
    first = make_snapshot(site.ebs, first_blocks, size=2, Tags=TAGS)
    changed = {1: kind_of_block("noise", 1), 3500: kind_of_block("text", 0)}
    second = make_snapshot(site.ebs, changed, size=2, Tags=TAGS, ParentSnapshotId=first)
    full = site.backup(first)

    result = site.backup(second, parent=full.detail["restorePoint"], previous=first)

    figures = result.detail
    assert (figures["kind"], figures["blocksRead"], figures["blocksStored"]) == ("incremental", 2, 1)
    assert figures["volumes"][0]["blocks"] == 5
    assert site.restore(figures["restorePoint"]) == first_blocks | changed
    assert site.restore(full.detail["restorePoint"]) == first_blocks


def test_faults_of_the_network_and_of_aws_are_outlived(site: Site) -> None:
    """Errors, cut connections before and after the effect: the bytes are right all the same."""
    held = blocks(*range(40)) | blocks(*range(2048, 2060), kind="noise")
    snapshot = make_snapshot(site.ebs, held, size=2, Tags=TAGS)
    for operation, kind, times in (
        ("ebs:GetSnapshotBlock", "error", 3),
        ("ebs:GetSnapshotBlock", "reset", 2),
        ("ebs:ListSnapshotBlocks", "reset-after", 1),
        ("s3:PutObject", "reset-after", 2),
        ("s3:PutObject", "error", 2),
        ("ebs:PutSnapshotBlock", "reset-after", 3),
        ("ebs:PutSnapshotBlock", "error", 3),
        ("ebs:CompleteSnapshot", "error", 1),
    ):
        more = {"code": "InternalError"} if kind == "error" else {}
        site.cloud.fault(operation, kind, times=times, **more)

    result = site.backup(snapshot)

    assert site.restore(result.detail["restorePoint"]) == held
    assert site.cloud.server.cloud.faults.rules() == []  # every one of them has struck


def test_a_restore_point_is_written_last(site: Site) -> None:
    """When the head cannot be written there is nothing to be seen, and the next attempt stores no block again."""
    snapshot = make_snapshot(site.ebs, blocks(0, 1), size=2, Tags=TAGS)
    iam = site.cloud.admin("iam", site.home)
    denied = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Deny", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{site.bucket}/main/rp/*"}]}  # fmt: skip
    iam.put_role_policy(RoleName="worker", PolicyName="deny", PolicyDocument=json.dumps(denied))

    with pytest.raises(JobFailed, match="may not use rp/"):
        site.backup(snapshot)

    assert not [key for key in site.objects() if key.startswith("main/rp/")]
    iam.delete_role_policy(RoleName="worker", PolicyName="deny")
    result = site.backup(snapshot)
    assert result.detail["blocksStored"] == 0
    assert site.restore(result.detail["restorePoint"]) == blocks(0, 1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data_role": "arn:aws:iam::{production}:role/none"}, "AssumeRole was refused: AccessDenied"),
        ({"repository_role": "arn:aws:iam::{home}:role/none"}, "AssumeRole was refused: AccessDenied"),
        ({"key": "arn:aws:kms:eu-west-1:{home}:key/11111111-1111-1111-1111-111111111111"}, "cannot be used"),
        ({"bucket": "no-such-bucket-{home}"}, "repo.json"),
    ],
)
def test_what_is_set_up_wrongly_is_told_with_a_remedy_and_without_a_secret(
    site: Site, change: dict[str, str], said: str
) -> None:
    """A role that cannot be taken, a key that is not there, a bucket that is not there."""
    snapshot = make_snapshot(site.ebs, blocks(0), size=2, Tags=TAGS)
    filled = {name: value.format(home=site.home, production=site.production) for name, value in change.items()}

    with pytest.raises(JobFailed, match=said) as caught:
        replace(site, **filled).backup(snapshot)

    frozen = site.session.get_credentials().get_frozen_credentials()
    words = f"{caught.value} {caught.value.remedy}"
    assert caught.value.remedy
    assert frozen.secret_key not in words
    assert frozen.token not in words


def test_snapshots_of_others_cannot_be_read(site: Site) -> None:
    """The data role reaches what carries this install's tag; the job says what is missing."""
    snapshot = make_snapshot(site.ebs, blocks(0), size=2)

    with pytest.raises(JobFailed, match="AccessDeniedException") as caught:
        site.backup(snapshot)

    assert "role document" in str(caught.value.remedy)
