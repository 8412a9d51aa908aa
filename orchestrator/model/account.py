"""The account registry (CONTRACT section 7): accounts, their roles, worker configurations, limits, repositories.

An external id is never in the registry itself: it names an environment variable or a 0600 file that holds it.
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AfterValidator, Discriminator, Field, StringConstraints, Tag, model_validator

from orchestrator.model import shorthand
from orchestrator.model.options import InstanceType
from orchestrator.model.request import Region, RoleArn, Strict

AccountId = Annotated[str, StringConstraints(pattern=r"^\d{12}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][\w.-]{0,63}$")]
InstanceTypes = Annotated[tuple[InstanceType, ...], Field(min_length=1)]

#: What AWS takes, less than half of it: our own tags need some (OPERATIONS section 3).
MOST_TAGS, LONGEST_KEY, LONGEST_VALUE = 25, 128, 256


def _key(key: str) -> str:
    if key.lower().startswith("aws:"):
        raise ValueError("tag keys that begin with aws: belong to AWS; choose another key")
    if not 1 <= len(key) <= LONGEST_KEY:
        raise ValueError(f"a tag key has 1 to {LONGEST_KEY} characters, this one {len(key)}")
    return key


def _value(value: str) -> str:
    if len(value) > LONGEST_VALUE:
        raise ValueError(f"a tag value has at most {LONGEST_VALUE} characters, this one {len(value)}")
    return value


def _number(tags: dict[str, str]) -> dict[str, str]:
    if len(tags) > MOST_TAGS:
        raise ValueError(f"workers take at most {MOST_TAGS} tags of their own, these are {len(tags)}; remove some")
    return tags


WorkerTags = Annotated[
    dict[Annotated[str, AfterValidator(_key)], Annotated[str, AfterValidator(_value)]], AfterValidator(_number)
]


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
    """Role ARNs of an account by purpose (OPERATIONS section 1); a document may name a role of the account instead.

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


class Tagged(Strict):
    """Whatever carries every one of these tags: a network that is equal in many accounts without equal ids."""

    tags: dict[str, str] = Field(min_length=1)


def _is_tagged(value: Any) -> str:
    return "<tags>" if isinstance(value, dict | Tagged) else "<ids>"


#: One thing by its id, or by tags; several. The words in angle brackets stand in no field's path.
OneThing = Annotated[Annotated[str, Tag("<ids>")] | Annotated[Tagged, Tag("<tags>")], Discriminator(_is_tagged)]
Things = Annotated[
    Annotated[tuple[str, ...], Field(min_length=1), Tag("<ids>")] | Annotated[Tagged, Tag("<tags>")],
    Discriminator(_is_tagged),
]


class WorkerConfiguration(Strict):
    """Where workers of an account and Region stand: one VPC, subnets in order of preference, security groups.

    Each by its id or by tags that are looked up when a session is planned. Workers have a public address only if
    `public_address` says so.
    """

    region: Region
    vpc: OneThing | None = None
    subnets: Things
    security_groups: Things
    public_address: bool = False


class WorkerProfiles(Strict):
    """Instance types that replace the catalogue's, each list in order of preference.

    By size, or for one operation whatever the size. `region` None is for every Region without profiles of its own.
    """

    region: Region | None = None
    small: InstanceTypes | None = None
    medium: InstanceTypes | None = None
    large: InstanceTypes | None = None
    archiving: InstanceTypes | None = None
    operations: dict[str, InstanceTypes] = Field(default_factory=dict)

    def types(self, operation: str, profile: str | None) -> tuple[str, ...] | None:
        """Return the types for an operation whose size falls into a profile; None: nothing is said."""
        sizes = {"small": self.small, "medium": self.medium, "large": self.large, "archiving": self.archiving}
        return self.operations.get(operation) or (sizes[profile] if profile is not None else None)


class AccountLimits(Strict):
    """Ceilings of this install's workers per Region; None: AWS's own quota decides."""

    workers: int | None = Field(default=None, ge=1)
    vcpus: int | None = Field(default=None, ge=1)


class Account(Strict):
    """One registered account."""

    id: AccountId
    name: Name
    backup_account: bool = False
    external_id: SecretRef | None = None
    regions: tuple[Region, ...] = Field(min_length=1)
    roles: AccountRoles = AccountRoles()
    worker_configurations: tuple[WorkerConfiguration, ...] = ()
    worker_profiles: tuple[WorkerProfiles, ...] = ()
    worker_image: str | None = None
    limits: AccountLimits = AccountLimits()
    tags: WorkerTags = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _names_become_roles(cls, value: Any) -> Any:
        return shorthand.with_role_arns(value)

    @model_validator(mode="after")
    def _roles_are_its_own(self) -> Self:
        for name, arn in self.roles.named().items():
            if arn.split(":")[4] != self.id:
                raise ValueError(f"roles.{name} belongs to account {arn.split(':')[4]}, not to {self.id}")
        return self

    def configuration(self, region: str, vpc: str | None = None) -> WorkerConfiguration | None:
        """Return the worker configuration of a Region, if there is one: that of a VPC before the first one."""
        found = [one for one in self.worker_configurations if one.region == region]
        return next((one for one in found if vpc is not None and one.vpc == vpc), found[0] if found else None)

    def instance_types(self, region: str, operation: str, profile: str | None) -> tuple[str, ...] | None:
        """Return the types that the account's profiles name, those of the Region before those of all; None: none."""
        ordered = sorted(self.worker_profiles, key=lambda one: one.region is None)
        named = (one.types(operation, profile) for one in ordered if one.region in (region, None))
        return next((one for one in named if one), None)


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

    `keeper` is the role by which retention reaches a repository in another account than the backup account: `role`
    serves every other worker and deletes nothing.
    `reader` is the role by which the control plane reads what restore points there are, and no block of them; None:
    its own identity. `opener` is the role by which whoever runs the command line reads all of a restore point, to look
    at its files and take some out; None: nobody can, but sessions do.
    """

    name: Name
    url: Annotated[str, StringConstraints(pattern=r"^s3://[a-z0-9.-]{3,63}(/.*)?$")]
    region: Region
    account: AccountId
    role: RoleArn | None = None
    keeper: RoleArn | None = None
    reader: RoleArn | None = None
    opener: RoleArn | None = None
    key: KeyRef
    archive: ArchiveRef | None = None
    object_lock: ObjectLock | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_becomes_role(cls, value: Any) -> Any:
        return shorthand.with_repository_role(value)


class AccountDefaults(Strict):
    """What all accounts of a document share that do not say it themselves: roles by name, networks by tags.

    Mappings are joined key by key (null takes a key away), lists are replaced. It is worked in when the document is
    read, so that each account is stored whole.
    """

    external_id: SecretRef | None = None
    regions: tuple[Region, ...] = ()
    roles: dict[str, str] = Field(default_factory=dict)
    worker_configurations: tuple[WorkerConfiguration, ...] = ()
    worker_profiles: tuple[WorkerProfiles, ...] = ()
    worker_image: str | None = None
    limits: AccountLimits = AccountLimits()
    tags: WorkerTags = Field(default_factory=dict)


class Registry(Strict):
    """The document of `daywork account apply`, its `defaults` worked in."""

    accounts: tuple[Account, ...] = ()
    repositories: tuple[Repository, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _defaults_are_worked_in(cls, value: Any) -> Any:
        return shorthand.with_defaults(value)

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
