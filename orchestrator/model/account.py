"""The account registry (CONTRACT section 7): accounts, their roles, worker configurations, limits, repositories.

An external id is never in the registry itself: it names an environment variable or a 0600 file that holds it.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from orchestrator.model.request import Region, RoleArn, Strict

AccountId = Annotated[str, StringConstraints(pattern=r"^\d{12}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][\w.-]{0,63}$")]


class SecretRef(Strict):
    """Where a secret is: an environment variable or a file, read in the process that needs it, never shown."""

    env: str | None = None
    file: str | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError("name exactly one of env and file")
        return self


class AccountRoles(Strict):
    """Role ARNs of an account by purpose (OPERATIONS section 1).

    Without one of their own, EFS and RDS are backed up with the `backup` role and RDS is restored with `restore`.
    """

    worker_deployment: RoleArn | None = None
    backup: RoleArn | None = None
    backup_efs: RoleArn | None = None
    backup_rds: RoleArn | None = None
    restore: RoleArn | None = None
    restore_rds: RoleArn | None = None
    worker: RoleArn | None = None
    files: RoleArn | None = None
    data: RoleArn | None = None

    def named(self) -> dict[str, str]:
        """Return the roles that are set, by their name in the registry document."""
        return self.model_dump(by_alias=True, exclude_none=True)


class WorkerConfiguration(Strict):
    """Where workers of an account and Region stand: one VPC, subnets in order of preference, security groups.

    Workers have a public address only if `public_address` says so.
    """

    region: Region
    vpc: str | None = None
    subnets: tuple[str, ...] = Field(min_length=1)
    security_groups: tuple[str, ...] = Field(min_length=1)
    public_address: bool = False


class AccountLimits(Strict):
    """Ceilings per Region; None: AWS's own quota decides."""

    workers: int | None = Field(default=None, ge=1)


class Account(Strict):
    """One registered account."""

    id: AccountId
    name: Name
    backup_account: bool = False
    external_id: SecretRef | None = None
    regions: tuple[Region, ...] = Field(min_length=1)
    roles: AccountRoles = AccountRoles()
    worker_configurations: tuple[WorkerConfiguration, ...] = ()
    worker_image: str | None = None
    limits: AccountLimits = AccountLimits()
    tags: dict[str, str] = Field(default_factory=dict, max_length=25)

    @model_validator(mode="after")
    def _roles_are_its_own(self) -> Self:
        for name, arn in self.roles.named().items():
            if arn.split(":")[4] != self.id:
                raise ValueError(f"roles.{name} belongs to account {arn.split(':')[4]}, not to {self.id}")
        for key, value in self.tags.items():
            if key.lower().startswith("aws:") or len(key) > 128 or len(value) > 256:  # noqa: PLR2004 - AWS tag limits
                raise ValueError(f"tag {key!r}: keys have at most 128 characters and no aws: prefix, values 256")
        return self

    def configuration(self, region: str) -> WorkerConfiguration | None:
        """Return the worker configuration of a Region, if there is one."""
        return next((one for one in self.worker_configurations if one.region == region), None)


class KeyRef(Strict):
    """The KMS key that wraps a repository's data keys."""

    kms: str


class ArchiveRef(Strict):
    """Where archived restore points go."""

    url: Annotated[str, StringConstraints(pattern=r"^s3://[a-z0-9.-]{3,63}(/.*)?$")]
    storage_class: str = "DEEP_ARCHIVE"


class ObjectLock(Strict):
    """How long stored objects cannot be deleted, in days."""

    days: int = Field(ge=1, le=36_500)


class Repository(Strict):
    """One registered repository: an S3 prefix, its key, and the role by which workers of other accounts reach it.

    `reader` is the role by which the control plane reads what restore points there are, and no block of them; None:
    its own identity.
    """

    name: Name
    url: Annotated[str, StringConstraints(pattern=r"^s3://[a-z0-9.-]{3,63}(/.*)?$")]
    region: Region
    account: AccountId
    role: RoleArn | None = None
    reader: RoleArn | None = None
    key: KeyRef
    archive: ArchiveRef | None = None
    object_lock: ObjectLock | None = None


class Registry(Strict):
    """The document of `daywork account apply`."""

    accounts: tuple[Account, ...] = ()
    repositories: tuple[Repository, ...] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        for label, values in (
            ("account id", [account.id for account in self.accounts]),
            ("account name", [account.name for account in self.accounts]),
            ("repository name", [repository.name for repository in self.repositories]),
        ):
            if twice := {value for value in values if values.count(value) > 1}:
                raise ValueError(f"{label} {min(twice)!r} is used twice")
        if sum(account.backup_account for account in self.accounts) > 1:
            raise ValueError("at most one account is the backup account")
        return self
