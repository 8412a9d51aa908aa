"""A Celery worker dies in the middle of a launch and is started again: nobody waits for what its dead life promised."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.expectations import assert_nothing_left, statuses
from support.fakes.script import Died
from support.scenarios import begin
from support.stage import Stage

from orchestrator.ledger.holders import Holder


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
def test_a_launch_goes_on_as_soon_as_its_celery_worker_is_back(stage: Stage, is_after: bool) -> None:  # noqa: FBT001 - a parameter
    """The promise to be calling lasts a minute and a half; known to be dead, its holder loses it at once."""
    stage.ledger.holder = Holder("steps@here", "life-1")
    session = begin(stage, "production-backup")
    stage.world.script.fail("launch", Died(), after=is_after)
    stage.run_until(lambda: stage.deaths == 1)
    died_at, calls = stage.clock.now(), stage.world.script.count("launch")

    stage.ledger.holder = Holder("steps@here", "life-2")
    stage.run_until(lambda: stage.world.script.count("launch") > calls)

    assert stage.clock.now() - died_at < timedelta(seconds=30)
    stage.run(session)
    assert statuses(stage, session) == ["success"] * 2
    assert_nothing_left(stage, session)
