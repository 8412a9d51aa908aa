"""The catalogue as a table: every row of OPERATIONS section 2, written down a second time by hand."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.errors import Refused
from orchestrator.model.catalogue import Attached, Deployment, Purpose, Row, Source
from orchestrator.model.status import DeploymentMode
from orchestrator.operations import CATALOGUE, ROWS, available, operation

BACKUP, PRODUCTION = DeploymentMode.BACKUP, DeploymentMode.PRODUCTION
GB, TB = 1024**3, 1024**4

_DEPLOYED = ("workerDeployment", "temporary")
_NONE = "the repository alone"
_BY_VOLUME = (
    (0, "c5.large"), (TB - 1, "c5.large"), (TB, "c5.2xlarge"), (16 * TB - 1, "c5.2xlarge"), (16 * TB, "c5.4xlarge"),
)  # fmt: skip
_BY_DELETION = (
    (0, "c5.large"), (3 * TB - 1, "c5.large"), (3 * TB, "c5.xlarge"), (6 * TB - 1, "c5.xlarge"), (6 * TB, "c5.2xlarge"),
    (13 * TB - 1, "c5.2xlarge"), (13 * TB, "c5.4xlarge"),
)  # fmt: skip


def _any(kind: str) -> tuple[tuple[int, str], ...]:
    return ((0, kind), (100 * TB, kind))


#: number -> operation, an id of a resource; what backup and production mode say: (deploying role, attached role), or
#: words of the reason of the refusal; default; place; (bytes, first instance type) on both sides of each bound.
TABLE: dict[str, tuple[str, str, Any, Any, DeploymentMode, str, tuple[tuple[int, str], ...]]] = {
    "1": (
        "ec2-backup", "i-0a", _DEPLOYED, ("backup", "worker"), BACKUP,
        "Region of the instance, any configured zone", _BY_VOLUME,
    ),
    "2": (
        "ec2-restore-instance", "rp-1", _DEPLOYED, ("restore", "worker"), BACKUP, "Region restored to", _BY_VOLUME,
    ),
    "3": ("ec2-restore-volume", "rp-1", _DEPLOYED, ("restore", "worker"), BACKUP, "Region restored to", _BY_VOLUME),
    "4": ("ec2-restore-files", "rp-1", _DEPLOYED, _NONE, BACKUP, "Region of the repository", _any("t3.medium")),
    "4b": (
        "ec2-restore-files", "snap-0a", _DEPLOYED, ("files", "files"), BACKUP, "Region of the snapshot",
        _any("t3.medium"),
    ),
    "5": ("ec2-retention", "i-0a", _DEPLOYED, _NONE, BACKUP, "Region of the repository", _BY_DELETION),
    "6": ("ec2-archive", "rp-1", _DEPLOYED, _NONE, BACKUP, "Region of the standard repository", _any("c5.2xlarge")),
    "7": ("rds-archive", "rp-1", _DEPLOYED, _NONE, BACKUP, "Region of the standard repository", _any("c5.2xlarge")),
    "8": ("ec2-health-check", "rp-1", _DEPLOYED, _NONE, BACKUP, "Region of the repository", _BY_VOLUME),
    "9": ("rds-health-check", "rp-1", _DEPLOYED, _NONE, BACKUP, "Region of the repository", _any("c5.large")),
    "10": (
        "efs-index", "fs-0a", "VPC and zone of a mount target", ("backupEfs", "worker"), PRODUCTION,
        "Region, zone and VPC of a mount target", _any("t3.medium"),
    ),
    "11": (
        "rds-backup", "erp", "VPC of the DB instance", ("backupRds", "worker"), PRODUCTION,
        "Region and VPC of the DB instance", ((80 * GB - 1, "c5.large"), (80 * GB, "c5.xlarge")),
    ),
    "12": (
        "rds-restore-database", "rp-1", "VPC of the DB instance", ("restoreRds", "worker"), PRODUCTION,
        "Region and VPC of the target DB instance", _any("c5.large"),
    ),
}  # fmt: skip

CELLS = [(number, mode) for number in TABLE for mode in DeploymentMode]
SIZES = [(number, *one) for number, line in TABLE.items() for one in line[6]]


def row(number: str) -> Row:
    """Return the row that the catalogue finds for the line's operation and resource."""
    name, resource = TABLE[number][:2]
    return CATALOGUE[name].row(resource)


def test_the_catalogue_has_these_rows_and_no_other() -> None:
    """A new operation needs a line in this table."""
    assert [one.number for one in ROWS] == list(TABLE)
    assert list(CATALOGUE) == list(dict.fromkeys(line[0] for line in TABLE.values()))


@pytest.mark.parametrize("number", TABLE)
def test_an_operation_and_a_resource_lead_to_their_row(number: str) -> None:
    """Only the restore of files has two: the form of the id decides."""
    found = row(number)

    assert (found.number, found.default, found.place) == (number, TABLE[number][4], TABLE[number][5])
    assert CATALOGUE[found.operation].default is found.default
    assert found.title


@pytest.mark.parametrize(("number", "mode"), CELLS)
def test_every_cell_is_a_deployment_or_a_refusal_with_its_reason(number: str, mode: DeploymentMode) -> None:
    """A refusal names the operation, the mode asked for, the modes allowed and the reason."""
    expected = TABLE[number][2 if mode is BACKUP else 3]
    found = row(number)
    if isinstance(expected, tuple):
        cell = found.deployment(mode)
        assert (cell.deploying, cell.attached) == expected
        assert mode in found.modes
        return

    with pytest.raises(Refused) as caught:
        found.deployment(mode)

    shown = str(caught.value)
    assert caught.value.field == "mode"
    assert caught.value.remedy
    allowed = PRODUCTION if mode is BACKUP else BACKUP
    assert all(words in shown for words in (TABLE[number][0], f"in {mode} mode", f"allowed is {allowed}", expected))


@pytest.mark.parametrize(("number", "size", "kind"), SIZES)
def test_the_first_instance_type_follows_from_the_size(number: str, size: int, kind: str) -> None:
    """Last column, on both sides of each bound, in bytes as EC2 and RDS count them."""
    assert row(number).instance_types(size)[0] == kind


@pytest.mark.parametrize("number", TABLE)
def test_the_deploying_role_in_production_is_the_operations_own(number: str) -> None:
    """OPERATIONS section 1; in backup mode it is the worker deployment role, whoever reads the source."""
    found = row(number)

    if isinstance(found.production, Deployment):
        assert found.production.deploying is found.own
        assert found.production.attached in (Attached.WORKER, Attached.FILES)
    if isinstance(found.backup, Deployment):
        assert found.backup == Deployment(deploying=Purpose.DEPLOYMENT, attached=Attached.TEMPORARY)
    assert found.modes


@pytest.mark.parametrize("name", CATALOGUE)
@pytest.mark.parametrize("mode", DeploymentMode)
def test_a_mode_that_no_row_allows_is_refused_for_the_whole_operation(name: str, mode: DeploymentMode) -> None:
    """One that some row allows is refused for the resources of the others alone."""
    allowed = {one for line in TABLE.values() if line[0] == name for one in DeploymentMode if _allows(line, one)}

    if mode in allowed:
        assert CATALOGUE[name].mode(mode) is mode
    else:
        with pytest.raises(Refused, match=f"{name} .*cannot run in {mode} mode"):
            CATALOGUE[name].mode(mode)
    assert CATALOGUE[name].mode(None) is CATALOGUE[name].default


def _allows(line: Any, mode: DeploymentMode) -> bool:
    return isinstance(line[2 if mode is BACKUP else 3], tuple)


def test_restores_archives_and_health_checks_take_restore_points() -> None:
    """What `resources[].id` names (CONTRACT section 3a)."""
    points = {one.operation for one in ROWS if one.source is Source.POINT}

    assert points == {
        "ec2-restore-instance", "ec2-restore-volume", "ec2-restore-files", "ec2-archive", "rds-archive",
        "ec2-health-check", "rds-health-check", "rds-restore-database",
    }  # fmt: skip
    assert all(CATALOGUE[name].source_is_point == (name in points) for name in CATALOGUE)


def test_an_unknown_operation_is_refused_with_the_known_ones() -> None:
    """And one that this version cannot carry out, with those that it can and how to look at it."""
    with pytest.raises(Refused, match="ec2-backup"):
        operation("ec2-bakcup")
    unavailable = next(one for one in CATALOGUE.values() if not one.is_available)
    with pytest.raises(Refused, match="cannot carry the job of this operation out yet") as caught:
        available(operation(unavailable.name))
    assert "daywork plan" in caught.value.remedy
    assert available(operation("ec2-backup")).name == "ec2-backup"
