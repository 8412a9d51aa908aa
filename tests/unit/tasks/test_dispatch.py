"""Looks at launches and endings, as they are published."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from support.clock import FakeClock

from config.settings import Settings
from orchestrator.ledger.store import Ledger, make_engine
from tasks.app import make_app
from tasks.base import DayworkApp
from tasks.canvas import CeleryDispatch

PLACE = ("1" * 12, "eu-west-1")


@pytest.fixture
def app() -> Iterator[DayworkApp]:
    """An app on a broker in memory."""
    made = make_app(
        Settings(broker_url="memory://", result_url="cache+memory://", control_bucket="b", report_queue="q"),
        set_as_current=False,
    )
    yield made
    made.close()


def taken(app: DayworkApp, queue: str) -> list[tuple[dict[str, Any], list[Any]]]:
    """Return headers and arguments of what was published to a queue."""
    found = []
    with app.connection_or_acquire() as connection, connection.channel() as channel:
        while (message := channel.basic_get(queue, no_ack=True)) is not None:
            found.append((dict(message.headers), message.decode()[0]))
    return found


def test_a_look_comes_at_once_or_after_a_moment(app: DayworkApp) -> None:
    """Celery's own countdown, of less than a second, outside of any chain."""
    engine = make_engine("sqlite://")
    dispatch = CeleryDispatch(app, Ledger(engine, FakeClock()))

    dispatch.launch(*PLACE)
    dispatch.launch(*PLACE, after=timedelta(seconds=0.3))
    dispatch.terminate(*PLACE, after=timedelta(seconds=0.3))

    looks = taken(app, "daywork.control")
    assert [(headers["task"], headers["eta"] is not None) for headers, _ in looks] == [
        ("fleet.launch", False),
        ("fleet.launch", True),
        ("fleet.terminate", True),
    ]
    assert [arguments for _, arguments in looks] == [list(PLACE)] * 3
    engine.dispose()
