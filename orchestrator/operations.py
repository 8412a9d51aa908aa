"""The catalogue: every operation, its modes, roles, place and sizes, as one literal table (OPERATIONS section 2)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from orchestrator.errors import Refused
from orchestrator.model.request import BackupOptions, NoOptions, RestoreVolumeOptions, Strict
from orchestrator.model.status import DeploymentMode

BACKUP, PRODUCTION = DeploymentMode.BACKUP, DeploymentMode.PRODUCTION
TB = 10**12
GB = 10**9


class Purpose(StrEnum):
    """Which of an account's registered roles an operation works with."""

    BACKUP = "backup"
    RESTORE = "restore"
    FILES = "files"
    DEPLOYMENT = "workerDeployment"


class Place(StrEnum):
    """Where the worker stands."""

    RESOURCE_REGION = "Region of the instance, any configured zone"
    TARGET_REGION = "Region restored to"
    REPOSITORY_REGION = "Region of the repository"
    SNAPSHOT_REGION = "Region of the snapshot"
    MOUNT_TARGET = "Region, zone and VPC of a mount target"
    DATABASE = "Region and VPC of the DB instance"


@dataclass(frozen=True, kw_only=True)
class Size:
    """Instance types, in order of preference, for less than `below` bytes (None: any size)."""

    below: int | None
    types: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One row. `own` is the operation's own role; `is_available` says whether this version carries its job out."""

    name: str
    title: str
    modes: tuple[DeploymentMode, ...]
    default: DeploymentMode
    own: Purpose
    place: Place
    sizes: tuple[Size, ...]
    options: type[Strict] = NoOptions
    source_is_point: bool = False
    is_available: bool = False

    def mode(self, wanted: DeploymentMode | None) -> DeploymentMode:
        """Return the mode to use. Raises `Refused` for one outside the row."""
        if wanted is None:
            return self.default
        if wanted not in self.modes:
            allowed = ", ".join(self.modes)
            raise Refused(
                f"{self.name} cannot run in {wanted} mode; allowed: {allowed}",
                field="mode",
                value=wanted,
                remedy=f"Leave mode out or use {allowed}: {_WHY_ONE_MODE[self.modes[0]]}",
            )
        return wanted

    def instance_types(self, size: int) -> tuple[str, ...]:
        """Return the worker's instance types for this many bytes, in order of preference."""
        return next(one.types for one in self.sizes if one.below is None or size < one.below)


_WHY_ONE_MODE = {
    BACKUP: "its data is in the repository, which only the backup account reaches",
    PRODUCTION: "the worker must stand in the network of the resource",
}

_BY_VOLUME = (
    Size(below=TB, types=("c5.large", "c5a.large", "m5.large")),
    Size(below=16 * TB, types=("c5.2xlarge", "c5a.2xlarge", "m5.2xlarge")),
    Size(below=None, types=("c5.4xlarge", "c5a.4xlarge", "m5.4xlarge")),
)
_SMALL = (Size(below=None, types=("t3.medium", "t3a.medium")),)
_ARCHIVING = (Size(below=None, types=("c5.2xlarge", "c5a.2xlarge")),)
_LARGE = (Size(below=None, types=("c5.large", "c5a.large")),)
_BOTH = (BACKUP, PRODUCTION)

_ROWS = (
    Operation(
        name="ec2-backup",
        title="image-level backup of EC2 instances",
        modes=_BOTH,
        default=BACKUP,
        own=Purpose.BACKUP,
        place=Place.RESOURCE_REGION,
        sizes=_BY_VOLUME,
        options=BackupOptions,
        is_available=True,
    ),
    Operation(
        name="ec2-restore-instance",
        title="restore of entire instances",
        modes=_BOTH,
        default=BACKUP,
        own=Purpose.RESTORE,
        place=Place.TARGET_REGION,
        sizes=_BY_VOLUME,
        source_is_point=True,
    ),
    Operation(
        name="ec2-restore-volume",
        title="restore of volumes",
        modes=_BOTH,
        default=BACKUP,
        own=Purpose.RESTORE,
        place=Place.TARGET_REGION,
        sizes=_BY_VOLUME,
        options=RestoreVolumeOptions,
        source_is_point=True,
        is_available=True,
    ),
    Operation(
        name="ec2-restore-files",
        title="restore of files",
        modes=_BOTH,
        default=BACKUP,
        own=Purpose.FILES,
        place=Place.REPOSITORY_REGION,
        sizes=_SMALL,
        source_is_point=True,
    ),
    Operation(
        name="ec2-retention",
        title="retention of EC2 restore points",
        modes=(BACKUP,),
        default=BACKUP,
        own=Purpose.DEPLOYMENT,
        place=Place.REPOSITORY_REGION,
        sizes=(
            Size(below=3 * TB, types=("c5.large",)),
            Size(below=6 * TB, types=("c5.xlarge",)),
            Size(below=13 * TB, types=("c5.2xlarge",)),
            Size(below=None, types=("c5.4xlarge",)),
        ),
    ),
    Operation(
        name="ec2-archive",
        title="archived backup of EC2 restore points",
        modes=(BACKUP,),
        default=BACKUP,
        own=Purpose.DEPLOYMENT,
        place=Place.REPOSITORY_REGION,
        sizes=_ARCHIVING,
        source_is_point=True,
    ),
    Operation(
        name="rds-archive",
        title="archived backup of RDS restore points",
        modes=(BACKUP,),
        default=BACKUP,
        own=Purpose.DEPLOYMENT,
        place=Place.REPOSITORY_REGION,
        sizes=_ARCHIVING,
        source_is_point=True,
    ),
    Operation(
        name="ec2-health-check",
        title="health check of EC2 restore points",
        modes=(BACKUP,),
        default=BACKUP,
        own=Purpose.DEPLOYMENT,
        place=Place.REPOSITORY_REGION,
        sizes=_BY_VOLUME,
        source_is_point=True,
    ),
    Operation(
        name="rds-health-check",
        title="health check of RDS restore points",
        modes=(BACKUP,),
        default=BACKUP,
        own=Purpose.DEPLOYMENT,
        place=Place.REPOSITORY_REGION,
        sizes=_LARGE,
        source_is_point=True,
    ),
    Operation(
        name="efs-index",
        title="indexing of EFS file systems",
        modes=(PRODUCTION,),
        default=PRODUCTION,
        own=Purpose.BACKUP,
        place=Place.MOUNT_TARGET,
        sizes=_SMALL,
    ),
    Operation(
        name="rds-backup",
        title="image-level backup of RDS databases",
        modes=(PRODUCTION,),
        default=PRODUCTION,
        own=Purpose.BACKUP,
        place=Place.DATABASE,
        sizes=(Size(below=80 * GB, types=("c5.large",)), Size(below=None, types=("c5.xlarge",))),
    ),
    Operation(
        name="rds-restore-database",
        title="restore of RDS databases",
        modes=(PRODUCTION,),
        default=PRODUCTION,
        own=Purpose.RESTORE,
        place=Place.DATABASE,
        sizes=_LARGE,
        source_is_point=True,
    ),
)

CATALOGUE = MappingProxyType({row.name: row for row in _ROWS})


def operation(name: str) -> Operation:
    """Return a row that can be carried out. Raises `Refused` naming what there is."""
    row = CATALOGUE.get(name)
    if row is None:
        raise Refused(
            "unknown operation", field="operation", value=name, remedy=f"Known operations: {', '.join(CATALOGUE)}"
        )
    if not row.is_available:
        ready = ", ".join(one.name for one in _ROWS if one.is_available)
        raise Refused(
            "this version cannot carry the operation out yet", field="operation", value=name, remedy=f"Use {ready}"
        )
    return row
