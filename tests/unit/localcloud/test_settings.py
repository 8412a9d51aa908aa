"""Settings of an embedded cloud: all mistakes at once, the call log's ring, the fine print of small parts."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from localcloud.calllog import CallLog
from localcloud.settings import Settings, is_account


def test_all_mistakes_are_told_at_once() -> None:
    """One error names every wrong field."""
    with pytest.raises(ValueError, match="embedded cloud settings") as caught:
        Settings(
            boot=timedelta(seconds=-1),
            snapshot=timedelta(seconds=-1),
            enforce=frozenset({"ec2", "rds"}),
            control_account="12",
            call_log=0,
            block_rate=-1,
            pending_snapshots=0,
        )

    for name in ("boot", "snapshot", "rds", "control_account", "call_log", "block_rate", "pending_snapshots"):
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("111111111111", True),
        ("11111111111", False),
        ("1111111111111", False),
        ("11111111111a", False),
        ("", False),
        ("\N{ARABIC-INDIC DIGIT ONE}" * 12, False),
    ],
)
def test_an_account_id_is_twelve_ascii_digits(text: str, expected: bool) -> None:  # noqa: FBT001 - a table column
    """Nothing else is, digits of other scripts included."""
    assert is_account(text) is expected


def test_the_call_log_keeps_the_latest_calls_in_order() -> None:
    """The ring forgets the oldest; a moment cuts off what was before."""
    log = CallLog(3)
    for number in range(5):
        log.add(
            time=float(number),
            account="1" * 12,
            region="eu-west-1",
            operation="ec2:DescribeInstances",
            status=200,
            code=None,
            principal="arn",
            seconds=0.12345678,
        )

    assert [(one["sequence"], one["time"]) for one in log.since()] == [(3, 2.0), (4, 3.0), (5, 4.0)]
    assert [one["time"] for one in log.since(3.5)] == [4.0]
    assert log.since()[0]["seconds"] == 0.123457
    assert log.clear() == 3
    assert log.since() == []


def test_reading_does_not_push_changes_out_of_the_call_log() -> None:
    """What made or removed something is kept beside any number of reads, and all are told in order."""
    log = CallLog(2)
    log_call = partial(
        log.add, time=1.0, account="1" * 12, region="r", status=200, code=None, principal="arn", seconds=0.0
    )
    log_call(operation="ec2:RunInstances", targets=("token",))
    for _ in range(5):
        log_call(operation="ec2:DescribeInstances")

    told = log.since()
    assert [(one["sequence"], one["targets"]) for one in told] == [(1, ("token",)), (5, ()), (6, ())]
    assert log.clear() == 3
