"""Chaos: whatever dies and whenever, sixty resources in both modes end right and nothing is left behind.

`DAYWORK_CHAOS_SEED` raises other storms than the usual ones (`7`, or `7,8,9`), `DAYWORK_CHAOS_ROUNDS` makes them longer
(`make chaos`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import pytest
from support.chaos import Chaos
from support.invariants import Auditor
from support.stack import Stack, running_stack
from support.storm import KILLS, storm
from support.tiny_machines import TinyMachine, tiny_machines

#: Storms of every run. One that has shown a mistake is worth its place here.
SEEDS = (1, 2, 3)
ROUNDS = int(os.environ.get("DAYWORK_CHAOS_ROUNDS", "1"))
#: Seconds in which the sessions of one round must have ended; they take about a tenth of it.
LIMIT = 300

pytestmark = pytest.mark.timeout(900 * ROUNDS)


@dataclass
class Scene:
    """A stack with eighteen tiny machines in each of three accounts, and who has watched it from the beginning."""

    stack: Stack
    auditor: Auditor
    machines: list[TinyMachine]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One stack for all storms: each finds what the one before has left, which must be nothing."""
    settings = {"DAYWORK_FLOWER_PORT": "0", "DAYWORK_RECONCILE_SECONDS": "5"}
    if ROUNDS > 1:
        settings |= {"DAYWORK_BOOT_SECONDS": "120", "DAYWORK_HEARTBEAT_SECONDS": "60"}
    with running_stack(tmp_path_factory.mktemp("stack"), accounts=3, instances=0, **settings) as stack:
        machines = tiny_machines(stack, 18, tmp_path_factory.mktemp("images"))
        yield Scene(stack, Auditor.begin(stack), machines)


def seeds() -> tuple[int, ...]:
    """Return the storms to raise."""
    given = os.environ.get("DAYWORK_CHAOS_SEED")
    return tuple(int(one) for one in given.split(",")) if given else SEEDS


@pytest.mark.parametrize("seed", seeds())
def test_sixty_resources_come_through_a_storm(scene: Scene, seed: int) -> None:
    """Pool children, Celery workers, beat, listener, intake, broker, agents and instances die; AWS loses answers."""
    Chaos(scene.stack, scene.auditor, scene.machines, seed, limit=LIMIT * ROUNDS, rounds=ROUNDS).run()


def test_a_seed_always_raises_the_same_storm() -> None:
    """With every kind of kill in it, in order."""
    first, second = (storm(Random(7), events=300, faults=10) for _ in range(2))  # noqa: S311 - a storm, not a secret

    assert first == second
    assert {blow.kill for blow in first} - {None} == set(KILLS)
    assert [blow.after for blow in first] == sorted(blow.after for blow in first)
