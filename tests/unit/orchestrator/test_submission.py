"""The door: what is accepted is committed, what is refused leaves nothing."""

from __future__ import annotations

from typing import Any

import pytest
from support.install import A, B, arn
from support.stage import Stage
from support.stages import *  # noqa: F403 - fixtures are found by their names

from orchestrator import submission
from orchestrator.errors import Conflict, NotFound, Refused
from orchestrator.ledger import sessions
from orchestrator.model.request import read_request

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
        (RESOURCE, {"operation": "rds-backup"}, "operation"),
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


#: request -> the field that is refused; what can only be planned is checked the same way.
PLANNED: list[tuple[dict[str, Any], str]] = [
    ({"operation": "ec2-restore-files", "mode": "production", "id_": "rp-1"}, "resources[0].id"),
    ({"operation": "ec2-archive", "mode": "production", "id_": "rp-1"}, "mode"),
    ({"operation": "efs-index", "mode": "backup", "id_": "fs-00000001"}, "mode"),
    ({"operation": "ec2-retention", "id_": "i-00000001"}, "options.keep"),
    ({"operation": "rds-restore-database", "id_": "rp-1"}, "options.instance"),
    ({"operation": "rds-backup", "id_": "erp", "options": {"databases": ["a"], "excludeDatabases": ["b"]}}, "options"),
    ({"operation": "rds-backup", "id_": "erp", "exclude": [{"account": "nobody", "id": "x"}]}, "exclude[0].account"),
    ({"operation": "rds-backup", "id_": "erp", "exclude": [{"id": "erp"}]}, "exclude[0].id"),
]


@pytest.mark.parametrize(("request_", "field"), PLANNED)
def test_what_is_only_planned_is_checked_by_its_own_row_and_options(
    stage: Stage, request_: dict[str, Any], field: str
) -> None:
    """Each mode by the row of the resource."""
    resource = {"account": A, "region": "eu-west-1", "id": request_["id_"]}
    body = {"source": "test", "id": "1", "resources": [resource], **request_}
    del body["id_"]

    with stage.ledger.read() as tx, pytest.raises(Refused) as caught:
        submission.checked(tx, read_request(body), only_planned=True)

    assert field in {one.field for one in caught.value.problems or [caught.value]}


def test_a_snapshot_may_be_submitted_in_production_mode(stage: Stage) -> None:
    """Files of a snapshot have a row of their own, with modes of their own."""
    resource = {"account": A, "region": "eu-west-1", "id": "snap-00000001"}
    body = {
        "source": "test", "id": "1", "operation": "ec2-restore-files", "mode": "production", "resources": [resource],
    }  # fmt: skip

    with stage.ledger.read() as tx:
        mode, wanted = submission.checked(tx, read_request(body))

    assert (str(mode), [one.resource_id for one in wanted]) == ("production", ["snap-00000001"])
