"""What nobody backs up, and verifying what was backed up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.desk import REGION, A, Desk

from orchestrator.unprotected import Answer, Unprotected

AT = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
OLD = Unprotected(
    account=A, region=REGION, resource_id="i-0aaaaaaaaaaaaaaaa", name="shop", reason="it is too old",
    policies=("nightly",), restore_point="rp-1", newest_at=AT,
)  # fmt: skip


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Answer with the first one of a list, and note what was asked behind it."""
    given: list[Any] = [Answer(found=(), seen=4, failures=())]

    def look(_: object, older_than: timedelta, accounts: list[str]) -> Answer:
        given.append((older_than, accounts))
        return given[0]  # type: ignore[no-any-return]  # the first one is the answer

    monkeypatch.setattr("orchestrator.unprotected.unprotected", look)
    return given


def test_all_protected_is_a_zero(desk: Desk, answers: list[Any]) -> None:
    """A day and two hours unless something else is asked for."""
    said = desk.say("unprotected")

    assert (said.code, said.out) == (0, "")
    assert "4 instances seen, 0 not protected" in said.err
    assert answers[1] == (timedelta(hours=26), [])


def test_what_is_not_protected_is_shown_and_ends_with_a_warning(desk: Desk, answers: list[Any]) -> None:
    """As a table and as a document; accounts may be named."""
    answers[0] = Answer(found=(OLD,), seen=4, failures=())

    table = desk.say("unprotected", "production-a", "--older-than", "2d")
    found = desk.say("unprotected", "-o", "json")

    assert (table.code, found.code) == (3, 3)
    assert answers[1] == (timedelta(days=2), [A])
    for part in ("production-a", "i-0aaaaaaaaaaaaaaaa", "shop", "nightly", "2026-11-20 02:00:00", "it is too old"):
        assert part in table.out
    (one,) = found.document()["unprotected"]
    assert one["newestAt"] == "2026-11-20T02:00:00.000Z"
    assert one["restorePoint"] == "rp-1"


def test_where_nobody_could_look_is_no_success(desk: Desk, answers: list[Any]) -> None:
    """Even when nothing was found elsewhere."""
    answers[0] = Answer(found=(), seen=0, failures=("2, eu-west-1: the role cannot be assumed",))

    said = desk.say("unprotected")

    assert said.code == 8
    assert "the role cannot be assumed" in said.err


def test_a_wrong_age_is_told_by_its_own_name(desk: Desk) -> None:
    """Not by that of another duration."""
    said = desk.say("unprotected", "--older-than", "soon")

    assert said.code == 2
    assert "--older-than" in said.err


def test_verifying_asks_for_a_health_check_of_the_point(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the repository that holds it; an unknown point is not found."""
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr("console.cli.verify.begin", lambda request, **_: asked.append(request))
    point = desk.point()

    said = desk.say("restore-point", "verify", point)
    unknown = desk.say("restore-point", "verify", "rp-unknown")

    assert (said.code, unknown.code) == (0, 7)
    (request,) = asked
    assert request["operation"] == "ec2-health-check"
    assert request["repository"] == "main"
    assert [one["id"] for one in request["resources"]] == [point]
