"""The words of the catalogue: what a row of OPERATIONS section 2 says of an operation."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from orchestrator.errors import Refused
from orchestrator.model.options import NoOptions
from orchestrator.model.request import Strict
from orchestrator.model.status import DeploymentMode


class Purpose(StrEnum):
    """Which of an account's registered roles an operation works with."""

    BACKUP = "backup"
    BACKUP_EFS = "backupEfs"
    BACKUP_RDS = "backupRds"
    RESTORE = "restore"
    RESTORE_RDS = "restoreRds"
    FILES = "files"
    DEPLOYMENT = "workerDeployment"

    @property
    def general(self) -> Purpose:
        """The purpose whose role serves when an account has none of this one."""
        return {Purpose.BACKUP_EFS: Purpose.BACKUP, Purpose.BACKUP_RDS: Purpose.BACKUP}.get(
            self, Purpose.RESTORE if self is Purpose.RESTORE_RDS else self
        )


class Attached(StrEnum):
    """Which role the worker itself has."""

    TEMPORARY = "temporary"
    WORKER = "worker"
    FILES = "files"


class Source(StrEnum):
    """What `resources[].id` names."""

    INSTANCE = "an EC2 instance"
    POINT = "a restore point"
    SNAPSHOT = "a cloud-native snapshot"
    CHAIN = "the source whose restore points are due"
    FILE_SYSTEM = "an EFS file system"
    DATABASE = "an RDS DB instance"


class Place(StrEnum):
    """Where the worker stands."""

    RESOURCE_REGION = "Region of the instance, any configured zone"
    TARGET_REGION = "Region restored to"
    REPOSITORY_REGION = "Region of the repository"
    STANDARD_REPOSITORY_REGION = "Region of the standard repository"
    SNAPSHOT_REGION = "Region of the snapshot"
    MOUNT_TARGET = "Region, zone and VPC of a mount target"
    DATABASE = "Region and VPC of the DB instance"
    TARGET_DATABASE = "Region and VPC of the target DB instance"

    @property
    def is_of_repository(self) -> bool:
        """The worker stands where the repository is, whatever the resource's own Region."""
        return self in (Place.REPOSITORY_REGION, Place.STANDARD_REPOSITORY_REGION)


class Profile(StrEnum):
    """A worker profile: a list of instance types that the registry may replace."""

    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"
    ARCHIVING = "archiving"


@dataclass(frozen=True, kw_only=True)
class Size:
    """Instance types, in order of preference, for less than `below` bytes (None: any size).

    `profile` names the worker profile of the registry that replaces them; None: only the operation's own one does.
    """

    below: int | None
    types: tuple[str, ...]
    profile: Profile | None = None


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A mode that is allowed: the role that deploys the worker, and the role that is attached to it."""

    deploying: Purpose
    attached: Attached


@dataclass(frozen=True)
class Refusal:
    """A mode that is refused, and why."""

    reason: str


Cell = Deployment | Refusal


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row. `own` is the role whose rights read the source and make what is made there.

    `deletes`: its workers delete from the repository; they reach one in another account by the role that may.
    """

    number: str
    operation: str
    title: str
    source: Source
    backup: Cell
    production: Cell
    default: DeploymentMode
    own: Purpose
    place: Place
    sizes: tuple[Size, ...]
    deletes: bool = False

    def cell(self, mode: DeploymentMode) -> Cell:
        """Return what the row says of a mode."""
        return self.backup if mode is DeploymentMode.BACKUP else self.production

    @property
    def modes(self) -> tuple[DeploymentMode, ...]:
        """The modes that are allowed."""
        return tuple(mode for mode in DeploymentMode if isinstance(self.cell(mode), Deployment))

    def deployment(self, mode: DeploymentMode) -> Deployment:
        """Return the roles of a mode. Raises `Refused` that names operation, mode, allowed modes and reason."""
        found = self.cell(mode)
        if isinstance(found, Deployment):
            return found
        allowed = " or ".join(self.modes)
        raise Refused(
            f"{self.operation} ({self.title}) cannot run in {mode} mode, allowed is {allowed}: {found.reason}",
            field="mode",
            value=mode,
            remedy=f"Leave mode out or set it to {allowed}",
        )

    def size(self, size: int) -> Size:
        """Return the line of the size column that this many bytes fall into."""
        return next(one for one in self.sizes if one.below is None or size < one.below)

    def instance_types(self, size: int) -> tuple[str, ...]:
        """Return the worker's default instance types for this many bytes, in order of preference."""
        return self.size(size).types


@dataclass(frozen=True, kw_only=True)
class Operation:
    """An operation with its rows: one, or one for each kind of source. `is_available`: this version has its job."""

    name: str
    rows: tuple[Row, ...]
    options: type[Strict] = NoOptions
    is_available: bool = False

    @property
    def title(self) -> str:
        """What it does, in a few words."""
        return self.rows[0].title

    @property
    def modes(self) -> tuple[DeploymentMode, ...]:
        """The modes that any of its rows allows."""
        return tuple(mode for mode in DeploymentMode if any(mode in row.modes for row in self.rows))

    @property
    def default(self) -> DeploymentMode:
        """The mode of a request that names none."""
        return self.rows[0].default

    @property
    def source_is_point(self) -> bool:
        """Its resources are restore points (or snapshots), so that account and Region are the target."""
        return self.rows[0].source is Source.POINT

    def row(self, resource: str) -> Row:
        """Return the row for a resource, by the form of its id."""
        is_snapshot = resource.startswith("snap-")
        return next((row for row in self.rows if (row.source is Source.SNAPSHOT) is is_snapshot), self.rows[0])

    def mode(self, wanted: DeploymentMode | None) -> DeploymentMode:
        """Return the mode to use. Raises `Refused` for one that none of its rows allows."""
        if wanted is None:
            return self.default
        if wanted not in self.modes:
            self.rows[0].deployment(wanted)
        return wanted
