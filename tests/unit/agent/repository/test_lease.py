"""One writer per chain; who was overtaken is told before it publishes."""

from __future__ import annotations

import pytest
from support.repositories import CHAIN, Watched, memory_repository

from agent.repository.errors import Busy, Fenced, Unreachable
from agent.repository.layout import lease_key, lease_prefix
from agent.repository.lease import SKEW, TERM, Lease, acquire
from agent.repository.repository import Repository


class Time:
    """A clock that waiting moves."""

    def __init__(self) -> None:
        """Begin anywhere."""
        self.now = 1000.0
        self.waited: list[float] = []

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        self.waited.append(seconds)
        self.now += seconds


def take(repository: Repository, time: Time, owner: str) -> Lease:
    """Acquire the chain's lease."""
    return acquire(repository.objects, repository.ring, CHAIN, owner=owner, pause=time.pause, clock=time)


def test_the_first_writer_gets_the_chain_at_once() -> None:
    """A chain that nobody ever wrote has no lease to wait for."""
    repository, time = memory_repository(), Time()

    lease = take(repository, time, "i-1")

    lease.hold()
    assert lease.fence == 1
    assert time.waited == []


def test_a_released_chain_is_free_at_once_under_a_higher_number() -> None:
    """Numbers grow from writer to writer; only the newest object stays."""
    repository, time = memory_repository(), Time()
    take(repository, time, "i-1").release()

    lease = take(repository, time, "i-2")

    lease.hold()
    assert lease.fence == 2
    assert time.waited == []
    assert [entry.key for entry in repository.objects.list(lease_prefix(CHAIN))] == [lease_key(CHAIN, 2)]


def test_a_living_writer_keeps_the_chain() -> None:
    """Who finds the chain taken, and renewed while waiting, gives up and names the holder."""
    repository, time = memory_repository(), Time()
    first = take(repository, time, "i-first")

    def pause(seconds: float) -> None:
        time.pause(seconds)
        first.renew()

    with pytest.raises(Busy, match="i-first"):
        acquire(repository.objects, repository.ring, CHAIN, owner="i-2", pause=pause, clock=time)
    first.hold()


def test_nobody_waits_for_a_writer_that_is_known_to_have_ended() -> None:
    """Its lease counts on; its machine is gone. Who is not named keeps what it has."""
    repository, time = memory_repository(), Time()
    ended = take(repository, time, "i-ended")

    lease = acquire(
        repository.objects,
        repository.ring,
        CHAIN,
        owner="i-2",
        pause=time.pause,
        clock=time,
        ended=frozenset({"i-ended"}),
    )

    lease.hold()
    assert lease.fence == 2
    assert time.waited == []
    with pytest.raises(Fenced):
        ended.hold()


def test_a_dead_writers_chain_is_taken_over_when_its_time_is_up() -> None:
    """Waiting for a holder that renews nothing ends with the chain."""
    repository, time = memory_repository(), Time()
    dead = take(repository, time, "i-dead")

    lease = take(repository, time, "i-2")

    assert TERM < sum(time.waited) <= TERM + SKEW + 1
    lease.hold()
    with pytest.raises(Fenced):
        dead.hold()


def test_a_writer_that_slept_goes_on_when_nobody_took_over() -> None:
    """A lease that ran out is still its holder's as long as its number is the highest."""
    repository, time = memory_repository(), Time()
    lease = take(repository, time, "i-1")
    time.now += 10 * TERM

    lease.hold()


def test_an_overtaken_writer_cannot_come_back() -> None:
    """Neither by renewing, nor when the newer writer has given the chain back."""
    repository, time = memory_repository(), Time()
    old = take(repository, time, "i-old")
    time.now += TERM + SKEW + 1
    take(repository, time, "i-new").release()

    old.renew()

    with pytest.raises(Fenced):
        old.hold()


def test_of_two_writers_at_the_same_moment_one_gets_the_chain() -> None:
    """Both see a free chain and create the same number; one of them hears that it exists."""
    objects = Watched()
    repository, time = memory_repository(objects), Time()
    inner: list[Lease] = []

    def before(what: str, key: str) -> None:
        if what == "put" and key.startswith("lease/") and not inner:
            objects.before = lambda _what, _key: None
            inner.append(take(repository, time, "i-faster"))

    repository.ring.current()
    objects.before = before

    with pytest.raises(Busy, match="i-faster"):
        acquire(
            objects,
            repository.ring,
            CHAIN,
            owner="i-slower",
            pause=lambda seconds: (time.pause(seconds), inner[0].renew())[0],
            clock=time,
        )
    inner[0].hold()


def test_a_renewal_that_fails_is_no_end() -> None:
    """The store may be away for a moment; the lease counts on."""
    objects = Watched()
    repository, time = memory_repository(objects), Time()
    lease = take(repository, time, "i-1")

    def away(_what: str, key: str) -> None:
        raise Unreachable(f"{key}: away")

    objects.before = away
    with pytest.raises(Unreachable):
        lease.renew()
    objects.before = lambda _what, _key: None

    lease.hold()


def test_releasing_twice_or_without_a_store_is_quiet() -> None:
    """The end of a job is not spoiled by its lease."""
    objects = Watched()
    repository, time = memory_repository(objects), Time()
    lease = take(repository, time, "i-1")

    def away(_what: str, key: str) -> None:
        raise Unreachable(f"{key}: away")

    objects.before = away
    lease.release()
    lease.release()
    objects.before = lambda _what, _key: None

    assert take(repository, time, "i-2").fence == 2


def test_chains_do_not_disturb_each_other() -> None:
    """A lease is one resource's."""
    from agent.repository.layout import Chain

    repository, time = memory_repository(), Time()
    other = Chain(account=CHAIN.account, region=CHAIN.region, resource=f"{CHAIN.resource}0")
    take(repository, time, "i-1").hold()

    lease = acquire(repository.objects, repository.ring, other, owner="i-2", pause=time.pause, clock=time)

    lease.hold()
    assert time.waited == []
