"""Bringing a database to the schema of this version, with Alembic."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Engine

#: Any number will do, as long as it is always the same.
_LOCK = 4_218_960_117

_HERE = Path(__file__).parent / "migrations"


def upgrade(engine: Engine) -> None:
    """Run all migrations that are missing; none missing is a no-op. Safe to call at every start, in many processes."""
    config = Config()
    config.set_main_option("script_location", str(_HERE))
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            # SQLite's write transaction keeps others out by itself.
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def revisions(engine: Engine) -> tuple[str | None, str | None]:
    """Return the schema's revision in this database (None: no schema at all), and that of this version."""
    with engine.connect() as connection:
        there = MigrationContext.configure(connection).get_current_revision()
    return there, ScriptDirectory(str(_HERE)).get_current_head()
