"""Who may do what with the blocks of which snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from support.blocks import block, changed, content, get, listed, make_snapshot, put, refusal
from support.cloud import REGION, Keys, LocalCloud, code

SNAPSHOTS = f"arn:aws:ec2:{REGION}::snapshot/*"
DENIED = ("AccessDeniedException", "UNAUTHORIZED_ACCOUNT")
NOT_FOUND = ("ResourceNotFoundException", "SNAPSHOT_NOT_FOUND")
OURS = [{"Key": "daywork:install", "Value": "one"}]
THEIRS = [{"Key": "daywork:install", "Value": "two"}]


def allow(actions: list[str], condition: Mapping[str, Any] | None = None, resource: str = SNAPSHOTS) -> dict[str, Any]:
    """Return a policy that allows actions."""
    statement: dict[str, Any] = {"Effect": "Allow", "Action": actions, "Resource": resource}
    if condition is not None:
        statement["Condition"] = condition
    return {"Version": "2012-10-17", "Statement": [statement]}


def user(cloud: LocalCloud, account: str, policy: Mapping[str, Any]) -> Any:
    """Return an EBS client of a user with one policy."""
    keys: Keys = cloud.user(account, "worker", policy)
    return cloud.client("ebs", keys)


def test_another_account_cannot_reach_a_snapshot(cloud: LocalCloud, ebs: Any) -> None:
    """Not even its administrator: for that account the snapshot does not exist."""
    snapshot = make_snapshot(ebs, {0: block(1)})
    pending = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    token = listed(ebs, snapshot)[0]
    stranger = cloud.account()
    other = cloud.admin("ebs", stranger)

    assert refusal(lambda: listed(other, snapshot)) == NOT_FOUND
    assert refusal(lambda: changed(other, None, snapshot)) == NOT_FOUND
    assert refusal(lambda: get(other, snapshot, 0, token)) == NOT_FOUND
    assert refusal(lambda: put(other, pending, 0, block(1))) == NOT_FOUND
    assert refusal(lambda: other.complete_snapshot(SnapshotId=pending, ChangedBlocksCount=0)) == NOT_FOUND
    assert refusal(lambda: other.start_snapshot(VolumeSize=1, ParentSnapshotId=snapshot)) == NOT_FOUND
    described = code(lambda: cloud.admin("ec2", stranger).describe_snapshots(SnapshotIds=[snapshot]))
    assert described == "InvalidSnapshot.NotFound"


def test_a_shared_snapshot_can_be_read_but_not_written(cloud: LocalCloud, ebs: Any, ec2: Any) -> None:
    """By the account that it was shared with, alone."""
    friend = cloud.account()
    snapshot = make_snapshot(ebs, {0: block(1)})
    ec2.modify_snapshot_attribute(
        SnapshotId=snapshot, Attribute="createVolumePermission", OperationType="add", UserIds=[friend]
    )

    assert content(cloud.admin("ebs", friend), snapshot) == {0: block(1)}
    assert refusal(lambda: put(cloud.admin("ebs", friend), snapshot, 0, block(2))) == NOT_FOUND
    assert refusal(lambda: listed(cloud.admin("ebs", cloud.account()), snapshot)) == NOT_FOUND


def test_reading_is_allowed_by_tag(cloud: LocalCloud, account: str, ebs: Any) -> None:
    """The data role of an install reads the install's snapshots and no others; both of a comparison count."""
    ours, theirs = (make_snapshot(ebs, {0: block(1)}, Tags=tags) for tags in (OURS, THEIRS))
    child = ebs.start_snapshot(VolumeSize=1, ParentSnapshotId=theirs, Tags=OURS)["SnapshotId"]
    ebs.complete_snapshot(SnapshotId=child, ChangedBlocksCount=0)
    token = listed(ebs, theirs)[0]
    reader = user(
        cloud,
        account,
        allow(
            ["ebs:ListSnapshotBlocks", "ebs:ListChangedBlocks", "ebs:GetSnapshotBlock"],
            {"StringEquals": {"aws:ResourceTag/daywork:install": "one"}},
        ),
    )

    assert content(reader, ours) == {0: block(1)}
    assert len(changed(reader, None, ours)) == 1
    assert refusal(lambda: listed(reader, theirs)) == DENIED
    assert refusal(lambda: get(reader, theirs, 0, token)) == DENIED
    assert refusal(lambda: changed(reader, theirs, child)) == DENIED
    assert refusal(lambda: put(reader, ours, 0, block(2))) == DENIED
    assert refusal(lambda: listed(reader, "snap-00000000000000000")) == DENIED


def test_rights_follow_tags_as_they_are_now(cloud: LocalCloud, account: str, ebs: Any, ec2: Any) -> None:
    """A tag that is taken away takes the right with it."""
    snapshot = make_snapshot(ebs, {0: block(1)}, Tags=OURS)
    reader = user(
        cloud,
        account,
        allow(["ebs:ListSnapshotBlocks"], {"StringEquals": {"aws:ResourceTag/daywork:install": "one"}}),
    )
    before = len(listed(reader, snapshot))

    ec2.delete_tags(Resources=[snapshot], Tags=OURS)

    assert before == 1
    assert refusal(lambda: listed(reader, snapshot)) == DENIED


@pytest.mark.parametrize(
    ("tags", "allowed"),
    [(OURS, True), (THEIRS, False), ([], False), ([*OURS, {"Key": "more", "Value": "x"}], True)],
    ids=["ours", "theirs", "none", "more"],
)
def test_starting_is_allowed_by_the_tags_that_are_asked_for(
    cloud: LocalCloud, account: str, ec2: Any, tags: list[dict[str, str]], *, allowed: bool
) -> None:
    """A snapshot without the install's tag is not even started."""
    writer = user(
        cloud,
        account,
        allow(["ebs:StartSnapshot", "ec2:CreateTags"], {"StringEquals": {"aws:RequestTag/daywork:install": "one"}}),
    )
    given: dict[str, Any] = {"VolumeSize": 1, **({"Tags": tags} if tags else {})}

    if allowed:
        writer.start_snapshot(**given)
    else:
        assert refusal(lambda: writer.start_snapshot(**given)) == DENIED

    assert len(ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]) == int(allowed)


def test_tags_at_the_start_need_the_right_to_tag(cloud: LocalCloud, account: str) -> None:
    """As at every creation; without tags it is not asked for."""
    writer = user(cloud, account, allow(["ebs:StartSnapshot"]))

    assert refusal(lambda: writer.start_snapshot(VolumeSize=1, Tags=OURS)) == DENIED
    assert writer.start_snapshot(VolumeSize=1)["Status"] == "pending"


def test_writing_is_allowed_by_tag(cloud: LocalCloud, account: str, ebs: Any) -> None:
    """Blocks and completion of the install's snapshots; one right is not the other."""
    ours, theirs = (ebs.start_snapshot(VolumeSize=1, Tags=tags)["SnapshotId"] for tags in (OURS, THEIRS))
    writer = user(
        cloud,
        account,
        allow(["ebs:PutSnapshotBlock"], {"StringEquals": {"aws:ResourceTag/daywork:install": "one"}}),
    )

    put(writer, ours, 0, block(1))

    assert refusal(lambda: put(writer, theirs, 0, block(1))) == DENIED
    assert refusal(lambda: writer.complete_snapshot(SnapshotId=ours, ChangedBlocksCount=1)) == DENIED


def test_a_policy_may_name_one_snapshot(cloud: LocalCloud, account: str, ebs: Any) -> None:
    """By its ARN, which has no account."""
    one, other = make_snapshot(ebs, {0: block(1)}), make_snapshot(ebs, {})
    reader = user(cloud, account, allow(["ebs:ListSnapshotBlocks"], resource=f"arn:aws:ec2:{REGION}::snapshot/{one}"))

    assert list(listed(reader, one)) == [0]
    assert refusal(lambda: listed(reader, other)) == DENIED
