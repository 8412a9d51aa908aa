"""Bringing a database to the schema of this version, with Alembic.

Alembic is imported where it is used: it takes as long as half of everything else, and most processes never migrate.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from orchestrator.ledger.store import file_of

#: Any number will do, as long as it is always the same.
_LOCK = 4_218_960_117

_HERE = Path(__file__).parent / "migrations"


def upgrade(engine: Engine) -> None:
    """Run all migrations that are missing; none missing is a no-op. Safe to call at every start, in many processes.

    The file of a SQLite database that is not there is made, with its folder.
    """
    make_file(engine)
    with engine.begin() as connection:
        bring(connection, "head")


def bring(connection: Connection, revision: str) -> None:
    """Bring the database to a revision inside a transaction that the caller has begun and will commit."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_HERE))
    if connection.dialect.name == "postgresql":
        # SQLite's write transaction keeps others out by itself.
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def make_file(engine: Engine) -> None:
    """Make the empty file of a SQLite database, readable for its owner alone; one that is there stays as it is."""
    path = file_of(engine)
    if path is None or path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # What a removed database has left behind would be taken for the new one's own journal.
    for ending in ("-wal", "-shm", "-journal"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    path.touch(mode=0o600)


def is_known(revision: str) -> bool:
    """Whether this version has the migrations that lead to a revision."""
    from alembic.script import ScriptDirectory
    from alembic.util.exc import CommandError

    try:
        return ScriptDirectory(str(_HERE)).get_revision(revision) is not None
    except CommandError:
        return False


def revisions(engine: Engine) -> tuple[str | None, str | None]:
    """Return the schema's revision in this database (None: no schema at all), and that of this version."""
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    with engine.connect() as connection:
        there = MigrationContext.configure(connection).get_current_revision()
    return there, ScriptDirectory(str(_HERE)).get_current_head()
