"""`periodic.backup`: the ledger is copied when it has changed, and whoever watches Celery sees what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery.exceptions import Ignore
from support.clock import FakeClock
from support.fakes.backups import FakeBackups
from support.install import install
from support.ledgers import Databases, open_ledger, submit

from config.settings import Settings
from orchestrator.errors import AccessDenied
from orchestrator.ledger.marks import Epoch
from orchestrator.ledger.store import file_of
from orchestrator.services import Services
from tasks.app import make_app
from tasks.request import FAILED


class Bucket:
    """The control bucket: the epoch of the ledger that it belongs to, and copies."""

    def __init__(self) -> None:
        self.kept: Epoch | None = None
        self.refusal: Exception | None = None
        self.copies = FakeBackups()

    def orders(self) -> Bucket:
        """See `orchestrator.ports.Cloud`."""
        return self

    def epoch(self) -> str | None:
        """See `orchestrator.ports.Orders`."""
        if self.refusal is not None:
            raise self.refusal
        return None if self.kept is None else str(self.kept)


@pytest.fixture
def bench(all_databases: Databases, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The task, a ledger and a bucket."""
    nothing: Any = None
    bucket: Any = Bucket()
    settings = Settings(broker_url="memory://", control_bucket="b", report_queue="q")
    with all_databases.migrated("sqlite") as url, open_ledger(url, FakeClock()) as ledger:
        services = Services(
            ledger=ledger, cloud=bucket, dispatch=nothing, limiter=nothing, clock=ledger.clock, install=install()
        )
        monkeypatch.setattr("tasks.periodic.make_backups", lambda *_: bucket.copies)
        app = make_app(settings, services=lambda *_: services)
        yield SimpleNamespace(back_up=app.tasks["periodic.backup"], ledger=ledger, bucket=bucket)
        app.close()


def test_a_ledger_that_has_changed_is_copied(bench: Any) -> None:
    """And one that has not is left alone, in words that Flower shows."""
    submit(bench.ledger, 1)

    first, second = bench.back_up(), bench.back_up()

    (kept,) = bench.bucket.copies.kept()
    assert first.startswith(f"{kept.name}: ")
    assert second == f"{kept.name} is still the same"


def test_what_keeps_it_from_being_copied_is_shown_as_a_failure(bench: Any) -> None:
    """A ledger that is new to the cloud, a right that is missing."""
    bench.bucket.kept = Epoch("another", 1)
    new = bench.back_up()
    bench.bucket.refusal = AccessDenied("the bucket cannot be read")
    denied = bench.back_up()

    assert new.startswith(f"{FAILED}this ledger is new or restored")
    assert denied == f"{FAILED}the bucket cannot be read"
    assert bench.bucket.copies.kept() == []


def test_a_ledger_that_is_away_is_copied_another_time(bench: Any) -> None:
    """Nothing follows from this message."""
    path = file_of(bench.ledger.engine)
    assert isinstance(path, Path)
    path.rename(path.with_suffix(".away"))

    with pytest.raises(Ignore):
        bench.back_up()
