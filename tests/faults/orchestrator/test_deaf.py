"""Nobody takes reports for longer than any heartbeat: workers that speak all the while are not called silent."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.expectations import assert_nothing_left, record, statuses
from support.scenarios import begin
from support.stage import Stage

from orchestrator.ledger import hearing

LONG = timedelta(minutes=12)


def deafen(stage: Stage) -> None:
    """Let the listener have heard everything until now, and nothing from here on."""
    hearing.note(stage.ledger)
    stage.listen = lambda: False  # type: ignore[method-assign]


def hear_again(stage: Stage) -> None:
    """Let reports be taken again."""
    del stage.listen  # type: ignore[method-assign]


@pytest.mark.parametrize("status", ["booting", "running"])
def test_an_outage_of_the_listener_fails_no_worker(stage: Stage, status: str) -> None:
    """Their reports wait in the queue for longer than boot and heartbeat may take; the first attempt succeeds."""
    session = begin(stage, "backup-backup")
    stage.agents.manners.ready = timedelta(seconds=20)
    stage.agents.manners.work = timedelta(minutes=20)
    stage.run_until(lambda: statuses(stage, session) == [status] * 2)
    deafen(stage)

    stage.elapse(LONG)
    assert statuses(stage, session) == [status] * 2
    hear_again(stage)
    stage.run(session)

    assert statuses(stage, session) == ["success"] * 2
    assert [one["attempts"] for one in record(stage, session)["resources"]] == [1, 1]
    assert_nothing_left(stage, session)


def test_who_stays_silent_is_given_up_once_somebody_listens(stage: Stage) -> None:
    """The outage only puts it off."""
    session = begin(stage, "backup-backup")
    stage.agents.manners.work = timedelta(minutes=20)
    stage.run_until(lambda: statuses(stage, session) == ["running"] * 2)
    deafen(stage)
    stage.agents.manners.silent_at_work = True
    stage.elapse(LONG)

    hear_again(stage)
    hearing.note(stage.ledger)
    stage.run(session)

    assert statuses(stage, session) == ["failed"] * 2
    assert "was not heard of" in record(stage, session)["resources"][0]["reason"]
    assert_nothing_left(stage, session)
