"""The write-ahead record of the cloud, restore points, and the registry's versions."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from support.clock import FakeClock

from orchestrator.errors import NotFound
from orchestrator.ledger import points, registry, schema, things
from orchestrator.ledger.store import Ledger
from orchestrator.model.account import Registry

ROLE = things.Thing(session="s-1", kind="role", name="daywork-s-1", account="1" * 12, region="eu-west-1")


def test_a_thing_is_intended_made_and_removed(ledger: Ledger, clock: FakeClock) -> None:
    """Each with its own moment; what was seen to be gone stays gone."""
    began = clock.now()
    with ledger.write() as tx:
        things.intend(tx, ROLE)
    clock.pass_by(timedelta(seconds=1))
    for _ in range(2):
        with ledger.write() as tx:
            things.created(tx, "s-1", "role", ROLE.name, cloud_id="AROA1", path="/daywork/")
        clock.pass_by(timedelta(seconds=1))
    for _ in range(2):
        with ledger.write() as tx:
            things.removed(tx, "s-1", "role", ROLE.name)
            things.created(tx, "s-1", "role", ROLE.name, cloud_id="AROA2")
        clock.pass_by(timedelta(seconds=1))

    with ledger.read() as tx:
        found = things.find(tx, "s-1", "role", ROLE.name)
        present = things.of_session(tx, "s-1", present=True)

    assert found is not None
    assert (found.state, found.cloud_id, found.details) == (things.REMOVED, "AROA1", {"path": "/daywork/"})
    assert [found.intended_at, found.created_at, found.removed_at] == [
        began,
        began + timedelta(seconds=1),
        began + timedelta(seconds=3),
    ]
    assert present == []


def test_intending_again_tells_what_is_known(ledger: Ledger) -> None:
    """A step that runs again learns that it made the thing already."""
    with ledger.write() as tx:
        things.intend(tx, ROLE)
        things.created(tx, "s-1", "role", ROLE.name, cloud_id="AROA1")

    with ledger.write() as tx:
        known = things.intend(tx, ROLE)

    assert (known.state, known.cloud_id) == (things.CREATED, "AROA1")


def test_things_are_listed_by_resource_and_kind(ledger: Ledger) -> None:
    """In the order of intent."""
    with ledger.write() as tx:
        for ordinal, kind in ((0, "snapshot"), (0, "instance"), (1, "snapshot")):
            things.intend(
                tx,
                things.Thing(
                    session="s-1", kind=kind, name=f"{kind}-{ordinal}", account="1" * 12, region="r", ordinal=ordinal
                ),
            )
        things.keep(tx, "s-1", "snapshot", "snapshot-1")

    with ledger.read() as tx:
        of_first = things.of_session(tx, "s-1", ordinal=0)
        snapshots = things.of_session(tx, "s-1", kinds=["snapshot"])

    assert [one.name for one in of_first] == ["snapshot-0", "instance-0"]
    assert [(one.name, one.keep) for one in snapshots] == [("snapshot-0", False), ("snapshot-1", True)]


def test_a_restore_point_is_written_once(ledger: Ledger, clock: FakeClock) -> None:
    """Repeating it changes nothing; the newest comes first."""

    def point(number: int) -> points.RestorePoint:
        return points.RestorePoint(
            id=f"rp-{number}", account="1" * 12, region="r", resource_id="i-1", repository="main", session="s-1",
            kind="full", status="complete", parent=None, record={"number": number},
            created_at=clock.now() + timedelta(hours=number),
        )  # fmt: skip

    with ledger.write() as tx:
        for number in (1, 2, 1):
            points.add(tx, point(number))

    with ledger.read() as tx:
        assert points.of_resource(tx, "1" * 12, "r", "i-1") == [point(2), point(1)]
        assert points.recent(tx, limit=1) == [point(2)]
        assert points.get(tx, "rp-1") == point(1)
        with pytest.raises(NotFound, match="rp-9"):
            points.get(tx, "rp-9")


def document(regions: list[str]) -> Registry:
    """Return a registry of one account and one repository."""
    account = {"id": "1" * 12, "name": "backup", "regions": regions, "roles": {}}
    repository = {
        "name": "main", "url": "s3://bucket/prefix", "region": "eu-west-1", "account": "1" * 12,
        "key": {"kms": "arn:aws:kms:eu-west-1:111111111111:key/1"},
    }  # fmt: skip
    return Registry.model_validate({"accounts": [account], "repositories": [repository]})


def test_a_changed_registry_is_a_new_version(ledger: Ledger) -> None:
    """Applying the same again is none."""
    for regions in (["eu-west-1"], ["eu-west-1"], ["eu-west-1", "eu-central-1"]):
        with ledger.write() as tx:
            registry.apply(tx, document(regions))

    with ledger.read() as tx:
        assert registry.load(tx) == document(["eu-west-1", "eu-central-1"])
        assert registry.account(tx, "backup") == registry.account(tx, "1" * 12)
        assert registry.repository(tx, None) == registry.repository(tx, "main")
        versions = [tx.rows(sa.select(table.c.version))[0][0] for table in (schema.accounts, schema.repositories)]
        assert versions == [2, 1]


def test_unregistered_names_are_told_with_their_field(ledger: Ledger) -> None:
    """The remedy is the command that registers them."""
    with ledger.read() as tx:
        with pytest.raises(NotFound, match=r"resources\[0\]\.account.*nobody.*account apply"):
            registry.account(tx, "nobody", field="resources[0].account")
        with pytest.raises(NotFound, match="name one of the registered"):
            registry.repository(tx, None)
