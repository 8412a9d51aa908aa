"""A desk for every test: a ledger of its own, settings in the environment, publishing that is only written down."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from support.desk import Desk
from support.ledgers import Databases

from console.cli.exits import Exit
from orchestrator.model.work import WorkKey


@pytest.fixture
def desk(
    all_databases: Databases, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Desk]:
    """A command line on a migrated ledger with a registry."""
    before = logging.getLogger().handlers[:]
    with all_databases.migrated("sqlite") as url:
        settings = {
            "DATABASE_URL": url,
            "BROKER_URL": "redis://user:canary-password@127.0.0.1:1/0",
            "CONTROL_BUCKET": "bucket",
            "REPORT_QUEUE": "https://sqs/queue",
        }
        for name, value in settings.items():
            monkeypatch.setenv(f"DAYWORK_{name}", value)
        monkeypatch.delenv("DAYWORK_CONFIG", raising=False)
        made = Desk(url=url, capsys=capsys)
        made.register()
        monkeypatch.setattr("console.cli.start.Publisher", recorder(made))
        yield made
        made.ledger.close()
    logging.getLogger().handlers[:] = before


def recorder(desk: Desk, *, fails: bool = False) -> Any:
    """Return what stands in for the publisher: it writes down what it was given, or is a broker that is away."""

    class Recorder:
        has_failed = fails

        def __init__(self, *_: Any) -> None:
            pass

        def drive(self, keys: Iterable[WorkKey]) -> None:
            desk.driven += keys

        def tell(self, _: str) -> Exit:
            return Exit.UNREACHABLE if fails else Exit.OK

    return Recorder


@pytest.fixture
def failing_broker(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function after which nothing can be published any more."""
    return lambda: monkeypatch.setattr("console.cli.start.Publisher", recorder(desk, fails=True))
