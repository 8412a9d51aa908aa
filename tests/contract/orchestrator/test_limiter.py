"""AWS's rates: the buckets in memory and the ones on a real server behave alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from redis import Redis
from support.clock import FakeClock
from support.fakes.limiter import MemoryLimiter
from support.servers import valkey, wait_for

from orchestrator.aws.rates import RATES, Bucket, used
from orchestrator.limiter import RedisLimiter
from orchestrator.ports import Limiter

PLACE = ("1" * 12, "eu-west-1")
RUN = RATES["RunInstances"]
NOTHING = timedelta()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server; each test's buckets are those of an install of its own."""
    with valkey(tmp_path_factory.mktemp("valkey")) as (url, _):
        yield url


@pytest.fixture(params=["memory", "redis"])
def limiter(request: pytest.FixtureRequest) -> Limiter:
    """Return each limiter in turn, with full buckets."""
    if request.param == "memory":
        return MemoryLimiter(FakeClock())
    return RedisLimiter(request.getfixturevalue("server"), request.node.name)


def test_a_burst_is_allowed_and_then_the_pace_is_awss(limiter: Limiter) -> None:
    """Five calls at once; the sixth has to wait for up to half a second."""
    burst = [limiter.take(*PLACE, "RunInstances") for _ in range(5)]
    wait = limiter.take(*PLACE, "RunInstances")

    assert burst == [NOTHING] * 5
    assert NOTHING < wait <= timedelta(seconds=1 / RUN.calls.refill)


def test_resources_have_a_bucket_of_their_own(limiter: Limiter) -> None:
    """A thousand instances in few calls; the next hundred take most of a minute."""
    waits = [limiter.take(*PLACE, "RunInstances", resources=500) for _ in range(2)]
    room = limiter.room(*PLACE, "RunInstances")
    wait = limiter.take(*PLACE, "RunInstances", resources=100)

    assert waits == [NOTHING] * 2
    assert room < 10
    assert timedelta(seconds=40) < wait <= timedelta(seconds=50)


def test_what_is_not_given_is_not_taken(limiter: Limiter) -> None:
    """Asking for too many resources costs no call."""
    limiter.take(*PLACE, "RunInstances", resources=900)
    refused = [limiter.take(*PLACE, "RunInstances", resources=500) for _ in range(20)]

    assert NOTHING not in refused
    assert limiter.take(*PLACE, "RunInstances", resources=50) == NOTHING


def test_places_and_apis_do_not_share(limiter: Limiter) -> None:
    """Each account, Region and API has buckets of its own."""
    for _ in range(5):
        limiter.take(*PLACE, "RunInstances")

    assert limiter.take(*PLACE, "RunInstances") != NOTHING
    assert limiter.take("2" * 12, PLACE[1], "RunInstances") == NOTHING
    assert limiter.take(PLACE[0], "us-east-1", "RunInstances") == NOTHING
    assert limiter.take(*PLACE, "TerminateInstances", resources=50) == NOTHING


def test_a_throttled_call_empties_the_bucket_and_slows_its_filling(limiter: Limiter) -> None:
    """The account has less than is documented, or somebody else uses it."""
    limiter.throttled(*PLACE, "RunInstances")
    first = limiter.take(*PLACE, "RunInstances")
    for _ in range(20):
        limiter.throttled(*PLACE, "RunInstances")
    last = limiter.take(*PLACE, "RunInstances")

    assert timedelta(seconds=0.6) < first < timedelta(seconds=0.75)
    assert timedelta(seconds=4) < last <= timedelta(seconds=5)


def test_more_than_a_full_bucket_is_given_when_it_is_full(limiter: Limiter) -> None:
    """Otherwise it would wait for ever."""
    assert limiter.take(*PLACE, "RunInstances", resources=5000) == NOTHING
    assert limiter.room(*PLACE, "RunInstances") < 10


def test_an_account_may_have_a_rate_of_its_own(limiter: Limiter) -> None:
    """As Service Quotas says; where it says nothing, the documented one counts, and nobody asks again for a day."""
    other = ("2" * 12, PLACE[1], "RunInstances")
    assert not limiter.knows(*PLACE, "RunInstances")
    limiter.learn(*PLACE, "RunInstances", (20, 10))
    limiter.learn(*other, None)

    given = [limiter.take(*PLACE, "RunInstances") for _ in range(20)].count(NOTHING)

    assert (given, limiter.knows(*PLACE, "RunInstances"), limiter.knows(*other)) == (20, True, True)
    assert limiter.take(*PLACE, "RunInstances") <= timedelta(seconds=0.1)
    assert [limiter.take(*other) == NOTHING for _ in range(6)] == [True] * 5 + [False]


def test_a_server_that_has_lost_everything_has_full_buckets_of_the_documented_size(server: str) -> None:
    """What was learnt of an account is asked for again."""
    limiter = RedisLimiter(server, "forgetful")
    limiter.learn(*PLACE, "RunInstances", (1, 0.001))
    limiter.take(*PLACE, "RunInstances")
    limiter.throttled(*PLACE, "RunInstances")

    Redis.from_url(server).flushall()

    assert not limiter.knows(*PLACE, "RunInstances")
    assert [limiter.take(*PLACE, "RunInstances") for _ in range(5)] == [NOTHING] * 5


def test_calls_that_overtake_each_other_are_not_too_many() -> None:
    """Two in a hundred are never used, for AWS counts calls as they arrive; a small bucket is used whole."""
    assert used(RATES["CreateSnapshots"].calls) == Bucket(98, 5)
    assert used(RUN.calls) == RUN.calls


def test_who_keeps_a_part_for_others_leaves_it_to_them(limiter: Limiter) -> None:
    """A fifth of about a hundred calls: the rest is for the patient, this one for those who remove."""
    patient = [limiter.take(*PLACE, "DeleteVolume", keep=0.2) for _ in range(100)]
    others = [limiter.take(*PLACE, "DeleteVolume") for _ in range(15)]

    assert 78 <= patient.count(NOTHING) < 100
    assert patient[-1] > NOTHING
    assert others == [NOTHING] * 15


def test_there_is_no_room_while_no_call_can_be_made(limiter: Limiter) -> None:
    """Whoever asks for room wants to make a call."""
    for _ in range(5):
        limiter.take(*PLACE, "RunInstances", resources=1)

    assert limiter.room(*PLACE, "RunInstances") == 0


def test_buckets_fill_again(server: str) -> None:
    """By the server's own clock."""
    limiter = RedisLimiter(server, "fills")
    for _ in range(5):
        limiter.take(*PLACE, "RunInstances")

    wait_for(lambda: limiter.take(*PLACE, "RunInstances") == NOTHING, seconds=10)


def test_buckets_fill_again_in_memory() -> None:
    """By the test's clock; the rate recovers too."""
    clock = FakeClock()
    limiter = MemoryLimiter(clock)
    limiter.throttled(*PLACE, "RunInstances")

    clock.pass_by(timedelta(minutes=3))

    assert [limiter.take(*PLACE, "RunInstances") for _ in range(5)] == [NOTHING] * 5
    assert limiter.take(*PLACE, "RunInstances") == timedelta(seconds=0.5)


def test_many_processes_together_get_no_more_than_the_burst(server: str) -> None:
    """Each with a connection of its own."""
    limiters = [RedisLimiter(server, "together") for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(lambda one: one.take(*PLACE, "DeleteVolume"), limiters * 25))

    given = waits.count(NOTHING)
    assert used(RATES["DeleteVolume"].calls).burst <= given < 200


@contextmanager
def _no_server(directory: Path) -> Iterator[str]:
    with valkey(directory) as (url, process):
        process.kill()
        process.wait()
        yield url


def test_without_the_server_calls_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """AWS's own throttling is the second line; nothing raises."""
    with _no_server(tmp_path) as url:
        limiter = RedisLimiter(url, "nobody")
        deeds: list[Callable[[], object]] = [
            lambda: limiter.take(*PLACE, "RunInstances", resources=5000),
            lambda: limiter.room(*PLACE, "RunInstances"),
            lambda: limiter.throttled(*PLACE, "RunInstances"),
        ]

        assert [deed() for deed in deeds] == [NOTHING, 1000, None]
    assert "limiter does not answer" in capsys.readouterr().out
