"""Client tokens: one effect for equal requests, whoever comes first."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from support.clock import FakeClock

from localcloud.call import Call, Reply
from localcloud.errors import AwsError
from localcloud.tokens import Tokens


def call(operation: str = "CreateVolume", *, account: str = "1" * 12, region: str = "eu-west-1", **given: Any) -> Call:
    """Return a decoded call."""
    return Call(
        service="ec2",
        operation=operation,
        account=account,
        region=region,
        principal=None,
        method="POST",
        path="/",
        query={},
        headers={},
        body=b"",
        parameters=given,
    )


class Effects:
    """Counts what is carried out; answers with the number of the effect."""

    def __init__(self) -> None:
        """Nothing has happened yet."""
        self.count = 0
        self.status = 200
        self._lock = threading.Lock()

    def __call__(self, _: Call) -> Reply:
        """Have an effect."""
        with self._lock:
            self.count += 1
            return Reply(status=self.status, headers=[], body=iter([b"effect ", b"%d" % self.count]))


def answer(reply: Reply) -> bytes:
    """Return a reply's body."""
    return reply.body if isinstance(reply.body, bytes) else b"".join(reply.body)


@pytest.fixture
def effects() -> Effects:
    """No effect yet."""
    return Effects()


def test_the_same_request_twice_has_one_effect(effects: Effects) -> None:
    """The second answer is the first one."""
    tokens, one = Tokens(), call(ClientToken="a", Size=1)

    answers = [answer(tokens.once(one, effects)) for _ in range(3)]

    assert answers == [b"effect 1"] * 3
    assert effects.count == 1


def test_other_parameters_are_a_mismatch(effects: Effects) -> None:
    """The same token for something else is refused and has no effect."""
    tokens = Tokens()
    tokens.once(call(ClientToken="a", Size=1), effects)

    with pytest.raises(AwsError) as caught:
        tokens.once(call(ClientToken="a", Size=2), effects)

    assert caught.value.code == "IdempotentParameterMismatch"
    assert effects.count == 1


@pytest.mark.parametrize(
    "other",
    [
        call(ClientToken="b", Size=1),
        call(ClientToken="a", Size=1, account="2" * 12),
        call(ClientToken="a", Size=1, region="us-east-1"),
        call("RunInstances", ClientToken="a", Size=1),
        call(Size=1),
        call("CreateSnapshots", ClientToken="a", Size=1),
        call(ClientToken="a", Size=1, DryRun=True),
    ],
    ids=["token", "account", "Region", "operation", "no token", "operation without tokens", "dry run"],
)
def test_a_token_belongs_to_its_account_region_and_operation(effects: Effects, other: Call) -> None:
    """What differs in one of these is another request."""
    tokens = Tokens()
    tokens.once(call(ClientToken="a", Size=1), effects)

    assert answer(tokens.once(other, effects)) == b"effect 2"


def test_a_failed_request_leaves_no_trace(effects: Effects) -> None:
    """Refused or failed, the token is free for another try, with other parameters too."""
    tokens, one = Tokens(), call(ClientToken="a", Size=1)
    effects.status = 400
    tokens.once(one, effects)

    def fail(_: Call) -> Reply:
        raise AwsError("InsufficientInstanceCapacity", "none left")

    with pytest.raises(AwsError):
        tokens.once(one, fail)
    effects.status = 200

    assert answer(tokens.once(call(ClientToken="a", Size=2), effects)) == b"effect 2"


def test_requests_at_the_same_time_wait_for_each_other() -> None:
    """Sixteen at once have one effect and hear one answer."""
    tokens, begun = Tokens(), threading.Barrier(16)
    effects = Effects()

    def ask(_: int) -> bytes:
        begun.wait()
        return answer(tokens.once(call(ClientToken="a", Size=1), effects))

    with ThreadPoolExecutor(16) as pool:
        answers = set(pool.map(ask, range(16)))

    assert answers == {b"effect 1"}
    assert effects.count == 1


def test_a_token_is_forgotten_after_a_day(effects: Effects) -> None:
    """EC2 remembers tokens at least that long, not for ever."""
    clock = FakeClock()
    tokens = Tokens(clock=lambda: clock.now().timestamp())
    tokens.once(call(ClientToken="a", Size=1), effects)

    clock.pass_by(timedelta(hours=23))
    assert answer(tokens.once(call(ClientToken="a", Size=1), effects)) == b"effect 1"
    clock.pass_by(timedelta(hours=2))
    assert answer(tokens.once(call(ClientToken="a", Size=2), effects)) == b"effect 2"
