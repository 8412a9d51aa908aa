"""The promises of `orchestrator.ports.Compute`."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import pytest
from support.labs import CODES, FIRST, Lab

from orchestrator import tags
from orchestrator.errors import AccessDenied, Ambiguous, Missing, NotVisibleYet
from orchestrator.ports import Compute, NewVolume

_numbers = itertools.count(1)
UNKNOWN = "i-0123456789abcdef0"


@pytest.fixture
def backup(lab: Lab) -> Compute:
    """EC2 as the backup role sees it."""
    return lab.cloud.compute(lab.access(FIRST, "backup"))


@pytest.fixture
def restore(lab: Lab) -> Compute:
    """EC2 as the restore role sees it."""
    return lab.cloud.compute(lab.access(FIRST, "restore"))


def marks() -> Mapping[str, str]:
    """Return tags that nothing else carries."""
    return tags.resource_tags("test", f"s-{next(_numbers)}", 0, 1)


def test_instances_are_described_with_their_volumes_and_unknown_ones_left_out(lab: Lab, backup: Compute) -> None:
    """What does not exist is no error."""
    known = lab.source(FIRST)

    found = backup.instances([known, UNKNOWN])

    assert list(found) == [known]
    assert found[known].state == "running"
    assert [volume.size_gib for volume in found[known].volumes] == [1, 1]
    root = found[known].configuration["rootDevice"]
    assert root in {volume.device for volume in found[known].volumes}


def test_an_instance_without_user_data_has_none_and_an_unknown_one_is_missing(lab: Lab, backup: Compute) -> None:
    """A backup records it where there is any."""
    assert backup.user_data(lab.source(FIRST)) is None
    with pytest.raises(Missing):
        backup.user_data(UNKNOWN)


def test_instances_are_found_by_all_of_their_tags(lab: Lab, backup: Compute) -> None:
    """One tag that does not fit is enough to be left out; stars stand for any text."""
    number = f"n{next(_numbers)}"
    known = lab.source(FIRST, team=number, backup="daily")

    assert backup.find_instances({"team": number, "backup": "daily"}) == [known]
    assert backup.find_instances({"team": number, "backup": "da*y"}) == [known]
    assert backup.find_instances({"team": number, "backup": "weekly"}) == []


def test_the_same_token_is_the_same_workers(lab: Lab, backup: Compute) -> None:
    """Repeating a launch launches nothing."""
    call = lab.call(FIRST, count=2)

    first, second = backup.launch(call), backup.launch(call)

    assert len(first) == 2
    assert {one.instance_id for one in first} == {one.instance_id for one in second}


def test_a_launch_whose_answer_is_lost_is_repeated_without_a_second_effect(lab: Lab, backup: Compute) -> None:
    """`Ambiguous`, then the same token: the workers that there are."""
    call = lab.call(FIRST)
    lab.lose_answer("launch")

    with pytest.raises(Ambiguous):
        backup.launch(call)
    made = backup.launch(call)

    session = call.tags[tags.SESSION]
    assert [one.instance_id for one in backup.workers(session=session)] == [one.instance_id for one in made]


@pytest.mark.parametrize("code", CODES)
def test_refusals_arrive_as_the_class_that_says_what_to_do(lab: Lab, backup: Compute, code: str) -> None:
    """AWS's code is kept beside our word."""
    call = lab.call(FIRST)
    lab.refuse("launch", code)

    with pytest.raises(CODES[code]) as caught:
        backup.launch(call)

    assert type(caught.value) is CODES[code]
    assert caught.value.code == code
    assert backup.launch(call), "it was refused once"


def test_an_unknown_profile_is_not_visible_yet(lab: Lab, backup: Compute) -> None:
    """A new profile and one that never was look alike to EC2."""
    with pytest.raises(NotVisibleYet):
        backup.launch(lab.call(FIRST, profile="dw-nobody"))


def test_workers_are_listed_by_session_and_by_id(lab: Lab, backup: Compute) -> None:
    """Unknown ids are left out."""
    call = lab.call(FIRST)
    made = backup.launch(call)[0].instance_id

    assert [one.instance_id for one in backup.workers(session=call.tags[tags.SESSION])] == [made]
    assert [one.instance_id for one in backup.workers(ids=[made, UNKNOWN])] == [made]
    assert made in {one.instance_id for one in backup.workers()}
    assert backup.workers(session="s-nobody") == []


def test_the_end_of_a_workers_console_can_be_read(lab: Lab, backup: Compute) -> None:
    """The role may: the instance carries our tag. Only so much of it as fits a line of the log."""
    made = backup.launch(lab.call(FIRST))[0].instance_id

    assert len(backup.console_output(made)) <= 1500


def test_terminating_is_done_however_often_and_for_whatever(lab: Lab, backup: Compute) -> None:
    """Unknown, terminating and terminated instances beside a living one."""
    made = backup.launch(lab.call(FIRST))[0].instance_id

    backup.terminate([UNKNOWN, made])
    backup.terminate([made])
    lab.until(lambda: backup.workers(ids=[made])[0].state == "terminated")
    backup.terminate([made, UNKNOWN])
    backup.terminate([])


def test_an_instance_that_is_not_ours_is_not_terminated(lab: Lab, backup: Compute) -> None:
    """The right to terminate ends at this install's tag."""
    theirs = lab.source(FIRST)

    with pytest.raises(AccessDenied):
        backup.terminate([theirs])

    assert backup.instances([theirs])[theirs].state == "running"


def test_a_set_of_snapshots_leaves_out_what_is_excluded(lab: Lab, backup: Compute) -> None:
    """Data volumes by id, the root volume by a word of its own."""
    source = lab.source(FIRST)
    described = backup.instances([source])[source]
    root = next(one for one in described.volumes if one.device == described.configuration["rootDevice"])
    data = next(one for one in described.volumes if one is not root)

    def taken(*, volumes: tuple[str, ...] = (), boot: bool = False) -> set[str]:
        made = backup.make_snapshots(source, exclude_volumes=volumes, exclude_boot=boot, tags=marks(), description="x")
        return {one.volume_id for one in made}

    assert taken() == {root.volume_id, data.volume_id}
    assert taken(volumes=(data.volume_id,)) == {root.volume_id}
    assert taken(boot=True) == {data.volume_id}


def test_snapshots_are_found_by_their_tags_when_the_answer_was_lost(lab: Lab, backup: Compute) -> None:
    """One call, one set: nobody repeats it unasked."""
    source, mine = lab.source(FIRST), marks()
    lab.lose_answer("make_snapshots")

    with pytest.raises(Ambiguous):
        backup.make_snapshots(source, exclude_volumes=(), exclude_boot=False, tags=mine, description="x")

    lab.until(lambda: len(backup.snapshots(tags=mine)) == 2)


def test_a_snapshot_that_is_gone_is_gone(lab: Lab, backup: Compute) -> None:
    """The second deletion is a success; describing leaves it out."""
    made = backup.make_snapshots(
        lab.source(FIRST), exclude_volumes=(), exclude_boot=False, tags=marks(), description="x"
    )[0].snapshot_id
    lab.until(lambda: backup.snapshots(ids=[made])[0].state == "completed")

    backup.absent_snapshot(made)
    backup.absent_snapshot(made)

    assert backup.snapshots(ids=[made]) == []
    assert backup.snapshots() == []


def test_snapshots_of_an_instance_that_does_not_exist_are_missing(backup: Compute) -> None:
    """`Missing`, which is permanent."""
    with pytest.raises((Missing, AccessDenied)):
        backup.make_snapshots(UNKNOWN, exclude_volumes=(), exclude_boot=False, tags=marks(), description="x")


def test_an_empty_snapshot_is_started_once_for_each_token(restore: Compute) -> None:
    """It stays pending until somebody fills it."""
    token, mine = f"start-{next(_numbers)}", marks()

    first = restore.start_snapshot(token=token, size_gib=1, tags=mine, encrypted=False, kms_key=None)
    second = restore.start_snapshot(token=token, size_gib=1, tags=mine, encrypted=False, kms_key=None)

    assert first.snapshot_id == second.snapshot_id
    assert first.state == "pending"
    assert [one.snapshot_id for one in restore.snapshots(tags=mine)] == [first.snapshot_id]


def test_a_volume_is_made_once_for_each_token_and_is_gone_when_it_is_gone(
    lab: Lab, backup: Compute, restore: Compute
) -> None:
    """From a completed snapshot; deleting it twice is a success."""
    source = lab.source(FIRST)
    zone = backup.instances([source])[source].availability_zone
    snapshot = backup.make_snapshots(source, exclude_volumes=(), exclude_boot=True, tags=marks(), description="x")[
        0
    ].snapshot_id
    lab.until(lambda: backup.snapshots(ids=[snapshot])[0].state == "completed")
    wanted = NewVolume(
        token=f"volume-{next(_numbers)}", snapshot_id=snapshot, availability_zone=zone, type="gp3", size_gib=1,
        tags=marks(),
    )  # fmt: skip
    lab.lose_answer("make_volume")

    made = {restore.make_volume(wanted).volume_id} if not _is_lost(restore, wanted) else set()
    made.add(restore.make_volume(wanted).volume_id)

    assert len(made) == 1
    volume = made.pop()
    assert [one.volume_id for one in restore.volumes(tags=wanted.tags)] == [volume]
    lab.until(lambda: restore.volumes(ids=[volume])[0].state == "available")
    restore.absent_volume(volume)
    restore.absent_volume(volume)
    lab.until(lambda: restore.volumes(ids=[volume]) == [])


def _is_lost(restore: Compute, wanted: NewVolume) -> bool:
    """Make the volume; whether the answer was lost. A client may repeat a call that carries a token by itself."""
    try:
        restore.make_volume(wanted)
    except Ambiguous:
        return True
    return False


def test_a_volume_is_attached_once(lab: Lab, backup: Compute, restore: Compute) -> None:
    """Attached there already is a success."""
    source = lab.source(FIRST)
    zone = backup.instances([source])[source].availability_zone
    snapshot = backup.make_snapshots(source, exclude_volumes=(), exclude_boot=True, tags=marks(), description="x")[
        0
    ].snapshot_id
    lab.until(lambda: backup.snapshots(ids=[snapshot])[0].state == "completed")
    volume = restore.make_volume(
        NewVolume(
            token=f"volume-{next(_numbers)}", snapshot_id=snapshot, availability_zone=zone, type="gp3", size_gib=1,
            tags=marks(),
        )
    ).volume_id  # fmt: skip
    lab.until(lambda: restore.volumes(ids=[volume])[0].state == "available")

    restore.attach_volume(volume, source, "/dev/sdp")
    restore.attach_volume(volume, source, "/dev/sdp")

    lab.until(lambda: restore.volumes(ids=[volume])[0].state == "in-use")


def test_the_zone_of_a_subnet_is_told_and_an_unknown_one_is_missing(lab: Lab, backup: Compute) -> None:
    """`Missing` for what is not there."""
    assert backup.zone_of_subnet(lab.call(FIRST).subnet).startswith("eu-west-1")
    with pytest.raises(Missing):
        backup.zone_of_subnet("subnet-0123456789abcdef0")
