"""Named leases with fencing numbers."""

from __future__ import annotations

from datetime import timedelta

from support.clock import FakeClock

from orchestrator.ledger import leases
from orchestrator.ledger.store import Ledger

MINUTE = timedelta(minutes=1)


def acquire(ledger: Ledger, owner: str) -> int | None:
    """Ask for the one lease of these tests."""
    with ledger.write() as tx:
        return leases.acquire(tx, "chain", owner, MINUTE)


def test_a_lease_has_one_holder(ledger: Ledger) -> None:
    """Somebody else is refused while it runs."""
    assert acquire(ledger, "a") == 1
    assert acquire(ledger, "b") is None

    with ledger.read() as tx:
        assert leases.holder(tx, "chain") == "a"


def test_renewing_keeps_the_number_and_moves_the_end(ledger: Ledger, clock: FakeClock) -> None:
    """The holder may ask again at any time."""
    acquire(ledger, "a")
    clock.pass_by(MINUTE / 2)
    assert acquire(ledger, "a") == 1
    clock.pass_by(MINUTE * 0.9)

    assert acquire(ledger, "b") is None


def test_a_lease_that_ran_out_changes_hands_under_a_higher_number(ledger: Ledger, clock: FakeClock) -> None:
    """Also when the same one takes it again: somebody may have held it meanwhile."""
    acquire(ledger, "a")
    clock.pass_by(MINUTE)

    assert acquire(ledger, "b") == 2
    clock.pass_by(MINUTE)
    assert acquire(ledger, "b") == 3


def test_a_lease_given_back_is_free_and_its_number_grows_on(ledger: Ledger) -> None:
    """Only its holder can give it back, once."""
    acquire(ledger, "a")
    with ledger.write() as tx:
        assert not leases.release(tx, "chain", "b")
        assert leases.release(tx, "chain", "a")
        assert not leases.release(tx, "chain", "a")
        assert leases.holder(tx, "chain") is None

    assert acquire(ledger, "b") == 2


def test_a_lease_of_the_dead_changes_hands_at_once(ledger: Ledger) -> None:
    """Under a higher number; whoever may live keeps what it has."""
    acquire(ledger, "a")

    with ledger.write() as tx:
        assert leases.acquire(tx, "chain", "b", MINUTE, is_dead=lambda owner: owner == "c") is None
        assert leases.acquire(tx, "chain", "b", MINUTE, is_dead=lambda owner: owner == "a") == 2
        assert leases.holder(tx, "chain") == "b"
        assert leases.acquire(tx, "chain", "b", MINUTE, is_dead=lambda _owner: True) == 2
