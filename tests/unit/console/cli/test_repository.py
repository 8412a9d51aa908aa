"""`daywork repository`: what repositories hold, entered into the ledger, and what could not be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from support.desk import REGION, REGISTRY, A, Desk

from orchestrator.errors import AccessDenied, CloudError
from orchestrator.importing import Found, Place, Unread
from orchestrator.ledger.points import RestorePoint


class Shelf:
    """A repository with some points (`orchestrator.importing.Shelf`): by id, whose they are; None: damaged."""

    def __init__(self, **held: str | None) -> None:
        self.held = held

    def places(self) -> Iterator[Place | Unread]:
        """See the port."""
        for point in self.held:
            yield Place(account=A, region=REGION, resource_id="i-1", point=point)

    def read(self, places: Sequence[Place]) -> list[Found | Unread]:
        """See the port."""
        return [self._read(one) for one in places]

    def _read(self, place: Place) -> Found | Unread:
        install = self.held[place.point]
        if install is None:
            return Unread(name=str(place), reason="it is damaged", remedy="Look at the bucket")
        point = RestorePoint(
            id=place.point,
            account=A,
            region=REGION,
            resource_id="i-1",
            repository="main",
            session="",
            kind="full",
            status="complete",
            parent=None,
            record={"volumes": []},
            created_at=datetime(2026, 11, 23, tzinfo=UTC),
        )
        return Found(point=point, install=install)


@pytest.fixture
def shelves(monkeypatch: pytest.MonkeyPatch) -> dict[str, Shelf | CloudError]:
    """What each registered repository holds, or why it cannot be opened."""
    found: dict[str, Shelf | CloudError] = {"main": Shelf()}

    def open_shelf(_identities: Any, repository: Any) -> Shelf:
        one = found[repository.name]
        if isinstance(one, CloudError):
            raise one
        return one

    monkeypatch.setattr("console.repositories.open_shelf", open_shelf)
    monkeypatch.setattr("orchestrator.bootstrap.make_identities", lambda *_: None)
    return found


def two_repositories(desk: Desk) -> None:
    """Register a second repository."""
    more = {**REGISTRY["repositories"][0], "name": "second", "url": "s3://second"}
    desk.register({"accounts": [], "repositories": [more]})


def test_what_a_repository_holds_is_entered_and_listed(desk: Desk, shelves: dict[str, Any]) -> None:
    """The second time nothing is left to do."""
    shelves["main"] = Shelf(**{"rp-1": "local", "rp-2": ""})

    first = desk.say("repository", "import", "-o", "json")
    second = desk.say("repository", "import", "-o", "json")
    table = desk.say("repository", "import")

    assert (first.code, second.code, table.code) == (0, 0, 0)
    assert first.document()["repositories"][0]["entered"] == 2
    assert second.document()["repositories"][0] == {
        "name": "main", "entered": 0, "known": 2, "foreign": {}, "unread": [], "error": None,
    }  # fmt: skip
    listed = desk.say("restore-point", "list", "-o", "json").document()["restorePoints"]
    assert sorted(one["id"] for one in listed) == ["rp-1", "rp-2"]
    assert listed[0]["sessionId"] is None


def test_what_cannot_be_entered_is_named_and_the_rest_entered(desk: Desk, shelves: dict[str, Any]) -> None:
    """Exit 8, in a table and as JSON; a repository that cannot be opened does not keep the others from it."""
    two_repositories(desk)
    shelves["main"] = AccessDenied("the reading role cannot be assumed", remedy="See its trust")
    shelves["second"] = Shelf(**{"rp-good": "local", "rp-bad": None, "rp-theirs": "other"})

    said = desk.say("repository", "import", "-o", "json")
    table = desk.say("repository", "import")

    assert (said.code, table.code) == (8, 8)
    by_name = {one["name"]: one for one in said.document()["repositories"]}
    assert by_name["main"]["error"] == {"reason": "the reading role cannot be assumed", "remedy": "See its trust"}
    assert by_name["second"]["entered"] == 1
    assert by_name["second"]["foreign"] == {"other": 1}
    assert [one["name"].rpartition("/")[2] for one in by_name["second"]["unread"]] == ["rp-bad"]
    for words in ("reading role", "rp-bad", "it is damaged", "made by install other", "--adopt"):
        assert words in table.err


def test_points_of_another_install_are_adopted_when_that_is_said(desk: Desk, shelves: dict[str, Any]) -> None:
    """Once; then they are known."""
    shelves["main"] = Shelf(**{"rp-theirs": "other"})

    refused = desk.say("repository", "import", "main")
    adopted = desk.say("repository", "import", "main", "--adopt", "-o", "json")

    assert refused.code == 8
    assert adopted.code == 0
    assert adopted.document()["repositories"][0]["entered"] == 1


def test_only_the_named_repositories_are_read(desk: Desk, shelves: dict[str, Any]) -> None:
    """An unknown name is not found."""
    two_repositories(desk)
    shelves["second"] = Shelf(**{"rp-1": "local"})

    named = desk.say("repository", "import", "second", "-o", "json")
    unknown = desk.say("repository", "import", "third")

    assert [one["name"] for one in named.document()["repositories"]] == ["second"]
    assert unknown.code == 7
    assert "third" in unknown.err


def test_repositories_are_listed_with_what_the_ledger_knows_of_them(desk: Desk) -> None:
    """How many points of how many resources, from when to when."""
    two_repositories(desk)
    early, late = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)
    desk.point("i-1", made=early)
    desk.point("i-1", made=late)
    desk.point("i-2", made=late)

    said = desk.say("repository", "list", "-o", "json").document()["repositories"]

    assert [one["name"] for one in said] == ["main", "second"]
    assert (said[0]["restorePoints"], said[0]["resources"]) == (3, 2)
    assert said[0]["oldestAt"].startswith("2026-11-01")
    assert said[0]["newestAt"].startswith("2026-11-02")
    assert said[1]["restorePoints"] == 0
    assert said[1]["newestAt"] is None
    table = desk.say("repository", "list").out
    assert "main" in table
    assert "s3://second" in table
