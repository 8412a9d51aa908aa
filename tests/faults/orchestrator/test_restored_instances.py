"""Restores of entire instances under faults: deaths, stops, and what the sweeper finds of them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.expectations import assert_nothing_left, statuses
from support.fakes.script import Call, Died
from support.fakes.world import FakeImage, FakeInstance
from support.install import INSTALL, REGION, A, B
from support.scenarios import hurry, restore_point
from support.stage import Stage

from orchestrator import retry, tags
from orchestrator.ports import NewImage
from orchestrator.sweeper.sweep import sweep

#: What a restore of an instance calls beside what every restore calls, in its order.
CALLS = (
    "make_image",
    "images",
    "make_machine",
    "machines",
    "stop_machine",
    "tag_machine",
    "outlive",
    "release_machine",
    "absent_image",
)
UNKNOWN = "s-01ARZ3NDEKTSV4RRFFQ69G5FAV"


def begin(stage: Stage) -> str:
    """Submit restores of two instances, of two volumes and of one, into another account; they end stopped."""
    hurry(stage)
    points = [restore_point(stage, stage.instance(A, 8, 20)), restore_point(stage, stage.instance(A))]
    return stage.submit(
        *(f"{B}/{REGION}/{point}" for point in points),
        operation="ec2-restore-instance",
        options={"subnet": "subnet-production-b-1", "securityGroups": ["sg-production-b"], "powerOn": False},
    )


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("operation", CALLS)
def test_a_death_at_any_call_costs_time_and_nothing_else(
    stage: Stage,
    operation: str,
    is_after: bool,  # noqa: FBT001 - a parameter of the matrix
) -> None:
    """Whoever comes next finds image and instance by name, token and mark."""
    session = begin(stage)
    stage.world.script.fail(operation, Died(), after=is_after)
    stage.world.script.fail(operation, Died(), nth=3, after=is_after)

    stage.run(session)

    assert stage.deaths
    assert statuses(stage, session) == ["success"] * 2
    assert_nothing_left(stage, session)


def test_a_death_between_any_two_transactions_costs_time_and_nothing_else(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every seventh transaction is the last of its process: committed, or rolled back; one step may meet them all."""
    monkeypatch.setattr(retry, "DEATHS", 1000)
    session = begin(stage)
    stage.dies_every = 7

    stage.run(session)

    assert stage.deaths > 5
    assert statuses(stage, session) == ["success"] * 2
    assert_nothing_left(stage, session)


@pytest.mark.parametrize("operation", CALLS)
def test_a_stop_in_the_middle_of_any_call_leaves_nothing_half_made(stage: Stage, operation: str) -> None:
    """The instance is there whole, or not at all."""
    session = begin(stage)
    before, asked = stage.world.script.on_call, []

    def on_call(call: Call) -> None:
        assert before is not None
        before(call)
        if call.operation == operation and not asked:
            asked.append(stage.clock.now())
            stage.stop(session)

    stage.world.script.on_call = on_call
    stage.run(session)

    assert asked
    assert set(statuses(stage, session)) <= {"success", "stopped"}
    assert_nothing_left(stage, session)


def left(stage: Stage, session: str) -> tuple[str, str]:
    """Leave an instance under restore and an image behind; return their ids."""
    begun = stage.clock.now() - timedelta(hours=1)
    instance = FakeInstance(
        id=stage.world.new_id("i"), account=A, region=REGION, type="t3.small", subnet="subnet", zone=f"{REGION}a",
        launched_at=begun, tags=tags.restoring_tags(INSTALL, session, 0, 1),
    )  # fmt: skip
    asked = NewImage(
        name=f"image-{session}", root_device="/dev/xvda", devices=(), architecture="x86_64",
        tags=tags.session_tags(INSTALL, session),
    )  # fmt: skip
    image = FakeImage(id=stage.world.new_id("ami"), account=A, region=REGION, made_at=begun, asked=asked)
    stage.world.instances[instance.id] = instance
    stage.world.images[image.id] = image
    return instance.id, image.id


def passes(stage: Stage) -> None:
    """Let the sweeper come by three times, as the ledger that the cloud belongs to."""
    for number in range(3):
        sweep(stage.services, adopt=number == 0)
        stage.clock.pass_by(timedelta(minutes=2))


def test_what_a_known_session_left_half_restored_is_swept(stage: Stage) -> None:
    """Its instance ends, its image goes; the instance that it has completed is its owner's."""
    session = begin(stage)
    stage.run(session)
    instance, image = left(stage, session)
    kept = {one.id for one in stage.world.instances.values() if "daywork:restoring" not in one.tags}

    passes(stage)

    assert stage.world.instances[instance].ends_at is not None
    assert image not in stage.world.images
    assert all(
        stage.world.instances[one].ends_at is None or tags.INSTALL in stage.world.instances[one].tags for one in kept
    )


def test_an_instance_of_a_session_that_nobody_knows_is_reported_and_stays(stage: Stage) -> None:
    """It holds data: this ledger may have forgotten it."""
    instance, _ = left(stage, UNKNOWN)

    passes(stage)
    found = sweep(stage.services)

    assert stage.world.instances[instance].ends_at is None
    assert [(one.kind, one.done) for one in found.findings if one.name == instance] == [
        ("restored-instance", "reported")
    ]
