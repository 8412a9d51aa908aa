"""Which policies cover a resource, and which of them has it: pure, so every case is a line."""

from __future__ import annotations

from typing import Any

import pytest
from support import install as values
from support.install import HOME, OTHER_REGION, REGION, A, B

from orchestrator import planner
from orchestrator.model.account import Registry
from orchestrator.model.request import SessionRequest
from orchestrator.model.status import DeploymentMode
from orchestrator.planner.claim import Claim
from orchestrator.planner.collision import covering, outranking
from orchestrator.planner.selection import Subject, excluded_by, spread


def context(**request: Any) -> planner.Context:
    """Return what planning knows of a request over account A."""
    body = {"source": "test", "id": "1", "operation": "ec2-backup", **request}
    if not body.keys() & {"resources", "select"}:
        body["resources"] = [{"account": A, "region": REGION, "id": "i-1"}]
    return planner.Context(
        request=SessionRequest.model_validate(body),
        mode=DeploymentMode.BACKUP,
        registry=Registry.model_validate(values.document()),
        install="test",
        home_account=HOME,
    )


def selector(account: str = A, region: str = REGION, **tags: str) -> dict[str, Any]:
    """Return a selector by tags."""
    return {"account": account, "region": region, "tags": tags}


def subject(name: str = "i-1", account: str = A, region: str = REGION, **tags: str) -> Subject:
    """Return a resource with tags."""
    return Subject(account=account, region=region, resource_id=name, tags=tags)


NAMED = {"resources": [{"account": "production-a", "region": REGION, "id": "i-1"}]}
DAILY = {"select": [selector(backup="daily")]}
ALL = {"select": [selector("*", "*", backup="*")]}

#: documents of policies by name, tags of the resource -> those that cover it, the winner first.
CASES: list[tuple[dict[str, dict[str, Any]], dict[str, str], list[str]]] = [
    ({"a": NAMED}, {}, ["a"]),
    ({"a": DAILY}, {}, []),
    ({"a": DAILY, "b": NAMED}, {"backup": "daily"}, ["a", "b"]),
    ({"a": DAILY, "b": {**NAMED, "priority": 1}}, {"backup": "daily"}, ["b", "a"]),
    ({"b": ALL, "a": DAILY, "c": {**ALL, "priority": -1}}, {"backup": "daily"}, ["a", "b", "c"]),
    ({"a": {**ALL, "exclude": [{"tags": {"env": "test"}}]}}, {"backup": "x", "env": "test"}, []),
    ({"a": {**NAMED, "exclude": [{"account": B, "id": "i-1"}]}}, {}, ["a"]),
    ({"a": {**NAMED, "exclude": [{"id": "i-1"}]}}, {}, []),
    ({"a": {"select": [selector(B, backup="daily")]}}, {"backup": "daily"}, []),
    ({"a": {"select": [selector(A, OTHER_REGION, backup="daily")]}}, {"backup": "daily"}, []),
]


@pytest.mark.parametrize(("documents", "tags", "expected"), CASES)
def test_policies_that_cover_a_resource_are_ranked(
    documents: dict[str, dict[str, Any]], tags: dict[str, str], expected: list[str]
) -> None:
    """The higher priority first, among equals the earlier name."""
    claims = [Claim.of(name, document) for name, document in documents.items()]

    assert [one.policy for one in covering(context(), claims, subject(**tags))] == expected


def test_a_policy_gives_way_to_those_before_it_alone() -> None:
    """Never to itself, and never when it lays no claim to the resource."""
    claims = [Claim.of(name, {**NAMED, "priority": number}) for number, name in enumerate("abc")]

    found = {name: [one.policy for one in outranking(context(), claims, name, subject())] for name in "abcd"}

    assert found == {"a": ["c", "b"], "b": ["c"], "c": [], "d": []}
    assert str(claims[1]) == "b (priority 1)"


def test_a_selector_for_all_is_one_for_each_account_and_region() -> None:
    """Accounts that have not the role to look with are passed over; one that is named stays."""
    document = values.document()
    del document["accounts"][2]["roles"]["backup"]
    known = context(select=[selector("*", "*", backup="daily"), selector("production-b", REGION, backup="daily")])
    poorer = planner.Context(
        request=known.request, mode=known.mode, registry=Registry.model_validate(document), install="test",
        home_account=HOME,
    )  # fmt: skip

    found = [(one.account, one.region) for one in spread(poorer)]

    assert found == [
        (HOME, REGION), (HOME, OTHER_REGION), (A, REGION), (A, OTHER_REGION), (B, REGION),
    ]  # fmt: skip


def test_an_exclusion_holds_where_it_says() -> None:
    """Everywhere, in one account, in one Region; by id or by all of its tags."""
    known = context(exclude=[{"id": "i-9"}, {"account": "production-b", "tags": {"env": "tes*"}}])

    assert excluded_by(known, subject("i-9")) is known.request.exclude[0]
    assert excluded_by(known, subject("i-1", B, env="test")) is known.request.exclude[1]
    assert excluded_by(known, subject("i-1", A, env="test")) is None
    assert excluded_by(known, subject("i-1", B, env="live")) is None
