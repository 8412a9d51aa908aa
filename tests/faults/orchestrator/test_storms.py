"""Errors that last: AWS is asked a bounded number of times, and sessions end as soon as it answers again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.expectations import assert_nothing_left, statuses
from support.install import A, B
from support.scenarios import begin, hurry
from support.stage import Stage

from orchestrator.errors import Ambiguous, CloudError, Throttled
from orchestrator.model.status import ResourceStatus

_STORM = timedelta(minutes=5)
#: What a session with a worker in each of two accounts may ask in that time: looks at a place and endings in it, each
#: once in some seconds however many workers there are, and steps with delays that grow to half a minute.
_MOST_CALLS = 240


@pytest.mark.parametrize(
    ("scenario", "error", "phase"),
    [
        ("backup-backup", Throttled("Rate exceeded"), None),
        ("production-backup", Ambiguous("no answer"), None),
        ("backup-restore", Throttled("Rate exceeded"), ResourceStatus.RUNNING),
        ("production-restore", Ambiguous("no answer"), ResourceStatus.RUNNING),
        ("backup-backup", Ambiguous("no answer"), ResourceStatus.TEARING_DOWN),
        ("production-backup", Throttled("Rate exceeded"), ResourceStatus.TEARING_DOWN),
    ],
    ids=lambda value: type(value).__name__.lower() if isinstance(value, CloudError) else str(value),
)
def test_five_minutes_of_refusals_are_waited_out(
    stage: Stage, scenario: str, error: CloudError, phase: ResourceStatus | None
) -> None:
    """Every call is refused from some phase on: the session is slower and not failed, and nobody asks in a loop."""
    session = begin(stage, scenario)
    if phase is not None:
        stage.run_until(lambda: phase in statuses(stage, session), look_often=True)
    before = len(stage.world.script.calls)
    stage.world.script.fail("*", error, times=None)
    stage.elapse(_STORM)
    asked = len(stage.world.script.calls) - before
    stage.world.script.heal()

    stage.run(session)

    assert 2 < asked < _MOST_CALLS
    assert statuses(stage, session) == ["success"] * 2
    assert_nothing_left(stage, session)


def test_a_role_that_refuses_is_not_asked_again_and_again(stage: Stage) -> None:
    """A wrong external id is wrong the next time as well: two resources are one question, and the others go on."""
    hurry(stage)
    stage.world.roles[A, "DayworkBackup"].external_id = "another-one"

    session = stage.submit(stage.instance(A), stage.instance(A), stage.instance(B))
    stage.run(session)

    asked = [call for call in stage.world.script.calls if call.operation == "check" and call.account == A]
    assert len(asked) <= 2
    assert statuses(stage, session) == ["failed", "failed", "success"]
    assert_nothing_left(stage, session)
