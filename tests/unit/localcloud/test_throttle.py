"""EC2's token buckets, on a clock that the test moves."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from support.clock import FakeClock

from localcloud.call import Call
from localcloud.errors import AwsError
from localcloud.throttle import Throttle

SECOND = timedelta(seconds=1)


@pytest.fixture
def clock() -> FakeClock:
    """The clock of a test."""
    return FakeClock()


@pytest.fixture
def throttle(clock: FakeClock) -> Throttle:
    """A throttle that is on."""
    return throttle_on(clock)


def throttle_on(clock: FakeClock, *, on: bool = True) -> Throttle:
    """Return a throttle with a test's clock."""
    return Throttle(on=on, clock=lambda: clock.now().timestamp())


def call(operation: str, *, service: str = "ec2", region: str = "eu-west-1", **parameters: Any) -> Call:
    """Return a decoded call."""
    return Call(
        service=service,
        operation=operation,
        account="1" * 12,
        region=region,
        principal=None,
        method="POST",
        path="/",
        query={},
        headers={},
        body=b"",
        parameters=parameters,
    )


def taken(throttle: Throttle, one: Call, most: int = 3000, account: str = "1" * 12) -> int:
    """Return how many such calls pass, one after another, before one is refused."""
    for count in range(most):
        try:
            throttle.take(one, account)
        except AwsError as error:
            if (error.code, error.status) != ("RequestLimitExceeded", 503):
                raise
            return count
    return most


@pytest.mark.parametrize(
    ("one", "burst", "refill"),
    [
        (call("RunInstances", MaxCount=1), 5, 2),
        (call("TerminateInstances", InstanceIds=["i-1"]), 100, 5),
        (call("CreateTags", Resources=["i-1"]), 100, 10),
        (call("DeleteTags", Resources=["i-1"]), 100, 10),
        (call("DescribeInstances", InstanceIds=["i-1"]), 100, 20),
        (call("DescribeInstances", MaxResults=100), 100, 20),
        (call("DescribeInstances"), 50, 10),
        (call("DescribeInstances", DryRun=True), 50, 10),
        (call("CreateSecurityGroup", GroupName="x"), 50, 5),
        (call("CreateSnapshots", InstanceSpecification={}), 100, 5),
    ],
)
def test_a_bucket_has_the_documented_size_and_fills_again(
    throttle: Throttle, clock: FakeClock, one: Call, burst: int, refill: int
) -> None:
    """A burst passes, then what comes back each second, and never more than a full bucket."""
    assert taken(throttle, one) == burst
    clock.pass_by(SECOND)
    assert taken(throttle, one) == refill
    clock.pass_by(3600 * SECOND)
    assert taken(throttle, one) == burst


def test_instances_have_a_bucket_of_their_own(throttle: Throttle, clock: FakeClock) -> None:
    """A thousand instances start at once in few calls; then two more a second, however few calls are made."""
    hundred = call("RunInstances", MinCount=1, MaxCount=100)
    for _ in range(2):
        assert taken(throttle, hundred, most=5) == 5
        clock.pass_by(2.5 * SECOND)

    # 1000 were taken and 10 came back; calls are not the limit now.
    assert taken(throttle, call("RunInstances", MaxCount=11), most=1) == 0
    assert taken(throttle, call("RunInstances", MaxCount=10), most=1) == 1


def test_a_refused_call_takes_nothing(throttle: Throttle) -> None:
    """Neither bucket loses anything when the other is too empty."""
    assert taken(throttle, call("RunInstances", MaxCount=1001), most=10) == 0

    assert taken(throttle, call("RunInstances", MaxCount=200)) == 5


def test_ending_instances_costs_one_for_each(throttle: Throttle, clock: FakeClock) -> None:
    """Termination is limited by instances too."""
    page = call("TerminateInstances", InstanceIds=[f"i-{number}" for number in range(50)])

    assert taken(throttle, page) == 20
    clock.pass_by(2.5 * SECOND)
    assert taken(throttle, page) == 1


def test_buckets_are_apart_by_account_region_and_action(throttle: Throttle) -> None:
    """What one account, Region or action uses up is there for the others."""
    launch = call("RunInstances", MaxCount=1)
    assert taken(throttle, launch) == 5

    assert taken(throttle, launch, account="2" * 12) == 5
    assert taken(throttle, call("RunInstances", region="eu-west-2", MaxCount=1)) == 5
    assert taken(throttle, call("StartInstances", InstanceIds=["i-1"])) == 5


def test_only_ec2_is_throttled_and_only_when_it_is_on(clock: FakeClock) -> None:
    """Other services have no documented buckets; the throttle is off unless somebody asks for it."""
    throttle = throttle_on(clock, on=False)
    launch = call("RunInstances", MaxCount=1)

    assert taken(throttle, launch, most=50) == 50
    throttle.switch(on=True)
    assert taken(throttle, call("CreateRole", service="iam"), most=500) == 500
    assert taken(throttle, launch) == 5
    assert throttle.to_dict() == {"on": True, "refused": 1}
    throttle.switch(on=True)
    assert taken(throttle, launch) == 5
