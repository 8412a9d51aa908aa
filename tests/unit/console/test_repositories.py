"""Restore points are entered from what their repositories hold, with whatever is wrong with some of them named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from support.clock import FakeClock
from support.ledgers import Databases, open_ledger
from support.repositories import CHAIN, FakeKeys, Watched, flip, memory_repository

from agent.repository.damage import BadObject, Damage, write_damage
from agent.repository.head import Head, Volume, encode_head
from agent.repository.layout import point_key
from agent.repository.repository import Repository, open_repository
from agent.repository.seal import pack_document, seal
from console.repositories import RepositoryShelf
from orchestrator import importing
from orchestrator.errors import Permanent
from orchestrator.importing import Imported, import_points
from orchestrator.ledger import points
from orchestrator.ledger.store import Ledger

OURS = "test"
ATTRIBUTES = {"volumeId": "vol-1", "device": "/dev/xvda", "sizeGib": 8, "type": "gp3", "encrypted": True}


@pytest.fixture
def ledger(all_databases: Databases) -> Iterator[Ledger]:
    """An empty ledger."""
    with all_databases.migrated("sqlite") as url, open_ledger(url, FakeClock()) as opened:
        yield opened


@pytest.fixture
def keys() -> FakeKeys:
    """The service that wraps the repository's keys."""
    return FakeKeys()


@pytest.fixture
def repository(keys: FakeKeys) -> Repository:
    """A repository in memory without any point."""
    return memory_repository(service=keys)


def write(repository: Repository, point: str, **changes: Any) -> str:
    """Write a restore point's head; return its key."""
    values: dict[str, Any] = {
        "point": point,
        "account": CHAIN.account,
        "region": CHAIN.region,
        "resource": CHAIN.resource,
        "created_at": "2026-11-23T02:00:00.000Z",
        "finished_at": "2026-11-23T02:10:00.000Z",
        "kind": "full",
        "parent": None,
        "consistency": "crash",
        "writer": "i-worker",
        "fence": 1,
        "volumes": (volume(),),
        "configuration": {"instanceType": "t3.small"},
        "figures": {"blocksRead": 9},
        "install": OURS,
        "session": "s-1",
    }
    key = point_key(CHAIN, point)
    key_id, data_key = repository.ring.current()
    head = Head(**{**values, **changes})
    repository.objects.create(key, encode_head(head, place=key, key_id=key_id, data_key=data_key))
    return key


def volume(**attributes: Any) -> Volume:
    """Return a volume of a head, with what a backup keeps of it."""
    return Volume(
        volume_id="vol-1",
        snapshot_id="snap-1",
        size_bytes=8 * 1024**3,
        device="/dev/xvda",
        blocks=9,
        segments=(),
        attributes={**ATTRIBUTES, **attributes},
    )


def take_in(ledger: Ledger, repository: Repository, **options: Any) -> Imported:
    """Import the repository as a process that has just opened it."""
    opened = open_repository(repository.objects, repository.ring._service)
    return import_points(ledger, "main", RepositoryShelf("main", opened), install=OURS, **options)


def ids(ledger: Ledger) -> list[str]:
    """Return what the ledger knows."""
    with ledger.read() as tx:
        return sorted(one.id for one in points.recent(tx))


def test_a_point_is_entered_as_its_own_backup_would_have_entered_it(ledger: Ledger, repository: Repository) -> None:
    """All that a restore is planned from, and where it came from."""
    write(repository, "rp-1")
    write(repository, "rp-2", kind="incremental", parent="rp-1")

    done = take_in(ledger, repository)

    assert (done.entered, done.known, done.is_whole) == (2, 0, True)
    with ledger.read() as tx:
        first, second = points.get(tx, "rp-1"), points.get(tx, "rp-2")
    assert (first.account, first.region, first.resource_id) == (CHAIN.account, CHAIN.region, CHAIN.resource)
    assert (first.repository, first.session, first.kind, first.status) == ("main", "s-1", "full", "complete")
    assert first.created_at.isoformat() == "2026-11-23T02:00:00+00:00"
    assert first.record == {
        "volumes": [{**ATTRIBUTES, "attributes": {}}],
        "configuration": {"instanceType": "t3.small"},
        "consistency": "crash",
        "figures": {"blocksRead": 9},
        "snapshots": {"vol-1": "snap-1"},
    }
    assert (second.kind, second.parent) == ("incremental", "rp-1")


def test_importing_again_reads_nothing_twice(ledger: Ledger, repository: Repository) -> None:
    """What is known is left as it is; what has come since is entered."""
    write(repository, "rp-1")
    take_in(ledger, repository)
    write(repository, "rp-2")
    objects = repository.objects
    assert isinstance(objects, Watched)
    objects.read.clear()

    done = take_in(ledger, repository)

    assert (done.entered, done.known) == (1, 1)
    assert point_key(CHAIN, "rp-1") not in objects.read
    assert ids(ledger) == ["rp-1", "rp-2"]


def test_more_points_than_fit_into_one_batch_are_entered(
    ledger: Ledger, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And an import that was stopped half-way goes on where it was."""
    monkeypatch.setattr(importing, "BATCH", 4)
    for number in range(9):
        write(repository, f"rp-{number}")
    read = RepositoryShelf.read

    def stops(shelf: RepositoryShelf, places: Any) -> Any:
        if any(one.point == "rp-5" for one in places):
            raise KeyboardInterrupt
        return read(shelf, places)

    with monkeypatch.context() as patch:
        patch.setattr(RepositoryShelf, "read", stops)
        with pytest.raises(KeyboardInterrupt):
            take_in(ledger, repository)
    assert len(ids(ledger)) == 4

    done = take_in(ledger, repository)

    assert (done.entered, done.known) == (5, 4)


def test_damaged_points_are_named_and_the_others_entered(ledger: Ledger, repository: Repository) -> None:
    """Flipped, swapped, cut, of a later format, without sense, or not a point at all."""
    objects = repository.objects
    assert isinstance(objects, Watched)
    write(repository, "rp-good")
    objects.replace(write(repository, "rp-flipped"), flip)
    objects.swap(write(repository, "rp-swapped1"), write(repository, "rp-swapped2"))
    objects.replace(write(repository, "rp-cut"), lambda content: content.__delitem__(slice(10, None)))
    write(repository, "rp-senseless", volumes=(volume(sizeGib="much"),))
    write(repository, "rp-timeless", created_at="yesterday")
    later = point_key(CHAIN, "rp-later")
    key_id, data_key = repository.ring.current()
    objects.create(later, seal(pack_document({"format": 2}), place=later, key_id=key_id, data_key=data_key))
    objects.create("rp/stray", b"?")
    objects.create("rp/a b/c/d/rp-odd", b"?")

    done = take_in(ledger, repository)

    assert ids(ledger) == ["rp-good"]
    assert done.entered == 1
    assert sorted(one.name.rpartition("/")[2] for one in done.unread) == [
        "rp-cut", "rp-flipped", "rp-later", "rp-odd", "rp-senseless", "rp-swapped1", "rp-swapped2", "rp-timeless",
        "stray",
    ]  # fmt: skip
    assert all(one.reason for one in done.unread)


def test_points_of_another_install_are_refused_until_they_are_adopted(ledger: Ledger, repository: Repository) -> None:
    """Counted by whose they are; those of before it was written down are ours."""
    write(repository, "rp-ours")
    write(repository, "rp-old", install="")
    write(repository, "rp-theirs1", install="other")
    write(repository, "rp-theirs2", install="other")

    refused = take_in(ledger, repository)

    assert (refused.entered, dict(refused.foreign), refused.is_whole) == (2, {"other": 2}, False)
    assert ids(ledger) == ["rp-old", "rp-ours"]

    adopted = take_in(ledger, repository, adopt=True)

    assert (adopted.entered, dict(adopted.foreign), adopted.is_whole) == (2, {}, True)
    assert len(ids(ledger)) == 4


def test_a_lost_key_is_told_once_and_not_for_every_point(
    ledger: Ledger, repository: Repository, keys: FakeKeys
) -> None:
    """Without it nothing in the repository can be read."""
    for number in range(3):
        write(repository, f"rp-{number}")
    keys.forget(keys.name)

    with pytest.raises(Permanent, match=r"repository main: the repository's key .* cannot be used"):
        take_in(ledger, repository)
    assert ids(ledger) == []


def test_what_a_health_check_has_found_is_known_again(ledger: Ledger, repository: Repository) -> None:
    """A damaged point is entered as damaged, one that is well again as complete."""
    for name in ("rp-1", "rp-2", "rp-3"):
        write(repository, name)
    lost = BadObject(key="map/one", reason="gone")
    write_damage(repository, CHAIN, Damage(point="rp-1", found_at="2026-11-24T02:00:00.000Z", objects=(lost,)))
    write_damage(repository, CHAIN, Damage(point="rp-2", found_at="2026-11-24T02:00:00.000Z"))

    take_in(ledger, repository)

    with ledger.read() as tx:
        found = {name: points.get(tx, name).status for name in ("rp-1", "rp-2", "rp-3")}
    assert found == {"rp-1": "damaged", "rp-2": "complete", "rp-3": "complete"}
