"""Rates of block calls."""

from __future__ import annotations

import pytest

from localcloud.blocks.rates import Rates
from localcloud.errors import AwsError


def take(rates: Rates, snapshot: str = "snap-1", *, operation: str = "get", account: str = "1" * 12) -> str | None:
    """Make one call; return the reason why it is refused, or None."""
    try:
        rates.take(operation, account, "eu-west-1", snapshot)
    except AwsError as error:
        return error.reason
    return None


def test_too_many_calls_are_refused_as_aws_refuses_them() -> None:
    """With the code and the status that clients know."""
    rates = Rates(1, lambda: 0.0)
    take(rates)

    with pytest.raises(AwsError) as caught:
        rates.take("get", "1" * 12, "eu-west-1", "snap-1")

    assert (caught.value.code, caught.value.status) == ("RequestThrottledException", 400)


def test_a_second_has_as_many_calls_as_the_rate_says() -> None:
    """The bucket refills as time passes."""
    now = [0.0]
    rates = Rates(2, lambda: now[0])

    first = [take(rates) for _ in range(3)]
    now[0] = 0.5
    later = [take(rates) for _ in range(2)]

    assert first == [None, None, "RESOURCE_LEVEL_THROTTLE"]
    assert later == [None, "RESOURCE_LEVEL_THROTTLE"]


def test_the_account_has_a_rate_of_its_own() -> None:
    """Two snapshots of one account share it; another account does not."""
    rates = Rates(2, lambda: 0.0)

    taken = [take(rates, f"snap-{number}") for number in range(3)]

    assert taken == [None, None, "ACCOUNT_THROTTLED"]
    assert take(rates, "snap-9", account="2" * 12) is None


def test_getting_and_putting_are_counted_apart() -> None:
    """As AWS's quotas are."""
    rates = Rates(1, lambda: 0.0)

    assert [take(rates, operation="get"), take(rates, operation="put")] == [None, None]


def test_without_a_rate_everything_passes() -> None:
    """Nothing is counted at all."""
    rates = Rates(0, lambda: 0.0)

    assert {take(rates) for _ in range(5000)} == {None}
