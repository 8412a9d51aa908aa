"""Somebody does something by hand, or AWS does something nobody asked for, in the middle of a session."""

from __future__ import annotations

from datetime import timedelta

from support.expectations import assert_nothing_left, record, statuses
from support.install import A, B
from support.scenarios import begin
from support.stage import Stage

from orchestrator import tags


def workers(stage: Stage, session: str) -> list:  # type: ignore[type-arg]
    """Return the session's instances."""
    return [one for one in stage.world.instances.values() if one.tags.get(tags.SESSION) == session]


def temporary_role(stage: Stage, session: str) -> tuple[str, str]:
    """Return the key of the session's temporary role in the world."""
    return next(key for key, one in stage.world.roles.items() if one.tags.get(tags.SESSION) == session)


def snapshots(stage: Stage, session: str) -> list:  # type: ignore[type-arg]
    """Return the session's snapshots."""
    return [one for one in stage.world.snapshots.values() if one.tags.get(tags.SESSION) == session]


def test_a_worker_terminated_by_hand_while_it_boots_fails_its_resource(stage: Stage) -> None:
    """It ends before its agent is ready; the other one goes on."""
    stage.world.timing.boot = timedelta(minutes=2)
    session = begin(stage, "backup-backup")
    stage.world.timing.boot = timedelta(minutes=2)
    stage.run_until(lambda: len(workers(stage, session)) == 2)

    stage.world.terminate(workers(stage, session)[0].id)
    stage.run(session)

    assert sorted(statuses(stage, session)) == ["failed", "success"]
    assert record(stage, session)["status"] == "warning"
    assert_nothing_left(stage, session)


def test_a_worker_terminated_by_hand_at_work_fails_its_resource(stage: Stage) -> None:
    """It ends in the middle of its job."""
    session = begin(stage, "production-backup")
    stage.agents.manners.work = timedelta(minutes=10)
    stage.run_until(lambda: statuses(stage, session) == ["running"] * 2)

    stage.world.terminate(workers(stage, session)[0].id)
    stage.run(session)

    assert sorted(statuses(stage, session)) == ["failed", "success"]
    assert_nothing_left(stage, session)


def test_a_temporary_role_removed_by_hand_before_the_launch_fails_the_session_within_minutes(stage: Stage) -> None:
    """EC2 never sees the profile; after five minutes that is no propagation any more."""
    session = begin(stage, "backup-backup")
    stage.world.timing.snapshot = timedelta(minutes=1)
    stage.run_until(lambda: bool(snapshots(stage, session)))
    key = temporary_role(stage, session)
    begun = stage.clock.now()
    del stage.world.roles[key], stage.world.profiles[key]

    stage.run(session)

    assert statuses(stage, session) == ["failed"] * 2
    assert stage.clock.now() - begun < timedelta(minutes=12)
    assert_nothing_left(stage, session)


def test_a_temporary_role_removed_by_hand_after_the_launch_is_not_missed_at_the_end(stage: Stage) -> None:
    """Removing what is gone is done."""
    session = begin(stage, "backup-backup")
    stage.agents.manners.work = timedelta(minutes=3)
    stage.run_until(lambda: statuses(stage, session) == ["running"] * 2)
    key = temporary_role(stage, session)
    del stage.world.roles[key], stage.world.profiles[key]

    stage.run(session)

    assert_nothing_left(stage, session)


def test_a_snapshot_that_ends_in_an_error_fails_its_resource_with_ec2s_reason(stage: Stage) -> None:
    """The key was disabled, or whatever EC2 says."""
    session = begin(stage, "backup-backup")
    stage.world.timing.snapshot = timedelta(minutes=3)
    stage.run_until(lambda: len(snapshots(stage, session)) == 3)

    broken = next(one for one in snapshots(stage, session) if one.account == A)
    broken.error = "The key is disabled"
    stage.run(session)

    first, second = stage.resources(session)
    assert (str(first.status), str(second.status)) == ("failed", "success")
    assert broken.id in (first.reason or "")
    assert "The key is disabled" in (first.reason or "")
    assert first.remedy
    assert_nothing_left(stage, session)


def test_a_snapshot_deleted_by_hand_fails_its_resource(stage: Stage) -> None:
    """Somebody cleans up too early."""
    session = begin(stage, "backup-backup")
    stage.world.timing.snapshot = timedelta(minutes=10)
    stage.run_until(lambda: len(snapshots(stage, session)) == 3)

    del stage.world.snapshots[next(one.id for one in snapshots(stage, session) if one.account == A)]
    stage.run(session)

    assert statuses(stage, session) == ["failed", "success"]
    assert "does not exist any more" in (stage.resources(session)[0].reason or "")
    assert_nothing_left(stage, session)


def test_snapshots_that_never_complete_are_given_up_after_their_deadline(stage: Stage) -> None:
    """Twelve hours, then no longer."""
    session = begin(stage, "backup-backup")
    stage.world.timing.snapshot = timedelta(days=9)
    begun = stage.clock.now()

    stage.run(session)

    assert statuses(stage, session) == ["failed"] * 2
    assert timedelta(hours=12) <= stage.clock.now() - begun < timedelta(hours=13)
    assert_nothing_left(stage, session)


def test_a_volume_detached_between_plan_and_snapshot_fails_its_resource(stage: Stage) -> None:
    """A backup without one of its volumes is none."""
    session = begin(stage, "backup-backup")
    instance = next(one for one in stage.world.instances.values() if len(one.volumes) == 2)
    stage.run_until(lambda: stage.resources(session)[0].plan is not None, look_often=True)
    lost = instance.volumes[1].volume_id

    stage.world.detach(instance, lost)
    stage.run(session)

    assert statuses(stage, session) == ["failed", "success"]
    assert f"volume {lost} was not part of the snapshot" in (stage.resources(session)[0].reason or "")
    assert_nothing_left(stage, session)


def test_an_instance_terminated_between_plan_and_snapshot_fails_its_resource(stage: Stage) -> None:
    """It is gone; the others go on."""
    gone, stays = stage.instance(A), stage.instance(B)
    session = stage.submit(gone, stays)
    stage.run_until(lambda: stage.resources(session)[0].plan is not None, look_often=True)

    del stage.world.instances[gone.split("/")[2]]
    stage.run(session)

    assert statuses(stage, session) == ["failed", "success"]
    assert_nothing_left(stage, session)


def test_an_instance_that_ec2_has_forgotten_counts_as_gone(stage: Stage) -> None:
    """The control plane was away for hours; EC2 lists the ended workers no more."""
    session = begin(stage, "backup-backup")
    stage.agents.manners.ends = True
    stage.run_until(
        lambda: all(life.order is not None for life in stage.agents.lives.values()) and bool(stage.agents.lives)
    )
    stage.clock.pass_by(timedelta(seconds=30))
    stage.agents.run()
    for one in workers(stage, session):
        stage.world.terminate(one.id)
    stage.clock.pass_by(timedelta(hours=5))

    stage.run(session)

    assert statuses(stage, session) == ["success"] * 2
    assert_nothing_left(stage, session)


def test_a_control_plane_that_was_away_for_a_day_ends_what_it_had_begun(stage: Stage) -> None:
    """Nothing ran for a day in the middle of everything."""
    session = begin(stage, "backup-backup")
    stage.run_until(lambda: "launching" in statuses(stage, session), look_often=True)
    stage.messages.clear()
    stage.clock.pass_by(timedelta(days=1))

    stage.run(session)

    assert_nothing_left(stage, session)
