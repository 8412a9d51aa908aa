"""Selecting: over accounts and Regions, less what is excluded, and one policy's resource is not another's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from support.expectations import assert_nothing_left, statuses
from support.install import REGION, A, B
from support.scenarios import hurry
from support.stage import Stage

from orchestrator.errors import Refused
from orchestrator.ledger import schedules, sessions
from orchestrator.preflight.look import forecast

EVERYWHERE: list[dict[str, Any]] = [{"account": "*", "region": "*", "tags": {"backup": "daily"}}]


def name(resource: str) -> str:
    """Return a resource's own id."""
    return resource.split("/")[2]


def policy(stage: Stage, title: str, priority: int = 0, **document: Any) -> None:
    """Enter a policy into the ledger, as `daywork policy apply` does."""
    body = {"name": title, "operation": "ec2-backup", "priority": priority, "select": EVERYWHERE, **document}
    with stage.ledger.write() as tx:
        schedules.put(tx, title, body, next_at=None, by="test")


def run_of(stage: Stage, title: str, *resources: str, **request: Any) -> str:
    """Submit a run of a policy."""
    session = stage.submit(*resources, select=request.pop("select", EVERYWHERE), **request)
    with stage.ledger.write() as tx:
        tx.execute(
            sessions.schema.sessions.update().values(policy=title).where(sessions.schema.sessions.c.id == session)
        )
    return session


def test_one_selector_finds_what_carries_the_tags_in_every_account(stage: Stage) -> None:
    """An account whose role cannot be taken fails alone, and is in the record."""
    hurry(stage)
    daily = [stage.instance(A, tags={"backup": "daily"}), stage.instance(B, tags={"backup": "daily"})]
    stage.instance(A, tags={"backup": "weekly"})
    session = stage.submit(select=EVERYWHERE)

    stage.run(session)

    assert sorted(one.resource_id for one in stage.resources(session)) == sorted(map(name, daily))
    assert set(statuses(stage, session)) == {"success"}
    assert_nothing_left(stage, session)


def test_what_is_excluded_is_not_selected_and_a_named_one_is_skipped(stage: Stage) -> None:
    """By id and by tags; the session is a success without it."""
    hurry(stage)
    kept = stage.instance(A, tags={"backup": "daily"})
    by_id = stage.instance(A, tags={"backup": "daily"})
    stage.instance(A, tags={"backup": "daily", "env": "test"})
    named = stage.instance(B, tags={"env": "test"})
    exclude = [{"id": name(by_id)}, {"tags": {"env": "test"}}]
    session = stage.submit(named, select=EVERYWHERE, exclude=exclude)

    stage.run(session)

    found = {one.resource_id: (str(one.status), one.reason) for one in stage.resources(session)}
    assert found == {name(named): ("skipped", "excluded by env=test"), name(kept): ("success", None)}
    assert stage.session(session).status == "success"
    assert_nothing_left(stage, session)


def test_a_resource_that_is_named_and_excluded_by_its_id_is_refused(stage: Stage) -> None:
    """Somebody made a mistake; nothing is started."""
    instance = stage.instance(A)

    with pytest.raises(Refused) as caught:
        stage.submit(instance, exclude=[{"id": name(instance)}])

    assert caught.value.field == "exclude[0].id"


def test_of_two_policies_the_one_of_higher_priority_has_the_resource(stage: Stage) -> None:
    """The other one skips it and says whose it is; what only the other one wants it processes."""
    hurry(stage)
    shared = stage.instance(A, tags={"backup": "daily"})
    own = stage.instance(B, tags={"backup": "weekly"})
    weekly = [*EVERYWHERE, {"account": B, "region": REGION, "tags": {"backup": "weekly"}}]
    policy(stage, "nightly", 10)
    policy(stage, "weekly", select=weekly)
    first = run_of(stage, "weekly", select=weekly)
    second = run_of(stage, "nightly")

    stage.run(first, second)

    found = {one.resource_id: (str(one.status), one.reason) for one in stage.resources(first)}
    assert found[name(own)] == ("success", None)
    assert found[name(shared)][0] == "skipped"
    assert f"left to policy nightly (priority 10), whose session {second}" in (found[name(shared)][1] or "")
    assert statuses(stage, second) == ["success"]
    assert stage.session(first).status == "success"
    assert_nothing_left(stage, first, second)


def test_a_policy_whose_session_has_ended_collides_with_nobody(stage: Stage) -> None:
    """One after the other both process it."""
    hurry(stage)
    stage.instance(A, tags={"backup": "daily"})
    policy(stage, "nightly", 10)
    policy(stage, "weekly")
    first = run_of(stage, "nightly")
    stage.run(first)
    second = run_of(stage, "weekly")

    stage.run(second)

    assert statuses(stage, first) + statuses(stage, second) == ["success", "success"]


def test_a_plan_says_which_policy_has_a_resource(stage: Stage) -> None:
    """Two policies over one resource are allowed; and what is left out is no refusal."""
    instance = stage.instance(A, tags={"backup": "daily"})
    policy(stage, "nightly", 10)
    policy(stage, "weekly")
    account, region, resource = instance.split("/")
    body = {"source": "t", "id": "1", "operation": "ec2-backup"}
    named = [{"account": account, "region": region, "id": resource}]

    found = forecast(stage.services, {**body, "resources": named})
    excluded = forecast(stage.services, {**body, "resources": named, "exclude": [{"tags": {"backup": "daily"}}]})

    notes = [finding.reason for finding in found.resources[0].findings]
    assert "policies nightly (priority 10) and weekly (priority 0) cover it" in " ".join(notes)
    assert "nightly has it" in " ".join(notes)
    assert (excluded.resources[0].status, excluded.is_refused) == ("skipped", False)


def test_a_resource_that_waits_is_left_to_a_policy_that_comes_later_and_goes_before(stage: Stage) -> None:
    """It waited for a session by hand; meanwhile one came that has the higher priority."""
    hurry(stage)
    stage.agents.manners.work = timedelta(minutes=5)
    instance = stage.instance(A, tags={"backup": "daily"})
    policy(stage, "nightly", 10)
    policy(stage, "weekly")
    by_hand = stage.submit(instance)
    stage.run_until(lambda: statuses(stage, by_hand) == ["running"])
    low = run_of(stage, "weekly")
    stage.run_until(
        lambda: "writing the same" in (stage.resources(low)[0].reason or "") if stage.resources(low) else False
    )
    high = run_of(stage, "nightly")

    stage.run(by_hand, low, high)

    assert statuses(stage, by_hand) + statuses(stage, low) + statuses(stage, high) == ["success", "skipped", "success"]
    assert f"whose session {high} processes it" in (stage.resources(low)[0].reason or "")
    assert stage.session(low).status == "success"
    assert_nothing_left(stage, by_hand, low, high)
