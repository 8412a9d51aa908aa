"""What the ledger knows of the snapshots that incrementals compare with."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from support.clock import FakeClock

from orchestrator.ledger import points, things, workers
from orchestrator.ledger.points import ARCHIVED, RestorePoint, Standing
from orchestrator.ledger.store import Ledger

A, REGION = "222222222222", "eu-west-1"


def point(clock: FakeClock, name: str, day: int, **changes: Any) -> RestorePoint:
    """Return a restore point of one instance."""
    values: dict[str, Any] = {
        "id": name, "account": A, "region": REGION, "resource_id": "i-1", "repository": "main", "session": "s-1",
        "kind": "full", "status": "complete", "parent": None, "created_at": clock.now() + timedelta(days=day),
        "record": {"snapshots": {"vol-1": f"snap-{name}"}},
    }  # fmt: skip
    return RestorePoint(**{**values, **changes})


def test_the_newest_point_is_that_of_the_resource_in_the_repository(ledger: Ledger, clock: FakeClock) -> None:
    """Whatever its status; copies in an archive, other repositories and other resources have points of their own."""
    with ledger.write() as tx:
        for one in (
            point(clock, "rp-1", 1),
            point(clock, "rp-2", 2, status="damaged"),
            point(clock, "rp-3", 3, kind=ARCHIVED),
            point(clock, "rp-4", 4, repository="second"),
            point(clock, "rp-5", 5, resource_id="i-2", record={}),
        ):
            points.add(tx, one)

    with ledger.read() as tx:
        newest = points.newest(tx, A, REGION, "i-1", repository="main")
        none = points.newest(tx, A, REGION, "i-1", repository="third")
        standings = points.standings(tx, ["rp-1", "rp-2", "rp-4", "rp-5", "rp-unknown"])

    assert newest is not None
    assert (newest.id, none) == ("rp-2", None)
    assert standings == {
        "rp-1": Standing(is_newest=False, snapshots=frozenset({"snap-rp-1"})),
        "rp-2": Standing(is_newest=True, snapshots=frozenset({"snap-rp-2"})),
        "rp-4": Standing(is_newest=True, snapshots=frozenset({"snap-rp-4"})),
        "rp-5": Standing(is_newest=True, snapshots=frozenset()),
    }


def test_a_thing_is_found_by_the_id_that_aws_gave_it_whose_ever_it_is(ledger: Ledger) -> None:
    """By kind and id."""
    made = things.Thing(session="s-1", kind="snapshot", name="ours", account=A, region=REGION)
    with ledger.write() as tx:
        things.intend(tx, made)
        things.created(tx, "s-1", "snapshot", "ours", cloud_id="snap-1")

    with ledger.read() as tx:
        found = [(one.session, one.name) for one in things.called(tx, "snapshot", "snap-1")]
        others = [*things.called(tx, "volume", "snap-1"), *things.called(tx, "snapshot", "snap-2")]

    assert found == [("s-1", "ours")]
    assert others == []


def test_workers_are_counted_where_they_stand_until_they_are_terminated(ledger: Ledger) -> None:
    """For the share that each has of what AWS allows an account."""
    with ledger.write() as tx:
        for number, state in enumerate(("pending", "running", "terminated")):
            workers.enter(
                tx, instance_id=f"i-{number}", account=A, region=REGION, session="s-1", ordinal=number, attempt=1,
                role=None, state=state, instance_type="c5.large", availability_zone=f"{REGION}a",
            )  # fmt: skip

    with ledger.read() as tx:
        counts = [workers.count_alive(tx, A, REGION), workers.count_alive(tx, A, "eu-central-1")]

    assert counts == [2, 0]
