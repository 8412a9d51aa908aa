"""Fault rules: read strictly, applied in order, counted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from support.clock import FakeClock
from support.servers import wait_for

from localcloud.call import Call, Principal
from localcloud.faults import BadRule, Faults

ACCOUNT, OTHER = "1" * 12, "2" * 12


def call(name: str = "ec2:RunInstances", region: str = "eu-west-1") -> Call:
    """Return a decoded call."""
    service, _, operation = name.partition(":")
    return Call(
        service=service,
        operation=operation,
        account=ACCOUNT,
        region=region,
        principal=None,
        method="POST",
        path="/",
        query={},
        headers={},
        body=b"",
    )


@pytest.fixture
def clock() -> FakeClock:
    """The clock of a test."""
    return FakeClock()


@pytest.fixture
def faults(clock: FakeClock) -> Faults:
    """No rules yet."""
    return Faults(clock=lambda: clock.now().timestamp())


def codes(faults: Faults, one: Call, times: int, account: str = ACCOUNT) -> list[str | None]:
    """Return the error codes of a call made several times."""
    found = [faults.judge(one, account).error for _ in range(times)]
    return [error.code if error is not None else None for error in found]


def test_a_rule_applies_as_often_as_it_says(faults: Faults) -> None:
    """Then it is gone; a rule without a number stays until it is removed."""
    faults.add({"operation": "ec2:RunInstances", "kind": "error", "code": "InsufficientInstanceCapacity", "times": 2})

    assert codes(faults, call(), 3) == ["InsufficientInstanceCapacity", "InsufficientInstanceCapacity", None]
    assert faults.rules() == []
    faults.add({"operation": "ec2:RunInstances", "kind": "error", "code": "Unavailable"})
    assert codes(faults, call(), 50) == ["Unavailable"] * 50
    assert faults.rules()[0]["applied"] == 50


@pytest.mark.parametrize(
    ("rule", "name", "account", "region", "applies"),
    [
        ({"operation": "ec2:RunInstances"}, "ec2:RunInstances", ACCOUNT, "eu-west-1", True),
        ({"operation": "ec2:runinstances"}, "ec2:RunInstances", ACCOUNT, "eu-west-1", True),
        ({"operation": "ec2:RunInstances"}, "ec2:RunInstancesX", ACCOUNT, "eu-west-1", False),
        ({"operation": "ec2:Describe*"}, "ec2:DescribeInstances", ACCOUNT, "eu-west-1", True),
        ({"operation": "ec2:*"}, "iam:CreateRole", ACCOUNT, "eu-west-1", False),
        ({"operation": "*"}, "iam:CreateRole", ACCOUNT, "us-east-1", True),
        ({"operation": "*", "account": ACCOUNT}, "iam:CreateRole", OTHER, "us-east-1", False),
        ({"operation": "*", "region": "eu-west-2"}, "ec2:RunInstances", ACCOUNT, "eu-west-1", False),
    ],
)
def test_a_rule_applies_to_what_it_names(
    faults: Faults,
    rule: dict[str, Any],
    name: str,
    account: str,
    region: str,
    applies: bool,  # noqa: FBT001 - a table column
) -> None:
    """Operation with wildcards, account and Region."""
    faults.add({"kind": "error", "code": "Unavailable", **rule})

    assert (faults.judge(call(name, region), account).error is not None) is applies


def test_what_does_not_apply_is_not_counted(faults: Faults) -> None:
    """Another account's calls use nothing of a rule up."""
    faults.add({"operation": "*", "kind": "error", "code": "Unavailable", "times": 1, "account": OTHER})

    assert codes(faults, call(), 5) == [None] * 5
    assert codes(faults, call(), 2, OTHER) == ["Unavailable", None]


def test_a_probable_rule_applies_when_chance_says_so() -> None:
    """The probability is compared with chance for each call."""
    chances: Iterator[float] = iter([0.0, 0.29, 0.3, 0.99])
    faults = Faults(chance=lambda: next(chances))
    faults.add({"operation": "*", "kind": "error", "code": "Unavailable", "probability": 0.3})

    assert codes(faults, call(), 4) == ["Unavailable", "Unavailable", None, None]


def test_rules_add_up_until_one_ends_the_call(faults: Faults) -> None:
    """Latencies are added; an error or a reset ends the judging, so that later rules are not used up."""
    faults.add({"operation": "*", "kind": "latency", "seconds": 0.5})
    faults.add({"operation": "*", "kind": "latency", "seconds": 1})
    faults.add({"operation": "*", "kind": "reset", "times": 1})
    faults.add({"operation": "*", "kind": "error", "code": "Unavailable", "times": 1})
    faults.add({"operation": "*", "kind": "reset-after", "times": 1})

    first, second, third = (faults.judge(call(), ACCOUNT) for _ in range(3))

    assert (first.seconds, first.reset, first.error, first.reset_after) == (1.5, True, None, False)
    assert (second.reset, second.error is not None, second.reset_after) == (False, True, False)
    assert (third.error, third.reset_after) == (None, True)


@pytest.mark.parametrize(
    ("name", "code", "status"),
    [
        ("ec2:RunInstances", "RequestLimitExceeded", 503),
        ("s3:PutObject", "SlowDown", 503),
        ("iam:X", "Throttling", 400),
    ],
)
def test_a_throttle_rule_is_a_bucket(faults: Faults, clock: FakeClock, name: str, code: str, status: int) -> None:
    """A burst passes, then as many a second as the rate says, for each account and Region, in the service's word."""
    faults.add({"operation": "*", "kind": "throttle", "rate": 2, "burst": 3})

    assert codes(faults, call(name), 5) == [None, None, None, code, code]
    error = faults.judge(call(name), ACCOUNT).error
    assert error is not None
    assert error.status == status
    clock.pass_by(timedelta(seconds=1))
    assert codes(faults, call(name), 3) == [None, None, code]
    assert codes(faults, call(name), 4, OTHER) == [None, None, None, code]
    assert codes(faults, call(name, "us-east-1"), 4) == [None, None, None, code]


@pytest.mark.parametrize(
    ("rule", "applies"),
    [
        ({"about": "dw-01abc-*"}, True),
        ({"about": "dw-01xyz-*"}, False),
        ({"about": "dw-01abc"}, False),
        ({"principal": "*:assumed-role/DayworkBackup/*"}, True),
        ({"principal": "*:assumed-role/DayworkRestore/*"}, False),
    ],
)
def test_a_rule_may_name_who_calls_and_what_about(
    faults: Faults,
    rule: dict[str, str],
    applies: bool,  # noqa: FBT001 - a table column
) -> None:
    """A pattern of the signer, and one that any text of the parameters fits, at any depth."""
    one = call()
    one.parameters = {"MinCount": 1, "IamInstanceProfile": {"Name": "dw-01abc-9"}, "SecurityGroupIds": ["sg-1"]}
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/DayworkBackup/daywork-test"
    one.principal = Principal(account=ACCOUNT, arn=arn, principal_arn=arn, user_id="A:daywork-test")
    faults.add({"operation": "*", "kind": "reset", **rule})

    assert faults.judge(one, ACCOUNT).reset is applies


def test_a_held_call_waits_until_its_rule_is_removed(faults: Faults) -> None:
    """Meanwhile the rule tells how many wait; another rule's end lets nobody go."""
    rule = faults.add({"operation": "ec2:RunInstances", "kind": "hold"})
    other = faults.add({"operation": "ec2:TerminateInstances", "kind": "hold"})
    held = faults.judge(call(), ACCOUNT).hold
    thread = threading.Thread(target=faults.wait, args=(held[0],))
    thread.start()
    wait_for(lambda: faults.rules()[0]["waiting"] == 1, seconds=10)

    faults.clear(other.id)
    assert thread.is_alive()
    faults.clear(rule.id)

    thread.join(10)
    assert not thread.is_alive()
    faults.wait(rule)  # who comes after the end does not wait
    assert rule.waiting == 0


def test_one_rule_or_all_are_removed(faults: Faults) -> None:
    """Removing says how many went."""
    first = faults.add({"operation": "*", "kind": "error", "code": "A"})
    faults.add({"operation": "*", "kind": "error", "code": "B"})

    assert faults.clear(first.id) == 1
    assert codes(faults, call(), 1) == ["B"]
    assert faults.clear("unknown") == 0
    assert faults.clear() == 1
    assert codes(faults, call(), 1) == [None]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ([], "JSON object"),
        ({"kind": "error", "code": "X"}, "operation"),
        ({"operation": "*"}, "kind"),
        ({"operation": "RunInstances", "kind": "reset"}, "service:Operation"),
        ({"operation": "*", "kind": "explode"}, "explode"),
        ({"operation": "*", "kind": "error"}, "code"),
        ({"operation": "*", "kind": "error", "code": "X", "status": 200}, "200"),
        ({"operation": "*", "kind": "latency"}, "seconds"),
        ({"operation": "*", "kind": "latency", "seconds": 1e9}, "seconds"),
        ({"operation": "*", "kind": "reset", "times": 0}, "times"),
        ({"operation": "*", "kind": "reset", "times": True}, "times"),
        ({"operation": "*", "kind": "reset", "times": "2"}, "times"),
        ({"operation": "*", "kind": "reset", "account": "123"}, "123"),
        ({"operation": "*", "kind": "reset", "probability": 0}, "probability"),
        ({"operation": "*", "kind": "reset", "probability": 1.5}, "probability"),
        ({"operation": "*", "kind": "throttle", "rate": 2}, "burst"),
        ({"operation": "*", "kind": "reset", "after": True}, "after"),
        ({"operation": "*", "kind": "hold", "times": 1}, "times"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_by_field(faults: Faults, rule: Any, said: str) -> None:
    """The error names the field or the value, and no rule is left behind."""
    with pytest.raises(BadRule, match=said):
        faults.add(rule)

    assert faults.rules() == []
