"""What role documents are made of: names and ARNs of one installation, as seen from one account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from orchestrator import tags
from orchestrator.model.account import Account, Registry, Repository

#: How a role is called where the registry does not say: by its name in the registry.
ROLE_NAMES: Final = MappingProxyType(
    {
        "controlPlane": "DayworkControlPlane",
        "workerDeployment": "DayworkWorkerDeployment",
        "backup": "DayworkBackup",
        "backupRds": "DayworkBackup",
        "backupEfs": "DayworkBackup",
        "restore": "DayworkRestore",
        "restoreRds": "DayworkRestore",
        "files": "DayworkFiles",
        "worker": "DayworkWorker",
        "data": "DayworkData",
        "repository": "DayworkRepository",
        "repositoryKeeper": "DayworkRepositoryKeeper",
        "repositoryReader": "DayworkRepositoryReader",
        "repositoryOpener": "DayworkRepositoryOpener",
    }
)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Where a repository is, and the roles by which workers of other accounts reach it: to write, to delete."""

    account: str
    bucket: str
    prefix: str
    key: str
    role: str
    keeper: str | None = None
    archive_url: str | None = None

    @property
    def archive(self) -> tuple[str, str, str] | None:
        """Its archive as (bucket, prefix, key ARN), None when it has none."""
        if self.archive_url is None:
            return None
        url = urlsplit(self.archive_url)
        return (url.netloc, url.path.lstrip("/"), self.key)

    @property
    def place(self) -> tuple[str, str, str]:
        """The repository as (bucket, prefix, key ARN)."""
        return (self.bucket, self.prefix, self.key)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything that documents of one account name.

    `home` is the backup account, `control_plane` the ARN of the control plane's own identity, `report_queue` an ARN.
    `roles` are the account's roles by their name in the registry. `workers` are the worker roles of all production
    accounts as (account, ARN), `assumed` the roles that the control plane takes, `reached` those that workers take.
    An `external_id` of None means that the account asks for none; else it is a placeholder, never the id itself.
    """

    install: str
    home: str
    account: str
    control_plane: str
    control_bucket: str
    report_queue: str
    repository: Kept
    external_id: str | None = None
    boundary: str | None = None
    session: str = "s-SESSION"
    roles: Mapping[str, str] = field(default_factory=dict)
    workers: tuple[tuple[str, str], ...] = ()
    assumed: tuple[str, ...] = ()
    reached: tuple[str, ...] = ()

    def role(self, key: str) -> str:
        """Return the ARN of the account's role with this name in the registry: the registered one, or our own name."""
        return self.roles.get(key) or role_arn(self.account, ROLE_NAMES[key])

    @property
    def is_home(self) -> bool:
        """Whether this is the backup account."""
        return self.account == self.home

    @property
    def temporary_roles(self) -> str:
        """ARN pattern of the temporary roles of all sessions."""
        return f"arn:aws:iam::{self.home}:role{tags.path_of(self.install)}*"


def role_arn(account: str, name: str) -> str:
    """Return the ARN of a role at the root path."""
    return f"arn:aws:iam::{account}:role/{name}"


def of_registry(
    known: Registry,
    account: Account,
    *,
    install: str,
    home: str,
    control_plane: str,
    control_bucket: str,
    report_queue: str,
    boundary: str | None,
    repository: Repository,
    external_id: str,
) -> Facts:
    """Return the facts of a registered account. `external_id` is the placeholder that stands for its id."""
    kept = kept_of(repository)
    workers = tuple((one.id, one.roles.worker) for one in known.accounts if one.roles.worker)
    data = [one.roles.data for one in known.accounts if one.roles.data and one.id != home]
    return Facts(
        install=install,
        home=home,
        account=account.id,
        control_plane=control_plane,
        control_bucket=control_bucket,
        report_queue=report_queue,
        repository=kept,
        external_id=external_id if account.external_id is not None else None,
        boundary=boundary,
        roles=dict(account.roles.named()) | (_repository_roles(repository) if kept.account == account.id else {}),
        workers=workers,
        assumed=tuple(
            sorted(
                {arn for one in known.accounts for arn in assumed_of(one)}
                | {one.reader for one in known.repositories if one.reader is not None}
                | {one.opener for one in known.repositories if one.opener is not None}
            )
        ),
        reached=tuple(sorted({*data, *(_roles_of(kept) if kept.account != home else [])})),
    )


def _roles_of(kept: Kept) -> list[str]:
    """Return the roles by which workers reach a repository of another account."""
    return [kept.role] if kept.keeper is None else [kept.role, kept.keeper]


def _repository_roles(repository: Repository) -> dict[str, str]:
    """Return the roles of a repository that are registered."""
    named = {
        "repository": repository.role,
        "repositoryKeeper": repository.keeper,
        "repositoryReader": repository.reader,
        "repositoryOpener": repository.opener,
    }
    return {key: arn for key, arn in named.items() if arn is not None}


def assumed_of(account: Account) -> list[str]:
    """Return the roles of an account that the control plane takes itself; workers and EC2 take the others."""
    return [arn for name, arn in account.roles.named().items() if name not in ("worker", "data")]


def kept_of(repository: Repository) -> Kept:
    """Return where a registered repository is."""
    url = urlsplit(repository.url)
    return Kept(
        account=repository.account,
        bucket=url.netloc,
        prefix=url.path.lstrip("/"),
        key=repository.key.kms,
        role=repository.role or role_arn(repository.account, ROLE_NAMES["repository"]),
        keeper=repository.keeper,
        archive_url=None if repository.archive is None else repository.archive.url,
    )
