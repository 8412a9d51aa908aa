"""AWS refuses a removal for good: the session ends all the same, says so, and names what remains."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.expectations import record, statuses
from support.scenarios import begin
from support.stage import Stage

from orchestrator.errors import AccessDenied

NO = AccessDenied("UnauthorizedOperation: not allowed", remedy="Allow it")


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("terminate", "instance"),
        ("absent", "order"),
        ("absent_snapshot", "snapshot"),
        ("delete_role", "role"),
        ("delete_profile", "role"),
        ("temporary_names", "role"),
    ],
)
def test_what_cannot_be_removed_is_named_and_the_session_ends_with_a_warning(
    stage: Stage, operation: str, kind: str
) -> None:
    """Half an hour of trying, then `warning`, with what remains in the receipt."""
    # A backup keeps its snapshots; those that a restore fills are removed.
    session = begin(stage, "backup-restore" if kind == "snapshot" else "backup-backup")
    stage.world.script.fail(operation, NO, times=None)
    stage.world.script.fail("absent_key", NO, times=None)
    begun = stage.clock.now()

    stage.run(session)

    shown = record(stage, session)
    assert shown["status"] == "warning"
    assert kind in {one["kind"] for one in shown["receipt"]["remaining"]}
    assert timedelta(minutes=30) < stage.clock.now() - begun < timedelta(minutes=80)
    assert "not everything could be removed" in (stage.session(session).reason or "")
    if kind != "role":
        assert statuses(stage, session) == ["warning"] * 2
        assert all("could not be removed" in one["reason"] and one["remedy"] for one in shown["resources"])


def test_the_reason_of_a_failure_is_kept_when_its_removal_is_refused_too(stage: Stage) -> None:
    """The first problem is what a person has to read."""
    session = begin(stage, "backup-backup")
    stage.agents.manners.outcome = "failed"
    stage.world.script.fail("absent_snapshot", NO, times=None)

    stage.run(session)

    assert statuses(stage, session) == ["failed"] * 2
    assert {one.reason for one in stage.resources(session)} == {"a block could not be read"}
    assert record(stage, session)["receipt"]["remaining"]


def test_a_role_that_cannot_be_assumed_any_more_does_not_keep_a_session_open(stage: Stage) -> None:
    """The trust of the deploying role is withdrawn while workers run."""
    session = begin(stage, "backup-backup")
    stage.agents.manners.work = timedelta(minutes=2)
    stage.run_until(lambda: statuses(stage, session) == ["running"] * 2)

    stage.world.roles["111111111111", "DayworkWorkerDeployment"].is_trusting = False
    stage.run(session)

    assert record(stage, session)["status"] == "warning"
    assert {one["kind"] for one in record(stage, session)["receipt"]["remaining"]} == {"instance", "role"}


def test_a_mistake_of_our_own_in_a_removal_does_not_keep_a_session_open(stage: Stage) -> None:
    """The adapter raises what it should not, for ever."""
    session = begin(stage, "backup-restore")
    stage.world.script.fail("absent_snapshot", KeyError("a mistake"), times=None)
    stage.world.script.fail("delete_role", KeyError("a mistake"), times=None)

    stage.run(session)

    assert record(stage, session)["status"] == "warning"
    assert {one["kind"] for one in record(stage, session)["receipt"]["remaining"]} == {"snapshot", "role"}
