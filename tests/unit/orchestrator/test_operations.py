"""The catalogue as a table: every row of OPERATIONS section 2, written down a second time by hand."""

from __future__ import annotations

import pytest

from orchestrator.errors import Refused
from orchestrator.model.status import DeploymentMode
from orchestrator.operations import CATALOGUE, GB, TB, Place, Purpose, operation

BACKUP, PRODUCTION = DeploymentMode.BACKUP, DeploymentMode.PRODUCTION
BOTH = (BACKUP, PRODUCTION)

#: operation -> modes, default, the operation's own role, place.
ROWS = {
    "ec2-backup": (BOTH, BACKUP, Purpose.BACKUP, Place.RESOURCE_REGION),
    "ec2-restore-instance": (BOTH, BACKUP, Purpose.RESTORE, Place.TARGET_REGION),
    "ec2-restore-volume": (BOTH, BACKUP, Purpose.RESTORE, Place.TARGET_REGION),
    "ec2-restore-files": (BOTH, BACKUP, Purpose.FILES, Place.REPOSITORY_REGION),
    "ec2-retention": ((BACKUP,), BACKUP, Purpose.DEPLOYMENT, Place.REPOSITORY_REGION),
    "ec2-archive": ((BACKUP,), BACKUP, Purpose.DEPLOYMENT, Place.REPOSITORY_REGION),
    "rds-archive": ((BACKUP,), BACKUP, Purpose.DEPLOYMENT, Place.REPOSITORY_REGION),
    "ec2-health-check": ((BACKUP,), BACKUP, Purpose.DEPLOYMENT, Place.REPOSITORY_REGION),
    "rds-health-check": ((BACKUP,), BACKUP, Purpose.DEPLOYMENT, Place.REPOSITORY_REGION),
    "efs-index": ((PRODUCTION,), PRODUCTION, Purpose.BACKUP, Place.MOUNT_TARGET),
    "rds-backup": ((PRODUCTION,), PRODUCTION, Purpose.BACKUP, Place.DATABASE),
    "rds-restore-database": ((PRODUCTION,), PRODUCTION, Purpose.RESTORE, Place.DATABASE),
}

_BY_VOLUME = [
    (0, "c5.large"),
    (TB - 1, "c5.large"),
    (TB, "c5.2xlarge"),
    (16 * TB - 1, "c5.2xlarge"),
    (16 * TB, "c5.4xlarge"),
]

#: operation -> (bytes, the first instance type) on both sides of each bound.
SIZES = {
    "ec2-backup": _BY_VOLUME,
    "ec2-restore-instance": _BY_VOLUME,
    "ec2-restore-volume": _BY_VOLUME,
    "ec2-health-check": _BY_VOLUME,
    "ec2-restore-files": [(0, "t3.medium"), (100 * TB, "t3.medium")],
    "efs-index": [(0, "t3.medium"), (100 * TB, "t3.medium")],
    "ec2-retention": [
        (3 * TB - 1, "c5.large"), (3 * TB, "c5.xlarge"), (6 * TB - 1, "c5.xlarge"), (6 * TB, "c5.2xlarge"),
        (13 * TB - 1, "c5.2xlarge"), (13 * TB, "c5.4xlarge"),
    ],
    "ec2-archive": [(0, "c5.2xlarge"), (100 * TB, "c5.2xlarge")],
    "rds-archive": [(0, "c5.2xlarge"), (100 * TB, "c5.2xlarge")],
    "rds-health-check": [(0, "c5.large"), (100 * TB, "c5.large")],
    "rds-backup": [(80 * GB - 1, "c5.large"), (80 * GB, "c5.xlarge")],
    "rds-restore-database": [(0, "c5.large"), (100 * TB, "c5.large")],
}  # fmt: skip


def test_the_catalogue_has_these_rows_and_no_other() -> None:
    """A new operation needs a line in this table."""
    assert set(CATALOGUE) == set(ROWS) == set(SIZES)


@pytest.mark.parametrize("name", ROWS)
def test_a_row_has_the_modes_roles_and_place_of_the_contract(name: str) -> None:
    """OPERATIONS section 2, columns modes, default, deploying role and place."""
    row = CATALOGUE[name]

    assert (row.modes, row.default, row.own, row.place) == ROWS[name]
    assert row.title


@pytest.mark.parametrize(("name", "size", "kind"), [(name, *one) for name, sizes in SIZES.items() for one in sizes])
def test_the_first_instance_type_follows_from_the_size(name: str, size: int, kind: str) -> None:
    """Last column, on both sides of each bound."""
    assert CATALOGUE[name].instance_types(size)[0] == kind


@pytest.mark.parametrize(("name", "mode"), [(name, mode) for name in ROWS for mode in DeploymentMode])
def test_a_mode_is_allowed_or_refused_as_the_row_says(name: str, mode: DeploymentMode) -> None:
    """A refusal names the operation, the mode asked for, the modes allowed and the reason."""
    row, allowed = CATALOGUE[name], ROWS[name][0]
    if mode in allowed:
        assert row.mode(mode) == mode
        return

    with pytest.raises(Refused) as caught:
        row.mode(mode)

    shown = str(caught.value)
    assert caught.value.field == "mode"
    assert all(word in shown for word in (name, str(mode), *map(str, allowed)))
    assert ":" in caught.value.remedy, "the reason follows the modes"


@pytest.mark.parametrize("name", ROWS)
def test_no_mode_is_the_default_one(name: str) -> None:
    """Column default."""
    assert CATALOGUE[name].mode(None) == ROWS[name][1]


def test_an_unknown_operation_is_refused_with_the_known_ones() -> None:
    """And one that this version cannot carry out, with those that it can."""
    with pytest.raises(Refused, match="ec2-backup"):
        operation("ec2-bakcup")
    unavailable = next(name for name, row in CATALOGUE.items() if not row.is_available)
    with pytest.raises(Refused, match="cannot carry the operation out"):
        operation(unavailable)
