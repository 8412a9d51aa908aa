"""The catalogue: every row of OPERATIONS section 2 as one literal table, and the operations that the rows belong to."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from orchestrator.errors import Refused
from orchestrator.model import options
from orchestrator.model.catalogue import (
    Attached,
    Deployment,
    Operation,
    Place,
    Profile,
    Purpose,
    Refusal,
    Row,
    Size,
    Source,
)
from orchestrator.model.request import Strict
from orchestrator.model.status import DeploymentMode

BACKUP, PRODUCTION = DeploymentMode.BACKUP, DeploymentMode.PRODUCTION
#: As EC2 and RDS count volumes and storage.
GB = 2**30
TB = 2**40

_FROM_BACKUP_ACCOUNT = Deployment(deploying=Purpose.DEPLOYMENT, attached=Attached.TEMPORARY)
_REPOSITORY_ONLY = Refusal(
    "it works on the repository alone, which the backup account reaches; no production account is part in it"
)
_NETWORK_OF_DATABASE = Refusal("the worker must stand in the VPC of the DB instance, in the account that owns it")
_NETWORK_OF_FILES = Refusal("the worker must stand in the VPC and zone of a mount target, in the account that owns it")

_BY_VOLUME = (
    Size(below=TB, types=("c5.large", "c5a.large", "m5.large"), profile=Profile.SMALL),
    Size(below=16 * TB, types=("c5.2xlarge", "c5a.2xlarge", "m5.2xlarge"), profile=Profile.MEDIUM),
    Size(below=None, types=("c5.4xlarge", "c5a.4xlarge", "m5.4xlarge"), profile=Profile.LARGE),
)
_FILES = (Size(below=None, types=("t3.medium", "t3a.medium")),)
_ARCHIVING = (Size(below=None, types=("c5.2xlarge", "c5a.2xlarge"), profile=Profile.ARCHIVING),)
_DATABASE = Size(below=None, types=("c5.large", "c5a.large"), profile=Profile.SMALL)

ROWS = (
    Row(
        number="1",
        operation="ec2-backup",
        title="image-level backup of EC2 instances",
        source=Source.INSTANCE,
        backup=_FROM_BACKUP_ACCOUNT,
        production=Deployment(deploying=Purpose.BACKUP, attached=Attached.WORKER),
        default=BACKUP,
        own=Purpose.BACKUP,
        place=Place.RESOURCE_REGION,
        sizes=_BY_VOLUME,
    ),
    Row(
        number="2",
        operation="ec2-restore-instance",
        title="restore of entire instances",
        source=Source.POINT,
        backup=_FROM_BACKUP_ACCOUNT,
        production=Deployment(deploying=Purpose.RESTORE, attached=Attached.WORKER),
        default=BACKUP,
        own=Purpose.RESTORE,
        place=Place.TARGET_REGION,
        sizes=_BY_VOLUME,
    ),
    Row(
        number="3",
        operation="ec2-restore-volume",
        title="restore of volumes",
        source=Source.POINT,
        backup=_FROM_BACKUP_ACCOUNT,
        production=Deployment(deploying=Purpose.RESTORE, attached=Attached.WORKER),
        default=BACKUP,
        own=Purpose.RESTORE,
        place=Place.TARGET_REGION,
        sizes=_BY_VOLUME,
    ),
    Row(
        number="4",
        operation="ec2-restore-files",
        title="restore of files from an image-level backup",
        source=Source.POINT,
        backup=_FROM_BACKUP_ACCOUNT,
        production=_REPOSITORY_ONLY,
        default=BACKUP,
        own=Purpose.DEPLOYMENT,
        place=Place.REPOSITORY_REGION,
        sizes=_FILES,
    ),
    Row(
        number="4b",
        operation="ec2-restore-files",
        title="restore of files from a cloud-native snapshot",
        source=Source.SNAPSHOT,
        backup=_FROM_BACKUP_ACCOUNT,
        production=Deployment(deploying=Purpose.FILES, attached=Attached.FILES),
        default=BACKUP,
        own=Purpose.FILES,
        place=Place.SNAPSHOT_REGION,
        sizes=_FILES,
    ),
    Row(
        number="5",
        operation="ec2-retention",
        title="retention of EC2 restore points",
        source=Source.CHAIN,
        backup=_FROM_BACKUP_ACCOUNT,
        production=_REPOSITORY_ONLY,
        default=BACKUP,
        own=Purpose.DEPLOYMENT,
        place=Place.REPOSITORY_REGION,
        sizes=(
            Size(below=3 * TB, types=("c5.large", "c5a.large")),
            Size(below=6 * TB, types=("c5.xlarge", "c5a.xlarge")),
            Size(below=13 * TB, types=("c5.2xlarge", "c5a.2xlarge")),
            Size(below=None, types=("c5.4xlarge", "c5a.4xlarge")),
        ),
        deletes=True,
    ),
    Row(
        number="6",
        operation="ec2-archive",
        title="archived backup of EC2 restore points",
        source=Source.POINT,
        backup=_FROM_BACKUP_ACCOUNT,
        production=_REPOSITORY_ONLY,
        default=BACKUP,
        own=Purpose.DEPLOYMENT,
        place=Place.STANDARD_REPOSITORY_REGION,
        sizes=_ARCHIVING,
    ),
    Row(
        number="7",
        operation="rds-archive",
        title="archived backup of RDS restore points",
        source=Source.POINT,
        backup=_FROM_BACKUP_ACCOUNT,
        production=_REPOSITORY_ONLY,
        default=BACKUP,
        own=Purpose.DEPLOYMENT,
        place=Place.STANDARD_REPOSITORY_REGION,
        sizes=_ARCHIVING,
    ),
    Row(
        number="8",
        operation="ec2-health-check",
        title="health check of EC2 restore points",
        source=Source.POINT,
        backup=_FROM_BACKUP_ACCOUNT,
        production=_REPOSITORY_ONLY,
        default=BACKUP,
        own=Purpose.DEPLOYMENT,
        place=Place.REPOSITORY_REGION,
        sizes=_BY_VOLUME,
    ),
    Row(
        number="9",
        operation="rds-health-check",
        title="health check of RDS restore points",
        source=Source.POINT,
        backup=_FROM_BACKUP_ACCOUNT,
        production=_REPOSITORY_ONLY,
        default=BACKUP,
        own=Purpose.DEPLOYMENT,
        place=Place.REPOSITORY_REGION,
        sizes=(_DATABASE,),
    ),
    Row(
        number="10",
        operation="efs-index",
        title="indexing of EFS file systems",
        source=Source.FILE_SYSTEM,
        backup=_NETWORK_OF_FILES,
        production=Deployment(deploying=Purpose.BACKUP_EFS, attached=Attached.WORKER),
        default=PRODUCTION,
        own=Purpose.BACKUP_EFS,
        place=Place.MOUNT_TARGET,
        sizes=_FILES,
    ),
    Row(
        number="11",
        operation="rds-backup",
        title="image-level backup of RDS databases",
        source=Source.DATABASE,
        backup=_NETWORK_OF_DATABASE,
        production=Deployment(deploying=Purpose.BACKUP_RDS, attached=Attached.WORKER),
        default=PRODUCTION,
        own=Purpose.BACKUP_RDS,
        place=Place.DATABASE,
        sizes=(
            Size(below=80 * GB, types=("c5.large", "c5a.large"), profile=Profile.SMALL),
            Size(below=None, types=("c5.xlarge", "c5a.xlarge"), profile=Profile.MEDIUM),
        ),
    ),
    Row(
        number="12",
        operation="rds-restore-database",
        title="restore of RDS databases",
        source=Source.POINT,
        backup=_NETWORK_OF_DATABASE,
        production=Deployment(deploying=Purpose.RESTORE_RDS, attached=Attached.WORKER),
        default=PRODUCTION,
        own=Purpose.RESTORE_RDS,
        place=Place.TARGET_DATABASE,
        sizes=(_DATABASE,),
    ),
)

_OPTIONS: Mapping[str, type[Strict]] = MappingProxyType(
    {
        "ec2-backup": options.BackupOptions,
        "ec2-restore-instance": options.RestoreInstanceOptions,
        "ec2-restore-volume": options.RestoreVolumeOptions,
        "ec2-restore-files": options.RestoreFilesOptions,
        "ec2-retention": options.RetentionOptions,
        "ec2-archive": options.ArchiveOptions,
        "rds-archive": options.ArchiveOptions,
        "ec2-health-check": options.HealthCheckOptions,
        "rds-health-check": options.NoOptions,
        "efs-index": options.IndexOptions,
        "rds-backup": options.DatabaseBackupOptions,
        "rds-restore-database": options.DatabaseRestoreOptions,
    }
)

#: The operations whose jobs this version has. The others are planned whole and refused when a session is asked for.
_AVAILABLE = frozenset(
    {
        "ec2-archive",
        "ec2-backup",
        "ec2-health-check",
        "ec2-restore-files",
        "ec2-restore-instance",
        "ec2-restore-volume",
        "ec2-retention",
        "efs-index",
    }
)

CATALOGUE = MappingProxyType(
    {
        name: Operation(
            name=name,
            rows=tuple(row for row in ROWS if row.operation == name),
            options=kind,
            is_available=name in _AVAILABLE,
        )
        for name, kind in _OPTIONS.items()
    }
)


def operation(name: str) -> Operation:
    """Return an operation. Raises `Refused` naming what there is."""
    found = CATALOGUE.get(name)
    if found is None:
        raise Refused(
            "unknown operation", field="operation", value=name, remedy=f"Known operations: {', '.join(CATALOGUE)}"
        )
    return found


def available(found: Operation) -> Operation:
    """Return the operation. Raises `Refused` when this version cannot carry it out."""
    if not found.is_available:
        ready = ", ".join(one.name for one in CATALOGUE.values() if one.is_available)
        raise Refused(
            "this version cannot carry the job of this operation out yet",
            field="operation",
            value=found.name,
            remedy=f"Look at it with daywork plan; sessions can be started of {ready}",
        )
    return found
