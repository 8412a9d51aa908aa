"""How long an absence proves nothing: the setting decides, because only who runs a cloud knows how late it lists."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from support.expectations import assert_nothing_left, statuses
from support.install import install
from support.scenarios import begin
from support.stage import Stage

from orchestrator.errors import Ambiguous
from orchestrator.services import Deadlines


@pytest.mark.parametrize("visible", [timedelta(seconds=20), timedelta(minutes=2)])
def test_snapshots_that_nobody_sees_are_asked_for_again_when_they_would_be_listed(
    make_stage: Callable[..., Stage], visible: timedelta
) -> None:
    """The call was lost before it had an effect: no sooner than that, and soon after it."""
    stage = make_stage(install=install(deadlines=Deadlines(visible=visible)))
    session = begin(stage, "backup-backup")
    stage.world.script.fail("make_snapshots", Ambiguous("no answer"), times=1)
    begun = stage.clock.now()

    stage.run(session)

    assert statuses(stage, session) == ["success"] * 2
    assert stage.world.script.count("make_snapshots") == 3
    assert visible <= stage.clock.now() - begun <= visible + timedelta(seconds=60)
    assert_nothing_left(stage, session)
