"""Every test of the ledger runs on SQLite and on PostgreSQL, with a database of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.clock import FakeClock
from support.ledgers import KINDS, Databases, open_ledger

from orchestrator.ledger.store import Ledger


@pytest.fixture
def clock() -> FakeClock:
    """Time that stands still."""
    return FakeClock()


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, all_databases: Databases) -> Iterator[str]:
    """The URL of a migrated database."""
    with all_databases.migrated(request.param) as url:
        yield url


@pytest.fixture
def ledger(database: str, clock: FakeClock) -> Iterator[Ledger]:
    """A ledger on it."""
    with open_ledger(database, clock) as opened:
        yield opened
