"""Writing snapshots through the EBS direct API: start, put, complete."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support.blocks import BLOCK, block, checksum, content, linear, make_snapshot, put, refusal
from support.cloud import REGION, LocalCloud

INVALID_VALUE = ("ValidationException", "INVALID_PARAMETER_VALUE")
NOT_PENDING = ("ValidationException", "INVALID_SNAPSHOT_ID")
NOT_FOUND = ("ResourceNotFoundException", "SNAPSHOT_NOT_FOUND")


def test_a_written_snapshot_holds_its_blocks(ebs: Any, ec2: Any, account: str) -> None:
    """From start to reading, with its record in EC2 all along."""
    blocks = {0: block(1), 7: block(0), 2047: block(3)}

    started = ebs.start_snapshot(VolumeSize=1, Description="restored", Tags=[{"Key": "k", "Value": "v"}])
    snapshot = started["SnapshotId"]
    for index, data in blocks.items():
        answer = put(ebs, snapshot, index, data, Progress=50)
        assert (answer["Checksum"], answer["ChecksumAlgorithm"]) == (checksum(data), "SHA256")
    pending = ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]
    completed = ebs.complete_snapshot(
        SnapshotId=snapshot,
        ChangedBlocksCount=3,
        Checksum=linear(blocks),
        ChecksumAlgorithm="SHA256",
        ChecksumAggregationMethod="LINEAR",
    )

    shown = ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]
    assert (started["Status"], started["OwnerId"], started["BlockSize"]) == ("pending", account, BLOCK)
    assert (pending["State"], pending["Progress"]) == ("pending", "50%")
    assert (pending["VolumeId"], pending["VolumeSize"], pending["OwnerId"]) == ("vol-ffffffff", 1, account)
    assert (pending["Tags"], pending["Description"]) == ([{"Key": "k", "Value": "v"}], "restored")
    assert started["StartTime"].replace(microsecond=0) == pending["StartTime"]
    assert (completed["Status"], shown["State"], shown["Progress"]) == ("completed", "completed", "100%")
    assert content(ebs, snapshot) == blocks


def test_an_empty_snapshot_can_be_completed(ebs: Any) -> None:
    """A volume without any written block."""
    assert content(ebs, make_snapshot(ebs, {})) == {}


def test_a_block_may_be_put_again(ebs: Any) -> None:
    """The last one counts, once."""
    snapshot = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]

    put(ebs, snapshot, 4, block(1))
    put(ebs, snapshot, 4, block(2))
    ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=1)

    assert content(ebs, snapshot) == {4: block(2)}


@pytest.mark.parametrize(
    ("index", "data", "changes", "expected"),
    [
        (0, block(1), {"Checksum": checksum(block(2))}, ("ValidationException", "INVALID_BLOCK")),
        (0, block(1)[:-1], {}, ("ValidationException", "INVALID_BLOCK")),
        (0, block(1)[:-1], {"DataLength": BLOCK}, ("ValidationException", "INVALID_BLOCK")),
        (0, block(1), {"DataLength": BLOCK - 1}, ("ValidationException", "INVALID_BLOCK")),
        (0, block(1), {"ChecksumAlgorithm": "MD5"}, INVALID_VALUE),
        (2048, block(1), {}, INVALID_VALUE),
        (0, block(1), {"Progress": 101}, INVALID_VALUE),
    ],
    ids=["checksum", "short", "shorter than told", "wrong length", "algorithm", "beyond the end", "progress"],
)
def test_a_wrong_block_is_refused(
    cloud: LocalCloud, account: str, index: int, data: bytes, changes: dict[str, Any], expected: tuple[str, str]
) -> None:
    """And leaves nothing behind."""
    ebs = cloud.admin("ebs", account, parameter_validation=False)
    snapshot = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]

    found = refusal(lambda: put(ebs, snapshot, index, data, **changes))

    assert found == expected
    ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=0)


@pytest.mark.parametrize(
    "changes",
    [
        {"ChangedBlocksCount": 1},
        {"ChangedBlocksCount": 3},
        {"Checksum": checksum(b"other"), "ChecksumAlgorithm": "SHA256", "ChecksumAggregationMethod": "LINEAR"},
        {"Checksum": checksum(b"other"), "ChecksumAlgorithm": "SHA256"},
    ],
    ids=["too few", "too many", "checksum", "no method"],
)
def test_a_completion_that_does_not_fit_is_refused(ebs: Any, changes: dict[str, Any]) -> None:
    """The snapshot stays pending, so that what is missing can still be put."""
    snapshot = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    blocks = {0: block(1), 1: block(2)}
    for index, data in blocks.items():
        put(ebs, snapshot, index, data)

    found = refusal(lambda: ebs.complete_snapshot(**{"SnapshotId": snapshot, "ChangedBlocksCount": 2, **changes}))

    assert found == INVALID_VALUE
    put(ebs, snapshot, 2, block(3))
    assert ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=3)["Status"] == "completed"
    assert sorted(content(ebs, snapshot)) == [0, 1, 2]


def test_a_completed_snapshot_never_changes(ebs: Any, ec2: Any) -> None:
    """No block can be put; completing again, its answer lost, is no error. Snapshots of volumes were never open."""
    snapshot = make_snapshot(ebs, {0: block(1)})
    volume = ec2.create_volume(SnapshotId=snapshot, AvailabilityZone=f"{REGION}a")["VolumeId"]
    of_volume = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]

    again = ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=1)

    assert again["Status"] == "completed"
    assert refusal(lambda: put(ebs, snapshot, 0, block(2))) == NOT_PENDING
    assert refusal(lambda: put(ebs, of_volume, 0, block(2))) == NOT_PENDING
    assert refusal(lambda: ebs.complete_snapshot(SnapshotId=of_volume, ChangedBlocksCount=0)) == NOT_PENDING
    assert content(ebs, snapshot) == content(ebs, of_volume) == {0: block(1)}


def test_a_snapshot_that_is_not_there_is_told_so(ebs: Any, ec2: Any) -> None:
    """Never made, or deleted meanwhile."""
    snapshot = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    put(ebs, snapshot, 0, block(1))
    ec2.delete_snapshot(SnapshotId=snapshot)

    for missing in (snapshot, "snap-00000000000000000"):
        assert refusal(lambda missing=missing: put(ebs, missing, 1, block(1))) == NOT_FOUND
        assert (
            refusal(lambda missing=missing: ebs.complete_snapshot(SnapshotId=missing, ChangedBlocksCount=1))
            == NOT_FOUND
        )


def test_a_child_starts_with_its_parents_blocks(ebs: Any) -> None:
    """Only what is put counts as changed; the rest is the parent's, which stays as it was."""
    parent = make_snapshot(ebs, {0: block(1), 1: block(2)})

    started = ebs.start_snapshot(VolumeSize=2, ParentSnapshotId=parent)
    child = started["SnapshotId"]
    put(ebs, child, 1, block(3))
    put(ebs, child, 4000, block(4))
    changed_blocks = {1: block(3), 4000: block(4)}
    ebs.complete_snapshot(
        SnapshotId=child,
        ChangedBlocksCount=2,
        Checksum=linear(changed_blocks),
        ChecksumAlgorithm="SHA256",
        ChecksumAggregationMethod="LINEAR",
    )

    assert started["ParentSnapshotId"] == parent
    assert content(ebs, child) == {0: block(1), **changed_blocks}
    assert content(ebs, parent) == {0: block(1), 1: block(2)}


def test_a_parent_must_fit(ebs: Any) -> None:
    """It must be there, completed, and not larger."""
    parent = make_snapshot(ebs, {}, size=2)
    pending = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]

    def start(parent: str, **options: Any) -> tuple[str, str | None]:
        return refusal(lambda: ebs.start_snapshot(**{"VolumeSize": 2, "ParentSnapshotId": parent, **options}))

    assert start("snap-00000000000000000") == NOT_FOUND
    assert start(pending) == NOT_PENDING
    assert start(parent, VolumeSize=1) == ("ValidationException", "INVALID_VOLUME_SIZE")
    assert start(parent, Encrypted=True) == INVALID_VALUE


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"VolumeSize": 0}, ("ValidationException", "INVALID_VOLUME_SIZE")),
        ({"VolumeSize": 65_537}, ("ValidationException", "INVALID_VOLUME_SIZE")),
        ({"Timeout": 9}, INVALID_VALUE),
        ({"Timeout": 4321}, INVALID_VALUE),
        ({"KmsKeyArn": "arn:aws:kms:eu-west-1:111111111111:key/none"}, INVALID_VALUE),
        (
            {"Encrypted": True, "KmsKeyArn": "arn:aws:kms:eu-west-1:111111111111:key/none"},
            ("ValidationException", "INVALID_CUSTOMER_KEY"),
        ),
        ({"Tags": [{"Key": "aws:mine", "Value": ""}]}, ("ValidationException", "INVALID_TAG")),
        ({"Tags": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}, ("ValidationException", "INVALID_TAG")),
        ({"Tags": [{"Key": str(n), "Value": ""} for n in range(51)]}, ("ValidationException", "INVALID_TAG")),
    ],
    ids=["no size", "too large", "short", "long", "key alone", "no key", "reserved", "twice", "too many"],
)
def test_a_wrong_start_is_refused(
    cloud: LocalCloud, account: str, ec2: Any, options: dict[str, Any], expected: tuple[str, str]
) -> None:
    """And makes no snapshot."""
    ebs = cloud.admin("ebs", account, parameter_validation=False)

    found = refusal(lambda: ebs.start_snapshot(**{"VolumeSize": 1, **options}))

    assert found == expected
    assert ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []


def test_a_client_token_makes_one_snapshot(ebs: Any, ec2: Any) -> None:
    """Repeated, also after the completion, it answers with the first one; with another request it is refused."""
    asked = {"VolumeSize": 1, "ClientToken": "token-1", "Tags": [{"Key": "a", "Value": "b"}]}
    first = ebs.start_snapshot(**asked)
    again = ebs.start_snapshot(**asked)
    ebs.complete_snapshot(SnapshotId=first["SnapshotId"], ChangedBlocksCount=0)

    later = ebs.start_snapshot(**asked)

    assert {one["SnapshotId"] for one in (first, again, later)} == {first["SnapshotId"]}
    assert [one["Status"] for one in (first, again, later)] == ["pending", "pending", "completed"]
    assert refusal(lambda: ebs.start_snapshot(**{**asked, "VolumeSize": 2})) == ("ConflictException", None)
    assert len(ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]) == 1
    assert ebs.start_snapshot(**{**asked, "ClientToken": "token-2"})["SnapshotId"] != first["SnapshotId"]


def test_an_encrypted_snapshot_names_its_key(cloud: LocalCloud, account: str, ebs: Any, ec2: Any) -> None:
    """Its own or the account's default; volumes and children are encrypted alike."""
    key = cloud.admin("kms", account).create_key()["KeyMetadata"]["Arn"]

    own = ebs.start_snapshot(VolumeSize=1, Encrypted=True, KmsKeyArn=key)
    default = ebs.start_snapshot(VolumeSize=1, Encrypted=True)
    ebs.complete_snapshot(SnapshotId=own["SnapshotId"], ChangedBlocksCount=0)
    child = ebs.start_snapshot(VolumeSize=1, ParentSnapshotId=own["SnapshotId"])
    volume = ec2.create_volume(SnapshotId=own["SnapshotId"], AvailabilityZone=f"{REGION}a")

    shown = ec2.describe_snapshots(SnapshotIds=[own["SnapshotId"]])["Snapshots"][0]
    assert (own["KmsKeyArn"], own["SseType"], child["KmsKeyArn"]) == (key, "sse-kms", key)
    assert default["KmsKeyArn"].startswith(f"arn:aws:kms:{REGION}:{account}:key/")
    assert (shown["Encrypted"], shown["KmsKeyId"]) == (True, key)
    assert (volume["Encrypted"], volume["KmsKeyId"]) == (True, key)


def test_many_writers_write_one_snapshot(ebs: Any) -> None:
    """Each block arrives whole, whoever is writing beside it."""
    blocks = {index * 50: block(index + 1) for index in range(40)}
    snapshot = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]

    with ThreadPoolExecutor(8) as writers:
        for done in [writers.submit(put, ebs, snapshot, index, data) for index, data in blocks.items()]:
            done.result()
    ebs.complete_snapshot(
        SnapshotId=snapshot,
        ChangedBlocksCount=40,
        Checksum=linear(blocks),
        ChecksumAlgorithm="SHA256",
        ChecksumAggregationMethod="LINEAR",
    )

    assert content(ebs, snapshot) == blocks


def test_a_start_whose_answer_is_lost_makes_one_snapshot(cloud: LocalCloud, account: str, ec2: Any) -> None:
    """The client asks again with the token that it made up."""
    ebs = cloud.admin("ebs", account, retries={"mode": "standard", "total_max_attempts": 3})
    cloud.fault("ebs:StartSnapshot", "reset-after", times=1, account=account)

    snapshot = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]

    assert [one["SnapshotId"] for one in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]] == [snapshot]
    assert len(cloud.calls("ebs:StartSnapshot", account)) == 2


def test_a_block_whose_answer_is_lost_is_put_again(cloud: LocalCloud, account: str) -> None:
    """With the same effect as once; a completion too."""
    ebs = cloud.admin("ebs", account, retries={"mode": "standard", "total_max_attempts": 3})
    snapshot = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    for operation in ("PutSnapshotBlock", "CompleteSnapshot", "GetSnapshotBlock"):
        cloud.fault(f"ebs:{operation}", "reset-after", times=1, account=account)

    put(ebs, snapshot, 0, block(1))
    ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=1)

    assert content(ebs, snapshot) == {0: block(1)}


def test_a_throttled_call_is_told_in_the_apis_words(cloud: LocalCloud, account: str, ebs: Any) -> None:
    """As clients of the EBS direct API know it."""
    cloud.fault("ebs:StartSnapshot", "throttle", rate=0.001, burst=1, account=account)
    ebs.start_snapshot(VolumeSize=1)

    assert refusal(lambda: ebs.start_snapshot(VolumeSize=1)) == ("RequestThrottledException", "ACCOUNT_THROTTLED")
