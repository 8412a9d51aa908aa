"""The fixture `stage`: import it into a conftest (`from support.stages import *`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Engine

from orchestrator.ledger import schema
from orchestrator.ledger.store import make_engine
from support.clock import FakeClock
from support.stage import Stage

__all__ = ["ledger_in_memory", "make_stage", "plain_logs", "stage"]


@pytest.fixture(autouse=True)
def plain_logs() -> Iterator[None]:
    """Log to stdout in plain lines: structlog's own default draws every local variable of every exception."""
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer(key_order=["event"])]
    )
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def ledger_in_memory() -> Iterator[Engine]:
    """One database in memory for the whole run: statements are compiled once for an engine, and that takes longest."""
    engine = make_engine("sqlite://")
    schema.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def make_stage(ledger_in_memory: Engine) -> Callable[..., Stage]:
    """Return a maker of installations on an empty ledger; one in each test."""

    def make(**options: Any) -> Stage:
        with ledger_in_memory.begin() as connection:
            for table in reversed(schema.metadata.sorted_tables):
                connection.execute(sa.delete(table))
        return Stage(ledger_in_memory, FakeClock(), **options)

    return make


@pytest.fixture
def stage(make_stage: Callable[..., Stage]) -> Stage:
    """Return one installation."""
    return make_stage()
