"""A step under which the ledger goes away is tried again as soon as it is back, and is nobody's death."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.clock import FakeClock
from support.install import install
from support.ledgers import Databases, open_ledger, under_way

from orchestrator.errors import LedgerUnavailable
from orchestrator.ledger import schema, work
from orchestrator.ledger.store import file_of
from orchestrator.model.status import Step
from orchestrator.model.work import Claim, Outcome, WorkKey
from orchestrator.services import Services
from orchestrator.steps.carry import carry_out
from orchestrator.steps.interrupted import give_back


class Driven:
    """A dispatch that remembers."""

    def __init__(self) -> None:
        self.keys: list[WorkKey] = []

    def drive(self, keys: Iterable[WorkKey]) -> None:
        """See the port."""
        self.keys += keys


@pytest.fixture
def clock() -> FakeClock:
    """Time that stands still."""
    return FakeClock()


@pytest.fixture
def services(all_databases: Databases, clock: FakeClock) -> Iterator[Services]:
    """A ledger in a file, and nothing else that a step could use."""
    nothing: Any = None
    dispatch: Any = Driven()
    with all_databases.migrated("sqlite") as url, open_ledger(url, clock) as ledger:
        yield Services(ledger=ledger, cloud=nothing, dispatch=dispatch, limiter=nothing, clock=clock, install=install())


def interrupt(services: Services) -> tuple[Claim, Path]:
    """Carry a step out that takes the ledger away; returns its claim, and where the ledger is now."""
    path = file_of(services.ledger.engine)
    assert path is not None
    told: list[Claim] = []

    def step(held_by: Services, held: Claim) -> Outcome:
        path.rename(path.with_suffix(".away"))
        with held_by.ledger.read():
            pytest.fail("the ledger is away")

    key = WorkKey(under_way(services.ledger, 1), 0)
    with pytest.raises(LedgerUnavailable):
        carry_out(
            dataclasses.replace(services, interrupted=lambda _, held: told.append(held)),
            {Step.ASSUME_ROLE: step},
            key,
            Step.ASSUME_ROLE,
            1,
        )
    (held,) = told
    return held, path


def row(services: Services, key: WorkKey) -> sa.Row[Any]:
    """Return a unit of work."""
    table = schema.work
    with services.ledger.read() as tx:
        found = tx.row(sa.select(table).where(table.c.session_id == key.session, table.c.ordinal == key.ordinal))
    assert found is not None
    return found


def test_its_claim_is_given_back_when_the_ledger_answers(services: Services) -> None:
    """After as many looks as it takes; the work is driven, and the next claim counts no death."""
    held, path = interrupt(services)
    looks: list[float] = []

    def pause(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            path.with_suffix(".away").rename(path)

    assert give_back(services, held, pause=pause)

    assert len(looks) == 3
    assert getattr(services.dispatch, "keys", None) == [held.key]
    with services.ledger.write() as tx:
        again = work.claim(tx, held.key, Step.ASSUME_ROLE, 1)
    assert isinstance(again, Claim)
    assert again.fence > held.fence
    assert again.deaths == 0


def test_a_claim_that_somebody_took_over_is_left_to_him(services: Services, clock: FakeClock) -> None:
    """The ledger was back before we looked, and the claim had run out."""
    held, path = interrupt(services)
    path.with_suffix(".away").rename(path)
    clock.pass_by(work.CLAIM + timedelta(seconds=1))
    with services.ledger.write() as tx:
        newer = work.claim(tx, held.key, Step.ASSUME_ROLE, 1)
    assert isinstance(newer, Claim)
    clock.set(held.until - timedelta(seconds=1))

    assert not give_back(services, held, pause=lambda _: None)

    assert row(services, held.key).fence == newer.fence
    assert row(services, held.key).claimed_until is not None
    assert getattr(services.dispatch, "keys", None) == []


def test_nobody_waits_longer_than_the_claim_lasts(services: Services, clock: FakeClock) -> None:
    """By then it is anybody's."""
    held, _ = interrupt(services)

    assert not give_back(services, held, pause=lambda seconds: clock.pass_by(timedelta(seconds=seconds)) and None)

    assert clock.now() >= held.until
