"""What AWS had room for, and how long it counts."""

from __future__ import annotations

from datetime import timedelta

from support.clock import FakeClock

from orchestrator.ledger import rooms
from orchestrator.ledger.rooms import LaunchRoom
from orchestrator.ledger.store import Ledger

PLACE = ("1" * 12, "eu-west-1")


def room(ledger: Ledger) -> LaunchRoom:
    """Return what is known now."""
    with ledger.read() as tx:
        return rooms.get(tx, *PLACE)


def test_nothing_is_known_of_a_place_that_nobody_has_looked_at(ledger: Ledger) -> None:
    """No limit follows from it."""
    assert room(ledger) == LaunchRoom()
    assert (room(ledger).free(["subnet-a"]), room(ledger).is_used_up("subnet-a")) == (None, False)


def test_what_we_launch_is_taken_off(ledger: Ledger) -> None:
    """Down to nothing; a subnet that AWS did not name stays unknown."""
    with ledger.write() as tx:
        rooms.note(tx, *PLACE, vcpus=8, addresses={"subnet-a": 3, "subnet-b": 2, "subnet-c": None})
        rooms.taken(tx, *PLACE, subnet="subnet-a", count=5)
        rooms.taken(tx, *PLACE, subnet="subnet-c", count=5)

    found = room(ledger)

    assert (found.vcpus, found.free(["subnet-a", "subnet-b", "subnet-a"])) == (8, 2)
    assert found.free(["subnet-a", "subnet-c"]) is None
    assert [found.is_used_up(f"subnet-{one}") for one in "abcd"] == [True, False, False, False]


def test_an_answer_is_asked_for_again_after_a_minute_and_forgotten_after_two(ledger: Ledger, clock: FakeClock) -> None:
    """Or earlier, when it says nothing of a subnet."""
    with ledger.write() as tx:
        rooms.note(tx, *PLACE, vcpus=None, addresses={"subnet-a": 3})
    with ledger.read() as tx:
        fresh = [rooms.is_fresh(tx, *PLACE, subnets) for subnets in (["subnet-a"], ["subnet-a", "subnet-b"])]

    clock.pass_by(rooms.FRESH)
    with ledger.read() as tx:
        fresh.append(rooms.is_fresh(tx, *PLACE, ["subnet-a"]))

    assert fresh == [True, False, False]
    assert room(ledger).addresses == {"subnet-a": 3}
    clock.pass_by(timedelta(minutes=1))
    assert room(ledger) == LaunchRoom()
