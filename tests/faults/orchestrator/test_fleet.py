"""What AWS may refuse to a whole fleet, each alone and all together: sessions succeed and launch what they must."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from support import install as values
from support.expectations import assert_nothing_left, statuses
from support.install import HOME, A
from support.scenarios import hurry
from support.stage import Stage

from orchestrator import tags
from orchestrator.errors import Ambiguous, Throttled

RESOURCES = 30


def no_capacity(stage: Stage) -> None:
    """Nothing in two of three subnets, and nothing of the first type."""
    for kind in ("c5.large", "c5a.large", "m5.large"):
        for subnet in ("subnet-backup-1", "subnet-backup-2", "subnet-backup-3"):
            if kind == "c5.large" or subnet != "subnet-backup-3":
                stage.world.capacity[kind, subnet] = 0


def small_quota(stage: Stage) -> None:
    """Quota for 30 % of the workers."""
    stage.world.quota[HOME] = RESOURCES * 3 // 10


def throttled(stage: Stage) -> None:
    """Every launch is refused for its rate, for about two minutes."""
    stage.world.script.fail("launch", Throttled("launch: RequestLimitExceeded"), times=8)


def lost_answers(stage: Stage) -> None:
    """Three launches happen and nobody hears of it."""
    for nth in (1, 2, 3):
        stage.world.script.fail("launch", Ambiguous("launch: no answer"), nth=nth, after=True)


def late_profile(stage: Stage) -> None:
    """EC2 sees the instance profile after forty seconds."""
    stage.world.timing.profile = timedelta(seconds=40)


TROUBLES: dict[str, tuple[Callable[[Stage], None], ...]] = {
    "no capacity": (no_capacity,),
    "small quota": (small_quota,),
    "throttled": (throttled,),
    "lost answers": (lost_answers,),
    "late profile": (late_profile,),
    "all together": (no_capacity, small_quota, throttled, lost_answers, late_profile),
}


@pytest.fixture
def stage(make_stage: Callable[..., Stage]) -> Stage:
    """An installation whose backup account has three subnets."""
    document = values.document()
    for one in document["accounts"][0]["workerConfigurations"]:
        one["subnets"] = [f"subnet-backup-{number}" for number in (1, 2, 3)]
    made = make_stage(document=document)
    made.world.subnets["subnet-backup-3"] = f"{values.REGION}c"
    hurry(made)
    return made


@pytest.mark.parametrize("trouble", TROUBLES)
def test_the_session_succeeds_and_launches_no_more_than_it_must(stage: Stage, trouble: str) -> None:
    """At most five in a hundred instances beyond one for each resource; nothing stays."""
    for make in TROUBLES[trouble]:
        make(stage)
    session = stage.submit(*[stage.instance(A) for _ in range(RESOURCES)])

    stage.run(session)

    assert statuses(stage, session) == ["success"] * RESOURCES
    launched = [one for one in stage.world.instances.values() if one.tags.get(tags.SESSION) == session]
    assert len(launched) <= RESOURCES * 1.05
    assert_nothing_left(stage, session)


def test_five_resources_do_not_wait_for_the_end_of_five_hundred(make_stage: Callable[..., Stage]) -> None:
    """Twenty workers at once, all with the large session when the small one comes: it gets the next that end."""
    document = values.document()
    document["accounts"][0]["limits"] = {"workers": 20}
    stage = make_stage(document=document)
    hurry(stage)
    large = stage.submit(*[stage.instance(A) for _ in range(500)])
    stage.run_until(lambda: sum(1 for _ in stage.world.alive(**{tags.SESSION: large})) == 20, look_often=True)
    small = stage.submit(*[stage.instance(A) for _ in range(5)])

    stage.run(small)

    assert statuses(stage, small) == ["success"] * 5
    assert statuses(stage, large).count("success") <= 60
    assert stage.session(large).status == "running"
