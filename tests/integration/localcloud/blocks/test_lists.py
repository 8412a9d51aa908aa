"""Lists of written and changed blocks: order, pages, directions, lineage, tokens."""

from __future__ import annotations

from typing import Any

import pytest
from support.blocks import block, changed, content, get, listed, make_snapshot, pages, put, refusal
from support.cloud import REGION, LocalCloud

from localcloud.blocks.listing import WINDOW

ZONE = f"{REGION}a"
INVALID_VALUE = ("ValidationException", "INVALID_PARAMETER_VALUE")
INVALID_PAGE = ("ValidationException", "INVALID_PAGE_TOKEN")
INVALID_TOKEN = ("ValidationException", "INVALID_BLOCK_TOKEN")
NOT_FOUND = ("ResourceNotFoundException", "SNAPSHOT_NOT_FOUND")


@pytest.fixture(scope="module")
def home(cloud: LocalCloud) -> str:
    """The account of the snapshots that several tests read."""
    return cloud.account()


@pytest.fixture(scope="module")
def many(cloud: LocalCloud, home: str) -> str:
    """A snapshot with the 250 even blocks from 0 to 498; they are zeros, which cost little."""
    return make_snapshot(cloud.admin("ebs", home), dict.fromkeys(range(0, 500, 2), block(0)))


def test_pages_have_as_many_blocks_as_asked(cloud: LocalCloud, home: str, many: str) -> None:
    """In order, each once, with size and block size on each page."""
    ebs = cloud.admin("ebs", home)

    found = pages(ebs.list_snapshot_blocks, "Blocks", SnapshotId=many, MaxResults=100)

    assert [len(page) for page in found] == [100, 100, 50]
    assert [one["BlockIndex"] for page in found for one in page] == list(range(0, 500, 2))
    answer = ebs.list_snapshot_blocks(SnapshotId=many)
    assert (answer["VolumeSize"], answer["BlockSize"], len(answer["Blocks"])) == (1, 524288, 250)
    assert "NextToken" not in answer


@pytest.mark.parametrize(("start", "first"), [(0, 0), (101, 102), (498, 498), (499, None), (2048, None), (9999, None)])
def test_a_list_starts_where_it_is_told(cloud: LocalCloud, home: str, many: str, start: int, first: int | None) -> None:
    """At that block or the next one that there is."""
    found = listed(cloud.admin("ebs", home), many, StartingBlockIndex=start)

    assert next(iter(found), None) == first
    assert all(index >= start for index in found)


def test_a_page_token_wins_over_a_start(cloud: LocalCloud, home: str, many: str) -> None:
    """As the API says."""
    ebs = cloud.admin("ebs", home)
    first = ebs.list_snapshot_blocks(SnapshotId=many, MaxResults=100)

    second = ebs.list_snapshot_blocks(
        SnapshotId=many, MaxResults=100, NextToken=first["NextToken"], StartingBlockIndex=0
    )

    assert second["Blocks"][0]["BlockIndex"] == 200


def test_a_page_token_is_of_its_list(cloud: LocalCloud, home: str, many: str) -> None:
    """Not of another snapshot's, not of changed blocks, not invented."""
    ebs = cloud.admin("ebs", home)
    other = make_snapshot(ebs, {})
    token = ebs.list_snapshot_blocks(SnapshotId=many, MaxResults=100)["NextToken"]

    assert refusal(lambda: ebs.list_snapshot_blocks(SnapshotId=other, NextToken=token)) == INVALID_PAGE
    assert refusal(lambda: ebs.list_changed_blocks(SecondSnapshotId=many, NextToken=token)) == INVALID_PAGE
    assert refusal(lambda: ebs.list_snapshot_blocks(SnapshotId=many, NextToken="AAAA")) == INVALID_PAGE


def test_page_sizes_have_limits(cloud: LocalCloud, home: str, many: str) -> None:
    """More than 10,000 is refused; fewer than 100 gives 100 all the same."""
    ebs = cloud.client("ebs", cloud.administrator(home), parameter_validation=False)

    assert refusal(lambda: ebs.list_snapshot_blocks(SnapshotId=many, MaxResults=10_001)) == INVALID_VALUE
    assert refusal(lambda: ebs.list_snapshot_blocks(SnapshotId=many, MaxResults=0)) == INVALID_VALUE
    assert refusal(lambda: ebs.list_snapshot_blocks(SnapshotId=many, StartingBlockIndex=-1)) == INVALID_VALUE
    assert len(ebs.list_snapshot_blocks(SnapshotId=many, MaxResults=5)["Blocks"]) == 100


def test_sixteen_tebibytes_with_two_blocks_are_listed_with_empty_pages(ebs: Any) -> None:
    """A client has to go on until there is no next token."""
    last = 16 * 1024 * 2048 - 1
    snapshot = make_snapshot(ebs, {0: block(1), last: block(2)}, size=16 * 1024)

    found = pages(ebs.list_snapshot_blocks, "Blocks", SnapshotId=snapshot)

    assert [len(page) for page in found] == [1, *[0] * (last // WINDOW - 1), 1]
    assert content(ebs, snapshot) == {0: block(1), last: block(2)}
    assert list(changed(ebs, None, snapshot, StartingBlockIndex=1)) == [last]


def test_changed_blocks_are_told_in_both_directions(ebs: Any) -> None:
    """New ones have no first token, vanished ones no second, changed ones both."""
    older = make_snapshot(ebs, {0: block(1), 1: block(2)})
    newer = ebs.start_snapshot(VolumeSize=1, ParentSnapshotId=older)["SnapshotId"]
    put(ebs, newer, 1, block(3))
    put(ebs, newer, 2, block(4))
    ebs.complete_snapshot(SnapshotId=newer, ChangedBlocksCount=2)

    forward, back = changed(ebs, older, newer), changed(ebs, newer, older)

    def read(found: dict[int, tuple[str | None, str | None]], first: str, second: str) -> dict[int, list[bytes | None]]:
        return {
            index: [
                get(ebs, snapshot, index, token) if token is not None else None
                for snapshot, token in zip((first, second), both, strict=True)
            ]
            for index, both in found.items()
        }

    assert read(forward, older, newer) == {1: [block(2), block(3)], 2: [None, block(4)]}
    assert read(back, newer, older) == {1: [block(3), block(2)], 2: [block(4), None]}
    assert changed(ebs, newer, newer) == {}


def test_without_a_first_snapshot_every_block_is_new(ebs: Any) -> None:
    """The whole of the second one, with its tokens."""
    snapshot = make_snapshot(ebs, {0: block(1), 9: block(2)})

    found = changed(ebs, None, snapshot)

    assert {index: get(ebs, snapshot, index, both[1] or "") for index, both in found.items()} == {
        0: block(1),
        9: block(2),
    }
    assert {both[0] for both in found.values()} == {None}


def test_changed_blocks_come_in_pages(ebs: Any) -> None:
    """In order, from where they are told to start."""
    older = make_snapshot(ebs, {})
    newer = ebs.start_snapshot(VolumeSize=1, ParentSnapshotId=older)["SnapshotId"]
    for index in range(150):
        put(ebs, newer, index, block(0))
    ebs.complete_snapshot(SnapshotId=newer, ChangedBlocksCount=150)

    found = pages(
        ebs.list_changed_blocks, "ChangedBlocks", FirstSnapshotId=older, SecondSnapshotId=newer, MaxResults=100
    )

    assert [len(page) for page in found] == [100, 50]
    assert [one["BlockIndex"] for page in found for one in page] == list(range(150))
    assert list(changed(ebs, older, newer, StartingBlockIndex=140)) == list(range(140, 150))


def test_lineage_goes_through_volumes(ebs: Any, ec2: Any) -> None:
    """A snapshot of a volume made from a snapshot can be compared with it, also when the volume has grown."""
    origin = make_snapshot(ebs, {0: block(1)})
    volume = ec2.create_volume(SnapshotId=origin, Size=2, AvailabilityZone=ZONE)["VolumeId"]

    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]

    assert changed(ebs, origin, snapshot) == changed(ebs, snapshot, origin) == {}
    assert content(ebs, snapshot) == {0: block(1)}
    assert ebs.list_snapshot_blocks(SnapshotId=snapshot)["VolumeSize"] == 2


def test_unrelated_snapshots_cannot_be_compared(ebs: Any, ec2: Any) -> None:
    """Nor a snapshot and its copy."""
    one, other = make_snapshot(ebs, {0: block(1)}), make_snapshot(ebs, {0: block(1)})
    copy = ec2.copy_snapshot(SourceSnapshotId=one, SourceRegion=REGION)["SnapshotId"]

    for first, second in ((one, other), (one, copy)):
        found = refusal(
            lambda first=first, second=second: ebs.list_changed_blocks(FirstSnapshotId=first, SecondSnapshotId=second)
        )
        assert found == ("ValidationException", "UNRELATED_SNAPSHOTS")
    assert content(ebs, copy) == {0: block(1)}


def test_a_block_needs_its_own_token(ebs: Any) -> None:
    """Not another block's, not another snapshot's, not none."""
    one, other = make_snapshot(ebs, {0: block(1), 1: block(2)}), make_snapshot(ebs, {0: block(1)})
    tokens = listed(ebs, one)

    assert get(ebs, one, 0, tokens[0]) == block(1)
    assert refusal(lambda: get(ebs, one, 1, tokens[0])) == INVALID_TOKEN
    assert refusal(lambda: get(ebs, other, 0, tokens[0])) == INVALID_TOKEN
    assert refusal(lambda: get(ebs, one, 7, tokens[0])) == INVALID_TOKEN


def test_a_missing_snapshot_is_told_so(ebs: Any, ec2: Any) -> None:
    """Whichever call asks, and also when it was deleted after it was listed."""
    snapshot = make_snapshot(ebs, {0: block(1)})
    token = listed(ebs, snapshot)[0]
    related = ebs.start_snapshot(VolumeSize=1, ParentSnapshotId=snapshot)["SnapshotId"]
    ebs.complete_snapshot(SnapshotId=related, ChangedBlocksCount=0)

    ec2.delete_snapshot(SnapshotId=snapshot)

    assert refusal(lambda: get(ebs, snapshot, 0, token)) == NOT_FOUND
    assert refusal(lambda: listed(ebs, snapshot)) == NOT_FOUND
    assert refusal(lambda: changed(ebs, snapshot, related)) == NOT_FOUND
    assert refusal(lambda: changed(ebs, related, snapshot)) == NOT_FOUND
    assert content(ebs, related) == {0: block(1)}
