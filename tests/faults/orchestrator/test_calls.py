"""The list of calls that the fault matrices walk through is the list of calls that are made."""

from __future__ import annotations

import pytest
from support.expectations import assert_nothing_left, statuses
from support.scenarios import CALLS, SCENARIOS, begin
from support.stage import Stage

#: The listener's own calls; losing one only means that a report is received again.
_LISTENER = {"receive", "acknowledge"}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_matrices_name_every_call(stage: Stage, scenario: str) -> None:
    """A call that is added to a step has to be added to the matrices."""
    session = begin(stage, scenario)
    stage.run(session)

    made = {call.operation for call in stage.world.script.calls} - _LISTENER
    assert set(CALLS[scenario]) == made
    assert statuses(stage, session) == ["success"] * 2
    assert_nothing_left(stage, session)
