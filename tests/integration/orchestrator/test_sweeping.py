"""The sweeper on the embedded cloud, with the rights of its roles: ours of every kind, and look-alikes of others."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import sqlalchemy as sa
from support.clock import FakeClock
from support.fakes.limiter import MemoryLimiter
from support.ledgers import open_ledger, submit
from support.leftovers import leave
from support.lookalikes import plant, standing_roles
from support.seeded import HOME, World, seeded_world

from console.demo.eye import Eye
from orchestrator.ledger import counters, registry, schema
from orchestrator.ledger.migrate import upgrade
from orchestrator.ledger.store import Ledger, make_engine
from orchestrator.model.account import Registry
from orchestrator.model.status import SessionStatus
from orchestrator.services import Services
from orchestrator.sweeper.kinds import KINDS
from orchestrator.sweeper.sweep import FOUND, sweep

UNKNOWN = "s-01ARZ3NDEKTSV4RRFFQ69G5FAV"
#: Beside the backup account; eight look-alikes in each.
ACCOUNTS = 6


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An embedded cloud with several accounts."""
    with seeded_world(tmp_path_factory.mktemp("sweeping"), accounts=ACCOUNTS) as made:
        yield made


@pytest.fixture
def ledger(tmp_path: Path, world: World) -> Iterator[Ledger]:
    """A ledger that knows the accounts, on a clock that is ahead of the cloud's by more than things are young."""
    url = f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
    engine = make_engine(url)
    upgrade(engine)
    engine.dispose()
    with open_ledger(url, FakeClock(datetime.now(UTC) + timedelta(hours=1))) as opened:
        with opened.write() as tx:
            registry.apply(tx, Registry.model_validate(world.seeded.registry))
        yield opened


def ended(ledger: Ledger) -> str:
    """Put a session into the ledger that has ended."""
    session = submit(ledger, 1)
    with ledger.write() as tx:
        tx.execute(sa.update(schema.sessions).values(status=SessionStatus.FAILED))
    return session


def test_exactly_what_is_ours_is_gone_after_two_passes(world: World, ledger: Ledger) -> None:
    """One leftover of every kind and fifty look-alikes of others: marked, removed, and nothing else touched."""
    clock = cast("FakeClock", ledger.clock)
    services = Services(
        ledger=ledger,
        cloud=world.product,
        dispatch=cast("Any", SimpleNamespace()),
        limiter=MemoryLimiter(clock),
        clock=clock,
        install=world.install,
    )
    assert sweep(services).distrust is None, "the cloud is this ledger's from its beginning"
    eye = Eye(world.cloud.url, world.cloud.server.cloud.directory)
    accounts = [one["id"] for one in world.seeded.registry["accounts"]]
    bucket = world.install.control_bucket
    others = plant(eye, accounts, control_account=HOME, control_bucket=bucket, install=world.install.id)
    standing = standing_roles(eye, accounts)
    ours = leave(eye, accounts[1], HOME, bucket=bucket, install=world.install.id, ended=ended(ledger), unknown=UNKNOWN)
    assert len(others.things) >= 50
    assert {one.kind for one in ours} == {kind.name for kind in KINDS}

    first = sweep(services)
    assert [one for one in ours if not one.is_there(eye)] == []
    clock.pass_by(timedelta(seconds=70))
    second = sweep(services)

    assert {one.done for one in first.findings if one.session} == {"marked"}
    assert {one.done for one in second.findings if one.session} == {"removed"}
    assert (first.failures, second.failures) == ((), ())
    assert [one for one in ours if one.is_there(eye)] == []
    assert others.touched(eye) == []
    assert standing.touched(eye) == []
    # What carries this install's name and no session's is told of and stays.
    assert {(one.kind, one.done) for one in second.findings if not one.session} == {("snapshot", "reported")}
    with ledger.read() as tx:
        assert counters.read(tx, FOUND) == {kind.name: 1 for kind in KINDS}
