"""Forwardings are found by whoever has to look, in the order in which they were written."""

from __future__ import annotations

import pytest
from support.repositories import Watched, memory_repository

from agent.repository.errors import Missing
from agent.repository.forward import Place, write_forwards
from agent.repository.repository import Repository

A, B, C = (bytes([number]) * 20 for number in (1, 2, 3))


def write(repository: Repository, moves: dict[Place, Place], now: float) -> None:
    """Write forwardings by a clock."""
    key_id, data_key = repository.ring.current()
    write_forwards(repository.objects, moves, key_id=key_id, data_key=data_key, clock=lambda: now)


def test_names_follow_each_other_whatever_the_clocks_say() -> None:
    """A worker whose clock is behind writes after the one before all the same."""
    objects = Watched()
    repository = memory_repository(objects)

    for number, now in enumerate((1000.0, 500.0, 500.0, 2000.0)):
        write(repository, {(A, number): (B, number)}, now)

    names = [key for key in objects.written if key.startswith("forward/")]
    assert names == sorted(names)
    assert repository.forwards.places(A, range(4)) == {number: (B, number) for number in range(4)}


def test_what_is_written_later_is_found_by_who_has_looked_before() -> None:
    """And what was cleared away since it was listed is no obstacle."""
    objects = Watched()
    repository = memory_repository(objects)
    write(repository, {(A, 1): (B, 5)}, 1.0)
    assert repository.forwards.places(A, [1]) == {1: (B, 5)}
    with pytest.raises(Missing, match="slot 2 was not moved anywhere"):
        repository.forwards.places(A, [1, 2])
    (first,) = objects.keys("forward")

    def clears(what: str, key: str) -> None:
        if what == "get" and key == first:
            objects.before = lambda _what, _key: None
            objects.delete(first)

    write(repository, {(A, 1): (B, 5), (A, 2): (C, 0)}, 2.0)
    objects.before = clears

    assert repository.forwards.places(A, [1, 2]) == {1: (B, 5), 2: (C, 0)}
