"""A repository is made once, opened by anybody with its key, and left alone when it is of another kind."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.repositories import CHAIN, FakeKeys, Watched, memory_repository

from agent.repository.errors import Damaged, Missing, Unusable
from agent.repository.layout import Chain
from agent.repository.repository import open_repository


def test_a_repository_that_is_not_there_is_made_only_when_asked() -> None:
    """A restore does not make an empty repository."""
    objects = Watched()

    with pytest.raises(Missing, match=r"repo\.json"):
        open_repository(objects, FakeKeys())

    made = open_repository(objects, FakeKeys(), create=True)
    assert open_repository(objects, FakeKeys()).id == made.id


def test_two_that_make_it_at_the_same_moment_get_the_same_one() -> None:
    """The slower one takes the faster one's."""
    objects = Watched()
    ids: list[str] = []

    def before(what: str, key: str) -> None:
        if what == "put" and key == "repo.json" and not ids:
            ids.append("")
            ids.append(memory_repository(objects).id)

    objects.before = before

    slower = memory_repository(objects)

    assert slower.id == ids[1]


@pytest.mark.parametrize(
    "change", [{"format": 2}, {"blockSize": 4096}, {"segmentBlocks": 8192}, {"features": ["later"]}]
)
def test_a_repository_of_another_kind_is_not_touched(change: dict[str, Any]) -> None:
    """A newer format, other sizes or an unknown feature: the agent says so and goes no further."""
    objects = Watched()
    memory_repository(objects)
    document = json.loads(bytes(objects.get("repo.json")))
    objects.put("repo.json", json.dumps({**document, **change}).encode())

    with pytest.raises(Unusable, match="does not know"):
        open_repository(objects, FakeKeys(), create=True)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"id": 3}'])
def test_a_damaged_beginning_is_named(content: bytes) -> None:
    """A repository is not made anew over a damaged one."""
    objects = Watched()
    memory_repository(objects)
    objects.put("repo.json", content)

    with pytest.raises((Damaged, Unusable), match=r"repo\.json"):
        open_repository(objects, FakeKeys(), create=True)


def test_chains_and_points_are_listed_from_their_heads() -> None:
    """Only what has a head exists."""
    objects = Watched()
    repository = memory_repository(objects)
    for key in (
        f"rp/{CHAIN.path}/rp-2", f"rp/{CHAIN.path}/rp-1", "rp/333333333333/eu-west-1/fs-1/rp-9", "map/1/2/3/x",
    ):  # fmt: skip
        objects.put(key, b"head")

    assert list(repository.points(CHAIN)) == ["rp-1", "rp-2"]
    assert list(repository.chains()) == [
        CHAIN,
        Chain(account="333333333333", region="eu-west-1", resource="fs-1"),
    ]


def test_a_point_that_is_not_there_is_missing() -> None:
    """By its key."""
    with pytest.raises(Missing, match="rp-1"):
        memory_repository().point(CHAIN, "rp-1")
