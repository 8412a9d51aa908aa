"""Which restore points are due: pure, with a table of rules and properties that hold for all of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings, strategies

from orchestrator.ledger.points import RestorePoint
from orchestrator.model.options import Keep
from orchestrator.planner.retention import due

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def point(age: timedelta, status: str = "complete") -> RestorePoint:
    """Return a point of that age, named by it."""
    return RestorePoint(
        id=f"rp-{int(age.total_seconds())}", account="222222222222", region="eu-west-1", resource_id="i-0a",
        repository="main", session="s-1", kind="full", status=status, parent=None, record={}, created_at=NOW - age,
    )  # fmt: skip


def ages(points: list[RestorePoint]) -> list[float]:
    """Return the ages of points in days."""
    return [round((NOW - one.created_at) / timedelta(days=1), 2) for one in points]


DAYS = [point(timedelta(days=number)) for number in range(30)]


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        ({"last": 1}, [0]),
        ({"last": 3}, [0, 1, 2]),
        ({"days": 3}, [0, 1, 2]),
        ({"daily": 2}, [0, 1]),
        # 2026-11-25 is a Wednesday: the newest of each ISO week is a Sunday.
        ({"weekly": 3}, [0, 3, 10]),
        ({"monthly": 2}, [0, 25]),
        ({"yearly": 5}, [0]),
        ({"last": 2, "weekly": 2, "monthly": 2}, [0, 1, 3, 25]),
    ],
)
def test_a_rule_keeps_the_newest_of_its_periods(keep: dict[str, Any], kept: list[int]) -> None:
    """And rules add up."""
    going = due(DAYS, Keep.model_validate(keep), NOW)

    assert [number for number in range(30) if float(number) not in ages(going)] == kept


def test_several_points_of_a_day_count_once() -> None:
    """The newest one of it stays."""
    found = [point(timedelta(hours=hours)) for hours in (1, 2, 3, 30)]

    assert ages(due(found, Keep(daily=2), NOW)) == [0.12, 0.08]


def test_the_last_good_point_stays_also_when_it_is_old() -> None:
    """Whatever the rule says; what is newer and not good stays with it, older bad ones go."""
    good = point(timedelta(days=400))
    newer, older = point(timedelta(days=1), "incomplete"), point(timedelta(days=500), "incomplete")

    assert due([newer, good, older], Keep(days=7), NOW) == [older]
    assert due([newer, older], Keep(days=7), NOW) == [], "without a good point nobody knows what is worth keeping"


@given(
    hours=strategies.lists(strategies.integers(0, 20_000), unique=True, max_size=40),
    bad=strategies.sets(strategies.integers(0, 39)),
    keep=strategies.fixed_dictionaries(
        {"last": strategies.integers(1, 5)},
        optional={name: strategies.integers(1, 6) for name in ("days", "daily", "weekly", "monthly", "yearly")},
    ),
)
@settings(max_examples=60, deadline=None)
def test_whatever_the_rules_the_last_good_point_is_never_due(hours: list[int], bad: set[int], keep: Any) -> None:
    """Doing it again finds nothing more, and a rule added never makes more points due."""
    found = [
        point(timedelta(hours=one), "incomplete" if number in bad else "complete") for number, one in enumerate(hours)
    ]
    going = due(found, Keep.model_validate(keep), NOW)

    good = sorted((one for one in found if one.status == "complete"), key=lambda one: one.created_at)
    left = [one for one in found if one not in going]
    assert not good or good[-1] in left
    assert due(left, Keep.model_validate(keep), NOW) == []
    assert {one.id for one in due(found, Keep.model_validate({**keep, "monthly": 1000}), NOW)} <= {
        one.id for one in going
    }
