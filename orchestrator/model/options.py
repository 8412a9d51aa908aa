"""The options of each operation (CONTRACT section 3a): typed, unknown ones refused by name."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from orchestrator.model.request import KeyArn, Strict, Undertaking

VolumeId = Annotated[str, StringConstraints(pattern=r"^vol-[0-9a-f]{8,17}$")]
InstanceId = Annotated[str, StringConstraints(pattern=r"^i-[0-9a-f]{8,17}$")]
SubnetId = Annotated[str, StringConstraints(pattern=r"^subnet-[0-9a-z-]{4,40}$")]
GroupId = Annotated[str, StringConstraints(pattern=r"^sg-[0-9a-z-]{1,40}$")]
InstanceType = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*\.[a-z0-9-]+$")]
DatabaseId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,62}$")]
DatabaseName = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=r"^[^\x00-\x1f]+$")]
ProfileName = Annotated[str, StringConstraints(pattern=r"^[\w+=,.@-]{1,128}$")]
RecoveryPointArn = Annotated[
    str, StringConstraints(max_length=512, pattern=r"^arn:aws[a-z-]*:backup:[a-z0-9-]+:\d{12}:\S+$")
]
Path = Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=r"^/[^\x00]*$")]


class NoOptions(Strict):
    """Options of an operation that takes none."""


class Retrieval(StrEnum):
    """How an archived point is retrieved before it is restored: soon and dear, usual, late and cheap."""

    STANDARD = "standard"
    BULK = "bulk"
    EXPEDITED = "expedited"


class BackupOptions(Strict):
    """Options of `ec2-backup`: volumes left out, and `full` to read everything even when an incremental could do."""

    exclude_volumes: tuple[VolumeId, ...] = ()
    full: bool = False


class RestoreOptions(Strict):
    """Options of both restores from an image-level backup.

    `damaged` says what becomes of a restore point that a health check has marked: it is refused, or tried (a block that
    cannot be read still fails the restore, naming what is damaged). `volume_initialization_rate` has EC2 fetch the
    blocks of new volumes ahead, in MiB/s for each (charged by AWS); None leaves them to be fetched at first use.
    `retrieval` counts for an archived point alone.
    """

    damaged: Literal["refuse", "accept"] = "refuse"
    volume_initialization_rate: Annotated[int, Field(ge=100, le=300)] | None = None
    retrieval: Retrieval = Retrieval.STANDARD


class RestoreVolumeOptions(RestoreOptions):
    """Options of `ec2-restore-volume`. `volumes` are source volume ids (default all); types default to theirs.

    A volume whose device name is taken on the instance of `attachTo` gets another one. `drill` proves a restore: the
    new snapshots are read back and compared, the volumes made of them removed. With `drill` alone, `select` may be
    used: it stands for the newest good restore point of each instance found, of `sample` of them drawn by lot.
    """

    volumes: tuple[VolumeId, ...] = ()
    availability_zone: str | None = None
    type: Literal["gp2", "gp3", "io1", "io2", "st1", "sc1", "standard"] | None = None
    kms_key: KeyArn | None = None
    attach_to: InstanceId | None = None
    drill: bool = False
    sample: Annotated[int, Field(ge=1, le=1000)] | None = None

    @model_validator(mode="after")
    def _drills_alone(self) -> Self:
        if self.sample is not None and not self.drill:
            raise ValueError("sample belongs to a drill: set drill as well, or leave sample out")
        if self.attach_to is not None and self.drill:
            raise ValueError("a drill attaches nothing: leave attachTo out, or drill")
        return self


def drill_of(request: Undertaking) -> RestoreVolumeOptions:
    """Return what a request says of a drill; of another operation than the restore of volumes: none."""
    is_restore = request.operation == "ec2-restore-volume"
    return RestoreVolumeOptions.model_validate(request.options) if is_restore else RestoreVolumeOptions()


class RestoreInstanceOptions(RestoreOptions):
    """Options of `ec2-restore-instance`: what is not said is as it was recorded.

    Outside of the source's own account and Region a subnet and its security groups have to be named. `instance_profile`
    is one of the target account, whose role the restore role must be allowed to pass on; by default there is none.
    With `power_on` false the instance is stopped as soon as it runs: EC2 starts every instance that it makes.
    """

    name: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = None
    instance_type: InstanceType | None = None
    subnet: SubnetId | None = None
    security_groups: tuple[GroupId, ...] = ()
    instance_profile: ProfileName | None = None
    kms_key: KeyArn | None = None
    power_on: bool = True


class RestoreFilesOptions(Strict):
    """Options of `ec2-restore-files`: which paths to extract (none: browse only), of which volumes, in which form."""

    paths: tuple[Path, ...] = ()
    volumes: tuple[VolumeId, ...] = ()
    form: Literal["archive", "tree"] = "archive"
    retrieval: Retrieval = Retrieval.STANDARD


class Keep(Strict):
    """Which restore points stay: a point that any of these rules asks for is kept. Times are UTC.

    `last` newest points; the newest of each of so many days, ISO weeks, months, years that have one; everything younger
    than `days`. The last good point of a resource stays whatever is said here.
    """

    last: int | None = Field(default=None, ge=1, le=10_000)
    days: int | None = Field(default=None, ge=1, le=36_500)
    daily: int | None = Field(default=None, ge=1, le=3_660)
    weekly: int | None = Field(default=None, ge=1, le=1_000)
    monthly: int | None = Field(default=None, ge=1, le=1_000)
    yearly: int | None = Field(default=None, ge=1, le=1_000)

    @model_validator(mode="after")
    def _keeps_something(self) -> Self:
        if not self.model_dump(exclude_none=True):
            raise ValueError("say what to keep: last, days, daily, weekly, monthly or yearly")
        return self


class HealthCheckOptions(Strict):
    """Options of `ec2-health-check`: how many percent of the packs are read. All of them have to be there."""

    sample: int = Field(default=100, ge=1, le=100)


class RetentionOptions(Strict):
    """Options of `ec2-retention`: which restore points of the source stay."""

    keep: Keep


class ArchiveOptions(Strict):
    """Options of `ec2-archive` and `rds-archive`: the storage class, else that of the archive repository."""

    storage_class: Literal["GLACIER", "DEEP_ARCHIVE", "GLACIER_IR"] | None = None


class IndexOptions(Strict):
    r"""Options of `efs-index`: the directory to begin at, and directories that are left out.

    A byte of a name that is no UTF-8 is written `\xNN`, a backslash `\\`. `recovery_point` is the AWS Backup recovery
    point that the index describes.
    """

    path: Path = "/"
    exclude_paths: tuple[Path, ...] = ()
    recovery_point: RecoveryPointArn | None = None


class DatabaseBackupOptions(Strict):
    """Options of `rds-backup`: databases of the DB instance (default all) and those left out."""

    databases: tuple[DatabaseName, ...] = ()
    exclude_databases: tuple[DatabaseName, ...] = ()

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> Self:
        if self.databases and self.exclude_databases:
            raise ValueError("name databases or excludeDatabases, not both")
        return self


class DatabaseRestoreOptions(Strict):
    """Options of `rds-restore-database`: the DB instance to load into, and databases of the point (default all).

    A database whose name is taken there gets `suffix`.
    """

    instance: DatabaseId
    databases: tuple[DatabaseName, ...] = ()
    suffix: Annotated[str, StringConstraints(pattern=r"^[\w-]{1,30}$")] = "_restored"
