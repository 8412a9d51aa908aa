"""The promises of `orchestrator.ports.Databases` and `orchestrator.ports.FileSystems`."""

from __future__ import annotations

import itertools

import pytest
from support.data_lab import add_database, add_file_system, reader
from support.labs import FIRST, Lab

from orchestrator.errors import AccessDenied
from orchestrator.ports import Databases, FileSystems

_numbers = itertools.count(1)


@pytest.fixture
def databases(lab: Lab) -> Databases:
    """RDS as a role sees it that may describe."""
    return lab.cloud.databases(reader(lab))


@pytest.fixture
def file_systems(lab: Lab) -> FileSystems:
    """EFS as a role sees it that may describe."""
    return lab.cloud.file_systems(reader(lab))


def team() -> str:
    """Return a value for a tag that nothing else carries."""
    return f"team-{next(_numbers)}"


def test_db_instances_are_described_and_unknown_ones_left_out(lab: Lab, databases: Databases) -> None:
    """What does not exist is no error, also when nothing else is asked for."""
    known = add_database(lab, team=team())

    found = databases.databases([known.id, "nobody"])

    assert list(found) == [known.id]
    shown = found[known.id]
    assert (shown.engine, shown.engine_version, shown.state, shown.size_gib, shown.vpc, shown.port) == (
        "postgres", "16.3", "available", 20, known.vpc, 5432,
    )  # fmt: skip
    assert dict(shown.tags) == dict(known.tags)
    assert databases.databases(["nobody"]) == {}
    assert databases.databases([]) == {}


def test_db_instances_are_found_by_all_of_their_tags(lab: Lab, databases: Databases) -> None:
    """One tag that does not fit is enough to be left out; stars stand for any text."""
    mine = team()
    known = add_database(lab, team=mine, backup="daily")

    assert databases.find_databases({"team": mine, "backup": "daily"}) == [known.id]
    assert databases.find_databases({"team": mine, "backup": "da*"}) == [known.id]
    assert databases.find_databases({"team": mine, "backup": "weekly"}) == []


def test_file_systems_are_described_with_their_mount_targets(lab: Lab, file_systems: FileSystems) -> None:
    """Each with its zone, VPC and security groups; what does not exist is left out."""
    known = add_file_system(lab, team=team())

    found = file_systems.file_systems([known.id, "fs-0123456789abcdef0"])

    assert list(found) == [known.id]
    target, expected = found[known.id].mount_targets[0], known.mount_targets[0]
    assert (target.id, target.subnet, target.availability_zone, target.vpc, target.state, target.security_groups) == (
        expected.id, expected.subnet, expected.availability_zone, expected.vpc, "available", expected.security_groups,
    )  # fmt: skip
    assert found[known.id].state == "available"


def test_many_file_systems_are_described_at_once(lab: Lab, file_systems: FileSystems) -> None:
    """More than are asked for one by one."""
    known = [add_file_system(lab).id for _ in range(6)]

    assert sorted(file_systems.file_systems([*known, "fs-0123456789abcdef0"])) == sorted(known)
    assert file_systems.file_systems([]) == {}


def test_file_systems_are_found_by_all_of_their_tags(lab: Lab, file_systems: FileSystems) -> None:
    """One tag that does not fit is enough to be left out."""
    mine = team()
    known = add_file_system(lab, team=mine, backup="daily")

    assert file_systems.find_file_systems({"team": mine, "backup": "daily"}) == [known.id]
    assert file_systems.find_file_systems({"team": mine, "backup": "weekly"}) == []


def test_a_role_that_cannot_be_assumed_is_refused_with_a_remedy(lab: Lab) -> None:
    """As everywhere."""
    access = lab.access(FIRST, "backup")
    cloud = lab.wrong_cloud()

    for call in (
        lambda: cloud.databases(access).databases(["a"]),
        lambda: cloud.file_systems(access).file_systems(["fs-1"]),
    ):
        with pytest.raises(AccessDenied) as caught:
            call()
        assert caught.value.remedy
