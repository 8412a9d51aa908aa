"""The sweeper: everything that nobody owns goes, and nothing else is touched."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from support.expectations import assert_nothing_left
from support.fakes.world import FakeInstance, FakeSnapshot, FakeVolume
from support.install import HOME, INSTALL, REGION, A, B
from support.stage import Stage

from orchestrator import tags
from orchestrator.ledger import schema
from orchestrator.model.status import SessionStatus
from orchestrator.sweeper.sweep import Pass, sweep

UNKNOWN = "s-01ARZ3NDEKTSV4RRFFQ69G5FAV"


def ours(session: str | None = UNKNOWN, install: str = INSTALL) -> dict[str, str]:
    """Return the tags of something of an install's session."""
    return {tags.INSTALL: install} | ({tags.SESSION: session} if session else {})


def leave_worker(stage: Stage, account: str, marks: dict[str, str]) -> str:
    """Leave an instance behind; returns its id."""
    one = FakeInstance(
        id=stage.world.new_id("i"), account=account, region=REGION, type="c5.large", subnet="subnet", zone=f"{REGION}a",
        launched_at=stage.clock.now() - timedelta(hours=1), tags=marks,
    )  # fmt: skip
    stage.world.instances[one.id] = one
    return one.id


def leave_snapshot(stage: Stage, account: str, marks: dict[str, str]) -> str:
    """Leave a snapshot behind; returns its id."""
    begun = stage.clock.now() - timedelta(hours=1)
    one = FakeSnapshot(
        id=stage.world.new_id("snap"), account=account, region=REGION, volume_id="vol-1", size_gib=8, started_at=begun,
        tags=marks, completed_at=begun,
    )  # fmt: skip
    stage.world.snapshots[one.id] = one
    return one.id


def leave_volume(stage: Stage, account: str, marks: dict[str, str]) -> str:
    """Leave a volume behind; returns its id."""
    one = FakeVolume(
        id=stage.world.new_id("vol"), account=account, region=REGION, zone=f"{REGION}a", size_gib=8, type="gp3",
        made_at=stage.clock.now() - timedelta(hours=1), tags=marks,
    )  # fmt: skip
    stage.world.volumes[one.id] = one
    return one.id


def leave_role(stage: Stage, session: str) -> str:
    """Leave a temporary role with its profile behind; returns its name."""
    name = tags.temporary_role_name(session)
    stage.world.add_role(HOME, name, path=tags.path_of(INSTALL), profile=True, tags=ours(session))
    return name


def alive(stage: Stage, instance: str) -> bool:
    """Whether an instance has not been told to end."""
    return stage.world.instances[instance].ends_at is None


def passes(stage: Stage, count: int = 3) -> list[Pass]:
    """Run some passes, a minute and a bit apart."""
    done = []
    for _ in range(count):
        done.append(sweep(stage.services))
        stage.clock.pass_by(timedelta(seconds=70))
    return done


def trusted(stage: Stage) -> Stage:
    """Have the ledger sweep once while the cloud is empty: from then on the cloud is its own."""
    assert sweep(stage.services).distrust is None
    return stage


def ended_session(stage: Stage) -> str:
    """Run a session to its end; returns its id."""
    session = stage.submit(stage.instance())
    stage.run(session)
    assert stage.session(session).status is SessionStatus.SUCCESS
    return session


def test_orphans_of_every_kind_are_marked_first_and_then_removed(stage: Stage) -> None:
    """Two passes: nothing goes in the first, everything in the second, the role after its worker."""
    trusted(stage)
    worker, role = leave_worker(stage, HOME, ours()), leave_role(stage, UNKNOWN)
    stage.world.bucket[f"orders/{UNKNOWN}/AROA:i-1.json"] = "{}"

    first = sweep(stage.services)
    assert {one.done for one in first.findings} == {"marked"}
    assert alive(stage, worker)
    stage.clock.pass_by(timedelta(seconds=70))
    passes(stage)

    assert not alive(stage, worker)
    assert (HOME, role) not in stage.world.roles
    assert (HOME, role) not in stage.world.profiles
    assert not [key for key in stage.world.bucket if UNKNOWN in key]
    assert sweep(stage.services).findings == ()


def test_what_an_ended_session_left_is_removed_and_written_into_its_log(stage: Stage) -> None:
    """The ledger knows that nobody wants it any more: data goes too."""
    trusted(stage)
    session = ended_session(stage)
    snapshot, volume = leave_snapshot(stage, A, ours(session)), leave_volume(stage, B, ours(session))

    passes(stage)

    assert snapshot not in stage.world.snapshots
    assert volume not in stage.world.volumes
    with stage.ledger.read() as tx:
        lines = [row.text for row in tx.rows(sa.select(schema.log_lines.c.text))]
    assert any(snapshot in line for line in lines)
    assert_nothing_left(stage, session)


def test_data_of_a_session_that_the_ledger_does_not_know_is_only_reported(stage: Stage) -> None:
    """A snapshot or volume may be somebody's only copy."""
    trusted(stage)
    snapshot, volume = leave_snapshot(stage, A, ours()), leave_volume(stage, A, ours())

    last = passes(stage)[-1]

    assert {(one.name, one.done) for one in last.findings} == {(snapshot, "reported"), (volume, "reported")}
    assert snapshot in stage.world.snapshots
    assert volume in stage.world.volumes


def test_look_alikes_of_others_are_not_even_seen(stage: Stage) -> None:
    """Another install's tags, a similar path, a similar name, no session: none of it is touched."""
    trusted(stage)
    theirs = [
        leave_worker(stage, HOME, ours(install="test2")),
        leave_worker(stage, HOME, {"daywork": INSTALL, "Name": "daywork-worker"}),
        leave_worker(stage, HOME, ours(session=None)),
    ]
    stage.world.add_role(HOME, "dw-lookalike", path="/daywork/test2/", tags={})
    stage.world.add_role(HOME, "DayworkSomething", path="/", tags=ours())

    passes(stage)

    assert all(alive(stage, one) for one in theirs)
    assert (HOME, "dw-lookalike") in stage.world.roles
    assert (HOME, "DayworkSomething") in stage.world.roles


def test_a_running_session_is_left_alone_at_every_moment(stage: Stage) -> None:
    """Sweeping between all deliveries changes nothing for a session under way."""
    trusted(stage)
    session = stage.submit(stage.instance(), stage.instance(B))

    while not stage.session(session).status.is_final:
        if not stage.turn():
            stage.pass_time()
        assert not [one for one in sweep(stage.services).findings if one.done == "removed"]

    assert stage.session(session).status is SessionStatus.SUCCESS
    assert_nothing_left(stage, session)


def test_restored_volumes_are_never_swept(stage: Stage) -> None:
    """What a receipt says is kept stays, however often it is looked at."""
    trusted(stage)
    ended_session(stage)
    with stage.ledger.read() as tx:
        point = tx.execute(sa.select(schema.restore_points.c.id)).scalar_one()
    session = stage.submit(f"{A}/{REGION}/{point}", operation="ec2-restore-volume")
    stage.run(session)
    assert stage.session(session).status is SessionStatus.SUCCESS

    stage.clock.pass_by(timedelta(hours=2))
    found = [one for done in passes(stage) for one in done.findings]

    assert found == []
    assert_nothing_left(stage, session)


@pytest.mark.parametrize("age", ["new", "restored"])
def test_a_ledger_that_may_have_forgotten_only_reports_until_a_person_adopts_it(stage: Stage, age: str) -> None:
    """A new ledger, or one older than the cloud remembers, removes nothing by itself."""
    trusted(stage)
    passes(stage)
    worker = leave_worker(stage, HOME, ours())
    with stage.ledger.write() as tx:
        if age == "new":
            tx.execute(sa.delete(schema.settings))
        else:
            tx.execute(sa.update(schema.settings).values(value={**_epoch(stage), "passes": 1}))

    done = passes(stage)

    assert all(one.distrust for one in done)
    assert alive(stage, worker)

    sweep(stage.services, adopt=True)
    stage.clock.pass_by(timedelta(seconds=70))
    passes(stage)
    assert not alive(stage, worker)


def _epoch(stage: Stage) -> dict[str, object]:
    name, _, passed = stage.world.bucket["ledger/epoch"].partition(":")
    return {"name": name, "passes": int(passed)}


def test_a_dry_run_changes_nothing(stage: Stage) -> None:
    """It says what a pass would find."""
    trusted(stage)
    worker = leave_worker(stage, HOME, ours())
    before = dict(stage.world.bucket)

    for _ in range(3):
        found = sweep(stage.services, dry_run=True)
        stage.clock.pass_by(timedelta(seconds=70))

    assert [one.name for one in found.findings] == [worker]
    assert alive(stage, worker)
    assert stage.world.bucket == before
