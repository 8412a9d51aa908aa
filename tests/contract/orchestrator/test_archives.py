"""Archived packs: listed with their state by their owner, asked for as often as one likes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.labs import FIRST, Lab

from orchestrator.errors import AccessDenied
from orchestrator.ports import ArchiveStore, PackState

OWNERS = iter(f"{number:016x}" for number in range(100))


def store(lab: Lab) -> ArchiveStore:
    """Return the packs of the lab's archive."""
    return lab.cloud.archive(*lab.vault())


def test_packs_are_listed_by_owner(lab: Lab) -> None:
    """Those of others in the same folder are not."""
    mine, others = next(OWNERS), next(OWNERS)
    first, second = lab.pack(mine), lab.pack(mine)
    lab.pack(others)

    found = store(lab).packs("packs/ab", mine)

    assert sorted(one.key for one in found) == sorted([first, second])
    assert [(one.size, one.state, one.until) for one in found] == [(1000, PackState.ARCHIVED, None)] * 2
    assert store(lab).packs("packs/cd", mine) == []


def test_a_pack_that_was_asked_for_can_be_read_some_time_later(lab: Lab) -> None:
    """For as many days as was said; asking again while it comes is harmless, later it stays for longer."""
    owner = next(OWNERS)
    asked, other = lab.pack(owner), lab.pack(owner)

    def states() -> dict[str, PackState]:
        return {one.key: one.state for one in store(lab).packs("packs/ab", owner)}

    store(lab).retrieve([asked], tier="standard", days=2)
    store(lab).retrieve([asked], tier="standard", days=2)
    assert states()[asked] is not PackState.ARCHIVED
    assert states()[other] is PackState.ARCHIVED

    lab.until(lambda: states()[asked] is PackState.READABLE)

    (first,) = [one.until for one in store(lab).packs("packs/ab", owner) if one.until is not None]
    store(lab).retrieve([asked], tier="standard", days=4)
    (second,) = [one.until for one in store(lab).packs("packs/ab", owner) if one.until is not None]
    assert second - first >= timedelta(days=1, hours=23)
    assert states()[other] is PackState.ARCHIVED


def test_a_role_that_cannot_be_taken_is_said(lab: Lab) -> None:
    """When it is first used, with the remedy."""
    _, url = lab.vault()
    stranger = lab.wrong_cloud().archive(lab.access(FIRST, "backup"), url)

    with pytest.raises(AccessDenied, match="cannot be assumed") as caught:
        stranger.packs("packs/ab", next(OWNERS))

    assert "external id" in caught.value.remedy
