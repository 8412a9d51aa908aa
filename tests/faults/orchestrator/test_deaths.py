"""The process dies at any call, before or after its effect: another one finds everything and ends it."""

from __future__ import annotations

import pytest
from support.expectations import assert_nothing_left, statuses
from support.fakes.script import Died
from support.install import A, B
from support.scenarios import EVERYWHERE, SCENARIOS, begin
from support.stage import Stage

from orchestrator import retry


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("scenario", "operation"), EVERYWHERE)
def test_a_death_at_any_call_costs_time_and_nothing_else(
    stage: Stage,
    scenario: str,
    operation: str,
    is_after: bool,  # noqa: FBT001 - a parameter of the matrix
) -> None:
    """Death at the first call and at the third; the message is lost with the process."""
    session = begin(stage, scenario)
    stage.world.script.fail(operation, Died(), after=is_after)
    stage.world.script.fail(operation, Died(), nth=3, after=is_after)

    stage.run(session)

    assert stage.deaths
    assert statuses(stage, session) == ["success"] * 2
    assert_nothing_left(stage, session)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_process_that_dies_at_every_seventh_call_gets_there(stage: Stage, scenario: str) -> None:
    """Death after death, each message delivered again as Celery does; no step dies at the same call each time."""
    session = begin(stage, scenario)
    stage.redelivers = True
    for number in range(7, 200, 7):
        stage.world.script.fail("*", Died(), nth=number, after=number % 14 == 0)

    stage.run(session)

    assert stage.deaths > 5
    assert statuses(stage, session) == ["success"] * 2
    assert_nothing_left(stage, session)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_death_between_any_two_transactions_costs_time_and_nothing_else(
    stage: Stage, scenario: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every seventh transaction is the last of its process: committed, or rolled back.

    Chance may have it that one step meets them all; that nobody tries for ever is held by another test.
    """
    monkeypatch.setattr(retry, "DEATHS", 1000)
    session = begin(stage, scenario)
    stage.dies_every = 7

    stage.run(session)

    assert stage.deaths > 5
    assert statuses(stage, session) == ["success"] * 2
    assert_nothing_left(stage, session)


@pytest.mark.parametrize("scenario", ["backup-restore", "production-restore"])
def test_a_step_that_kills_whoever_tries_it_fails_its_resource_alone(stage: Stage, scenario: str) -> None:
    """It is tried some times, then given up with the reason; the session goes on with the others."""
    session = begin(stage, scenario)
    stage.world.script.fail("start_snapshot", Died(), account=A, times=None)

    stage.run(session)

    assert stage.deaths == retry.DEATHS
    by_account = {one.account: one for one in stage.resources(session)}
    assert by_account[A].status == "failed"
    assert f"the {retry.DEATHS} processes that tried it have died" in (by_account[A].reason or "")
    assert by_account[B].status == "success"
    assert_nothing_left(stage, session)
