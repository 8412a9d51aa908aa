"""What lives as long as a test run: the makers of databases. Servers are started when a test asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.ledgers import Databases, databases


@pytest.fixture(scope="session")
def all_databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Databases on SQLite and on PostgreSQL; one PostgreSQL server for the whole run."""
    with databases(tmp_path_factory.mktemp("ledgers")) as made:
        yield made
