"""Migrations bring every database to the schema that the code has."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from support.ledgers import KINDS, Databases

from orchestrator.ledger import schema
from orchestrator.ledger.migrate import upgrade
from orchestrator.ledger.migrations import versions
from orchestrator.ledger.store import make_engine


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, all_databases: Databases) -> Iterator[sa.Engine]:
    """An engine on a database without tables."""
    with all_databases.empty(request.param) as url:
        made = make_engine(url)
        yield made
        made.dispose()


def test_migrations_and_schema_agree(engine: sa.Engine) -> None:
    """Alembic would change nothing after all of them."""
    upgrade(engine)

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []


def test_migrating_again_changes_nothing(engine: sa.Engine) -> None:
    """It runs at every start."""
    upgrade(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(schema.settings).values(name="kept", value=1))

    upgrade(engine)

    with engine.connect() as connection:
        assert connection.execute(sa.select(schema.settings.c.value)).scalars().all() == [1]


def test_many_may_migrate_at_once(engine: sa.Engine) -> None:
    """Several processes start at the same moment: one migrates, the others find it done."""
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(upgrade, engine) for _ in range(4)]:
            done.result(timeout=60)

    with engine.connect() as connection:
        assert len(connection.execute(sa.text("SELECT version_num FROM alembic_version")).all()) == 1


def test_migrations_are_one_line() -> None:
    """Each follows the one before it, and its number is its name."""
    modules = [
        importlib.import_module(f"{versions.__name__}.{one.name}") for one in pkgutil.iter_modules(versions.__path__)
    ]

    chain = [(module.revision, module.down_revision) for module in modules]

    assert chain == [
        (f"{number:04}", f"{number - 1:04}" if number > 1 else None) for number in range(1, len(chain) + 1)
    ]
    assert all(module.__name__.rsplit(".", 1)[1].startswith(f"m{module.revision}_") for module in modules)
