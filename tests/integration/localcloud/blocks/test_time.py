"""Time: pending snapshots, creating volumes, time-outs, tokens that expire, rates. The clock is the test's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from support.blocks import block, content, get, listed, put, refusal
from support.cloud import FAST, REGION, LocalCloud, code, local_cloud
from support.seconds import Seconds

from localcloud.blocks.service import Blocks

NOT_PENDING = ("ValidationException", "INVALID_SNAPSHOT_ID")
ZONE = f"{REGION}a"


@pytest.fixture(scope="module")
def clock() -> Seconds:
    """The clock of the block service."""
    return Seconds()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, clock: Seconds) -> Iterator[LocalCloud]:
    """A cloud whose volumes take a minute and whose snapshots take an hour; it allows two pending ones."""
    settings = replace(
        FAST, snapshot=timedelta(hours=1), volume=timedelta(minutes=1), pending_snapshots=2, block_rate=10
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("localcloud.server.Blocks", partial(Blocks, clock=clock))
        with local_cloud(tmp_path_factory.mktemp("cloud"), settings) as made:
            yield made


def state_of(ec2: Any, snapshot: str) -> tuple[str, str]:
    """Return state and progress of a snapshot."""
    shown = ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]
    return shown["State"], shown["Progress"]


def make(ebs: Any, clock: Seconds) -> str:
    """Write a snapshot of one block and let it complete."""
    snapshot = str(ebs.start_snapshot(VolumeSize=1)["SnapshotId"])
    put(ebs, snapshot, 0, block(1))
    ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=1)
    clock.now += 3600
    return snapshot


def test_a_snapshot_of_a_volume_completes_in_time(ebs: Any, ec2: Any, clock: Seconds) -> None:
    """With progress; it cannot be read before."""
    volume = ec2.create_volume(SnapshotId=make(ebs, clock), AvailabilityZone=ZONE)["VolumeId"]

    made = ec2.create_snapshot(VolumeId=volume)
    snapshot = made["SnapshotId"]
    clock.now += 900
    quarter = state_of(ec2, snapshot)
    unreadable = refusal(lambda: ebs.list_snapshot_blocks(SnapshotId=snapshot))
    clock.now += 2700

    assert made["State"] == "pending"
    assert quarter == ("pending", "25%")
    assert unreadable == NOT_PENDING
    assert state_of(ec2, snapshot) == ("completed", "100%")
    assert content(ebs, snapshot) == {0: block(1)}


def test_no_volume_is_made_of_a_pending_snapshot(ebs: Any, ec2: Any, clock: Seconds) -> None:
    """EC2 says in which state it is."""
    volume = ec2.create_volume(SnapshotId=make(ebs, clock), AvailabilityZone=ZONE)["VolumeId"]
    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]

    refused = code(lambda: ec2.create_volume(SnapshotId=snapshot, AvailabilityZone=ZONE))

    assert refused == "IncorrectState"
    assert [one["VolumeId"] for one in ec2.describe_volumes()["Volumes"]] == [volume]


def test_a_volume_is_created_in_time(ec2: Any, clock: Seconds) -> None:
    """It is available after a minute."""
    made = ec2.create_volume(Size=1, AvailabilityZone=ZONE)
    clock.now += 59
    before = ec2.describe_volumes(VolumeIds=[made["VolumeId"]])["Volumes"][0]["State"]
    clock.now += 1
    after = ec2.describe_volumes(VolumeIds=[made["VolumeId"]])["Volumes"][0]["State"]

    assert (made["State"], before, after) == ("creating", "creating", "available")


def test_completing_takes_time(ebs: Any) -> None:
    """Meanwhile nothing can be put or read, and completing again is no error."""
    snapshot = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    put(ebs, snapshot, 0, block(1))

    answers = [ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=1)["Status"] for _ in range(2)]

    assert answers == ["pending", "pending"]
    assert refusal(lambda: put(ebs, snapshot, 1, block(1))) == NOT_PENDING
    assert refusal(lambda: ebs.list_snapshot_blocks(SnapshotId=snapshot)) == NOT_PENDING


def test_a_snapshot_that_nobody_writes_fails(ebs: Any, ec2: Any, clock: Seconds) -> None:
    """After its time-out since the last block; then it can be neither written nor completed nor read."""
    timed_out = ("ValidationException", "WRITE_REQUEST_TIMEOUT")
    snapshot = ebs.start_snapshot(VolumeSize=1, Timeout=10)["SnapshotId"]
    clock.now += 599
    put(ebs, snapshot, 0, block(1))
    clock.now += 599
    alive = state_of(ec2, snapshot)[0]

    clock.now += 1

    shown = ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]
    assert (alive, shown["State"]) == ("pending", "error")
    assert "in time" in shown["StateMessage"]
    assert refusal(lambda: put(ebs, snapshot, 1, block(1))) == timed_out
    assert refusal(lambda: ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=1)) == timed_out
    assert refusal(lambda: ebs.list_snapshot_blocks(SnapshotId=snapshot)) == NOT_PENDING
    ec2.delete_snapshot(SnapshotId=snapshot)
    assert code(lambda: ec2.describe_snapshots(SnapshotIds=[snapshot])) == "InvalidSnapshot.NotFound"


def test_an_account_may_have_so_many_pending_snapshots(cloud: LocalCloud, ebs: Any) -> None:
    """Only those that can be written count; another account has a quota of its own."""
    first, _ = (ebs.start_snapshot(VolumeSize=1)["SnapshotId"] for _ in range(2))

    refused = refusal(lambda: ebs.start_snapshot(VolumeSize=1))

    assert refused == ("ServiceQuotaExceededException", "DEPENDENCY_SERVICE_QUOTA_EXCEEDED")
    cloud.admin("ebs", cloud.account()).start_snapshot(VolumeSize=1)
    ebs.complete_snapshot(SnapshotId=first, ChangedBlocksCount=0)
    ebs.start_snapshot(VolumeSize=1)


def test_block_tokens_expire_after_a_week(ebs: Any, clock: Seconds) -> None:
    """As the list told; a new list gives new ones."""
    snapshot = make(ebs, clock)
    answer = ebs.list_snapshot_blocks(SnapshotId=snapshot)
    token = answer["Blocks"][0]["BlockToken"]
    left = answer["ExpiryTime"].timestamp() - clock.now

    clock.now += left + 1

    assert left == pytest.approx(7 * 24 * 3600, abs=1)
    assert refusal(lambda: get(ebs, snapshot, 0, token)) == ("ValidationException", "INVALID_BLOCK_TOKEN")
    assert get(ebs, snapshot, 0, listed(ebs, snapshot)[0]) == block(1)


def test_blocks_have_a_rate(ebs: Any, clock: Seconds) -> None:
    """The eleventh call of a second is refused, and passes when the second has passed."""
    snapshot = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    for index in range(10):
        put(ebs, snapshot, index, block(index))

    refused = refusal(lambda: put(ebs, snapshot, 10, block(10)))
    clock.now += 1
    put(ebs, snapshot, 10, block(10))

    assert refused == ("RequestThrottledException", "RESOURCE_LEVEL_THROTTLE")
