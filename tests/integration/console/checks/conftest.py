"""A registered installation on a seeded embedded cloud, for looking at its accounts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.desk import Desk
from support.ledgers import Databases
from support.seeded import World, seeded_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A seeded embedded cloud, its control plane's keys in the environment."""
    with seeded_world(tmp_path_factory.mktemp("world"), accounts=1) as made:
        yield made


@pytest.fixture
def desk(
    all_databases: Databases, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], world: World
) -> Iterator[Desk]:
    """A command line whose ledger holds the seeded registry."""
    with all_databases.migrated("sqlite") as url:
        settings = {
            "DATABASE_URL": url,
            "BROKER_URL": "redis://127.0.0.1:1/0",
            "INSTALL_ID": world.install.id,
            "CONTROL_BUCKET": world.install.control_bucket,
            "REPORT_QUEUE": world.install.report_queue,
            "HOME_ACCOUNT": world.install.home_account,
            "WORKER_IMAGE": world.foundation.worker_image,
        }
        for name, value in settings.items():
            monkeypatch.setenv(f"DAYWORK_{name}", value)
        made = Desk(url=url, capsys=capsys)
        made.register(world.seeded.registry)
        yield made
        made.ledger.close()
