"""The door: what is accepted is committed, what is refused leaves nothing."""

from __future__ import annotations

from typing import Any

import pytest
from support.install import A, B, arn
from support.stage import Stage
from support.stages import *  # noqa: F403 - fixtures are found by their names

from orchestrator.errors import Conflict, NotFound, Refused
from orchestrator.ledger import sessions

RESOURCE = f"{A}/eu-west-1/i-00000000000000001"


def count(stage: Stage) -> int:
    """Count the sessions."""
    with stage.ledger.read() as tx:
        return len(sessions.recent(tx))


@pytest.mark.parametrize(
    ("resource", "request_", "field"),
    [
        ("999999999999/eu-west-1/i-1", {}, "resources[0].account"),
        (f"{A}/us-east-1/i-1", {}, "resources[0].region"),
        (RESOURCE, {"operation": "ec2-bakcup"}, "operation"),
        (RESOURCE, {"operation": "efs-index"}, "operation"),
        (RESOURCE, {"repository": "other"}, "repository"),
        (RESOURCE, {"options": {"full": "maybe"}}, "options.full"),
        (RESOURCE, {"options": {"speed": 1}}, "options.speed"),
        (RESOURCE, {"roles": {"operation": arn("999999999999", "x")}}, "roles.operation"),
        (RESOURCE, {"roles": {"operation": arn(A, "x"), "worker": arn(B, "y")}, "mode": "production"}, "roles.worker"),
        (f"{A}/eu-west-1/rp-1", {"operation": "ec2-restore-volume"}, "resources[0].id"),
    ],
)
def test_a_refused_request_names_its_field_and_leaves_no_session(
    stage: Stage, resource: str, request_: dict[str, Any], field: str
) -> None:
    """And says what to do."""
    with pytest.raises(Refused) as caught:
        stage.submit(resource, **request_)

    assert caught.value.field == field
    assert caught.value.remedy
    assert count(stage) == 0
    assert not stage.messages


def test_the_same_request_twice_is_one_session(stage: Stage) -> None:
    """However often a producer sends it."""
    first = stage.submit(RESOURCE, id="same")

    assert stage.submit(RESOURCE, id="same") == first
    assert count(stage) == 1


def test_another_request_under_the_same_id_is_refused_with_the_sessions_id(stage: Stage) -> None:
    """The first one stays as it is."""
    first = stage.submit(RESOURCE, id="same")

    with pytest.raises(Conflict, match=first):
        stage.submit(RESOURCE, id="same", mode="production")


def test_a_broker_that_is_away_does_not_lose_an_accepted_request(stage: Stage) -> None:
    """It is in the ledger; the reconciler publishes it."""
    stage.dispatch.is_down = True
    instance = stage.instance(A)

    session = stage.submit(instance)
    stage.dispatch.is_down = False
    stage.run(session)

    assert stage.session(session).status == "success"


def test_an_account_may_be_named(stage: Stage) -> None:
    """The same resource by name and by id is one."""
    name = stage.instance(A).split("/")[2]
    session = stage.submit(f"production-a/eu-west-1/{name}", f"{A}/eu-west-1/{name}")

    assert [one.account for one in stage.resources(session)] == [A]


def test_an_unknown_session_is_not_found(stage: Stage) -> None:
    """With where to look."""
    with pytest.raises(NotFound) as caught:
        stage.session("s-nobody")
    assert caught.value.remedy
