"""Pools that are full, and for how long they are left alone."""

from __future__ import annotations

from datetime import timedelta

from support.clock import FakeClock

from orchestrator.ledger import pools
from orchestrator.ledger.pools import ANY, FullPools
from orchestrator.ledger.store import Ledger

PLACE = ("1" * 12, "eu-west-1")
RUNGS = [("c5.large", "subnet-a"), ("c5.large", "subnet-b"), ("c5a.large", "subnet-a"), ("c5a.large", "subnet-b")]


def mark(ledger: Ledger, instance_type: str, subnet: str) -> None:
    """Find a pool full."""
    with ledger.write() as tx:
        pools.mark(tx, *PLACE, instance_type=instance_type, subnet=subnet, reason="no capacity")


def full(ledger: Ledger) -> FullPools:
    """Return what is full now."""
    with ledger.read() as tx:
        return pools.full(tx, *PLACE)


def test_a_full_pool_is_passed_over_and_asked_again_after_a_while(ledger: Ledger, clock: FakeClock) -> None:
    """By everybody, in this account and Region alone."""
    mark(ledger, *RUNGS[0])

    assert full(ledger).first_free(RUNGS) == 1
    with ledger.read() as tx:
        assert pools.full(tx, PLACE[0], "eu-central-1").first_free(RUNGS) == 0
    clock.pass_by(pools.FULL)
    assert full(ledger).first_free(RUNGS) == 0


def test_a_subnet_without_addresses_is_full_for_every_type(ledger: Ledger) -> None:
    """Its other types are not tried."""
    mark(ledger, ANY, "subnet-a")

    assert [full(ledger).until(*one) is None for one in RUNGS] == [False, True, False, True]


def test_a_pool_that_stays_full_is_left_alone_for_longer_and_longer(ledger: Ledger, clock: FakeClock) -> None:
    """Three minutes, six, twelve, fifteen; after a long quiet time it begins anew."""
    spans = []
    for _ in range(5):
        mark(ledger, *RUNGS[0])
        until = full(ledger).until(*RUNGS[0])
        assert until is not None
        spans.append((until - clock.now()) // timedelta(minutes=1))
        clock.set(until)
    clock.pass_by(pools.LONGEST)
    mark(ledger, *RUNGS[0])

    assert spans == [3, 6, 12, 15, 15]
    assert full(ledger).until(*RUNGS[0]) == clock.now() + pools.FULL


def test_a_ladder_without_a_free_rung_says_when_one_may_be_asked(ledger: Ledger, clock: FakeClock) -> None:
    """The earliest of them."""
    for number, one in enumerate(RUNGS):
        assert full(ledger).opens(RUNGS) is None
        mark(ledger, *one)
        clock.pass_by(timedelta(seconds=number))

    assert full(ledger).first_free(RUNGS) is None
    assert full(ledger).opens(RUNGS) == full(ledger).until(*RUNGS[0])
    assert full(ledger).why(RUNGS) == "no capacity for c5.large, c5a.large in subnet-a, subnet-b: no capacity"


def test_an_account_at_its_quota_is_full_everywhere_until_there_is_room(ledger: Ledger) -> None:
    """A launch that succeeds, or a worker that ends, is proof of room."""
    mark(ledger, ANY, ANY)
    before = full(ledger)

    with ledger.write() as tx:
        pools.has_room(tx, *PLACE, instance_type=ANY, subnet=ANY)

    assert (before.first_free(RUNGS), before.at_quota) == (None, "no capacity")
    assert (full(ledger).first_free(RUNGS), full(ledger).at_quota) == (0, None)
