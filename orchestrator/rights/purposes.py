"""The purposes of roles, as one literal table: whom each role trusts, what it may do, how it is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal

from orchestrator import policies
from orchestrator.errors import Refused
from orchestrator.rights import doors, reading
from orchestrator.rights.facts import ROLE_NAMES, Facts
from orchestrator.statements import Document, document


class Kind(StrEnum):
    """What a document is put on."""

    ROLE = "a role"
    BOUNDARY = "a managed policy, the permissions boundary of temporary roles"
    BUCKET = "the policy of the control bucket"
    QUEUE = "the policy of the report queue"


@dataclass(frozen=True, kw_only=True)
class Purpose:
    """One row. `key` is the role's name in the registry, None when it does not stand there.

    `general` is the role that serves an addition unless the registry names one of its own. `is_made_by_us`: the product
    makes such roles itself; the document is there to be read.
    """

    name: str
    title: str
    policy: Callable[[Facts], Document]
    trust: Callable[[Facts], Document] | None = None
    kind: Kind = Kind.ROLE
    key: str | None = None
    policy_name: str = "daywork"
    general: str | None = None
    stands_in: Literal["production", "backup", "repository"] = "production"
    has_profile: bool = False
    is_made_by_us: bool = False

    def is_addition(self, facts: Facts) -> bool:
        """Whether the document goes on another purpose's role."""
        return self.general is not None and facts.role(self.key or "") == facts.role(self.general)

    @property
    def role_name(self) -> str | None:
        """How the role is called unless the registry says otherwise."""
        return ROLE_NAMES.get(self.key or "")


def _operation_trust(facts: Facts) -> Document:
    return policies.operation_trust(facts.control_plane, facts.external_id)


def _ec2_trust(_: Facts) -> Document:
    return policies.ec2_trust()


def _files_trust(facts: Facts) -> Document:
    return document(*_operation_trust(facts)["Statement"], *policies.ec2_trust()["Statement"])


def _data_trust(facts: Facts) -> Document:
    return policies.worker_trust(facts.home, facts.temporary_roles)


def _repository_trust(facts: Facts) -> Document:
    kept = facts.repository.account
    patterns = [one for one in (*facts.workers, (facts.home, facts.temporary_roles)) if one[0] != kept]
    return policies.workers_trust(patterns)


def _keeper_trust(facts: Facts) -> Document:
    return policies.worker_trust(facts.home, facts.temporary_roles)


def _data(facts: Facts) -> str | None:
    """Return the account's data role; the backup account has none."""
    return None if facts.is_home else facts.role("data")


def _worker(facts: Facts) -> Document:
    is_near = facts.repository.account == facts.account
    return policies.worker_role(
        install=facts.install,
        control_bucket=facts.control_bucket,
        report_queue_arn=facts.report_queue,
        repository=facts.repository.place if is_near else None,
        repository_role_arn=None if is_near else facts.repository.role,
        archive=facts.repository.archive if is_near else None,
    )


def _temporary(facts: Facts) -> Document:
    return policies.temporary_role(
        install=facts.install,
        session=facts.session,
        control_bucket=facts.control_bucket,
        report_queue_arn=facts.report_queue,
        repository=facts.repository.place if facts.repository.account == facts.home else None,
        roles=facts.reached,
    )


def _boundary(facts: Facts) -> Document:
    is_near = facts.repository.account == facts.home
    return policies.temporary_boundary(
        install=facts.install,
        control_bucket=facts.control_bucket,
        report_queue_arn=facts.report_queue,
        repositories=[facts.repository.place] if is_near else [],
        archives=[facts.repository.archive] if is_near and facts.repository.archive is not None else [],
        roles=facts.reached,
    )


_ROWS = (
    Purpose(
        name="control-plane",
        stands_in="backup",
        title="the control plane's own identity: takes the registered roles, writes orders, reads reports",
        key="controlPlane",
        trust=_ec2_trust,
        policy=lambda facts: policies.control_plane(
            facts.assumed,
            control_bucket=facts.control_bucket,
            report_queue_arn=facts.report_queue,
            own=facts.control_plane,
        ),
        has_profile=True,
    ),
    Purpose(
        name="worker-deployment",
        stands_in="backup",
        title="launches workers in the backup account; the only role that makes and removes roles",
        key="workerDeployment",
        trust=_operation_trust,
        policy=lambda facts: policies.worker_deployment_role(
            install=facts.install,
            account=facts.account,
            boundary=facts.boundary,
            own=facts.role("workerDeployment"),
            repository_roles=[arn for key, arn in facts.roles.items() if key.startswith("repository")],
        ),
    ),
    Purpose(
        name="temporary-worker",
        stands_in="backup",
        title="a session's temporary role, which the worker deployment role makes and removes",
        trust=_ec2_trust,
        policy=_temporary,
        has_profile=True,
        is_made_by_us=True,
    ),
    Purpose(
        name="temporary-boundary",
        stands_in="backup",
        title="what no temporary role may ever exceed",
        kind=Kind.BOUNDARY,
        policy=_boundary,
        policy_name="DayworkTemporaryRoles",
    ),
    Purpose(
        name="worker",
        title="workers in a production account",
        key="worker",
        trust=_ec2_trust,
        policy=_worker,
        has_profile=True,
    ),
    Purpose(
        name="files",
        title="restore of files from snapshots: deploys workers, which have the same role",
        key="files",
        trust=_files_trust,
        policy=lambda facts: policies.files_role(
            install=facts.install,
            own=facts.role("files"),
            control_bucket=facts.control_bucket,
            report_queue_arn=facts.report_queue,
        ),
        has_profile=True,
    ),
    Purpose(
        name="backup-ec2",
        title="backup of EC2 instances; deploys workers in production mode",
        key="backup",
        trust=_operation_trust,
        policy=lambda facts: policies.backup_role(
            install=facts.install,
            worker_role_arn=facts.role("worker"),
            own=facts.role("backup"),
            data_role_arn=_data(facts),
        ),
    ),
    Purpose(
        name="backup-rds",
        title="backup of RDS databases: what planning reads",
        general="backup",
        key="backupRds",
        trust=_operation_trust,
        policy=lambda facts: reading.databases(
            "SeeDatabases",
            worker_role_arn=facts.role("worker"),
            own=facts.role("backupRds"),
            is_alone=facts.role("backupRds") != facts.role("backup"),
        ),
        policy_name="daywork-rds",
    ),
    Purpose(
        name="backup-efs",
        title="indexing of EFS file systems",
        general="backup",
        key="backupEfs",
        trust=_operation_trust,
        policy=lambda facts: policies.index_role(
            install=facts.install,
            worker_role_arn=facts.role("worker"),
            own=facts.role("backupEfs"),
            is_alone=facts.role("backupEfs") != facts.role("backup"),
        ),
        policy_name="daywork-efs",
    ),
    Purpose(
        name="restore-ec2",
        title="restore of EC2 volumes and instances; deploys workers in production mode",
        key="restore",
        trust=_operation_trust,
        policy=lambda facts: policies.restore_role(
            install=facts.install,
            worker_role_arn=facts.role("worker"),
            own=facts.role("restore"),
            data_role_arn=_data(facts),
        ),
    ),
    Purpose(
        name="restore-rds",
        title="restore of RDS databases: what planning reads",
        general="restore",
        key="restoreRds",
        trust=_operation_trust,
        policy=lambda facts: reading.databases(
            "SeeTargets",
            worker_role_arn=facts.role("worker"),
            own=facts.role("restoreRds"),
            is_alone=facts.role("restoreRds") != facts.role("restore"),
        ),
        policy_name="daywork-rds",
    ),
    Purpose(
        name="data",
        title="blocks of an account's snapshots, for workers of the backup account",
        key="data",
        trust=_data_trust,
        policy=lambda facts: policies.data_role(facts.install),
    ),
    Purpose(
        name="repository",
        stands_in="repository",
        title="a repository, for workers of other accounts",
        key="repository",
        trust=_repository_trust,
        policy=lambda facts: policies.repository_role(*facts.repository.place, archive=facts.repository.archive),
    ),
    Purpose(
        name="repository-keeper",
        stands_in="repository",
        title="retention in a repository of another account: the only role that deletes from it",
        key="repositoryKeeper",
        trust=_keeper_trust,
        policy=lambda facts: policies.repository_keeper(*facts.repository.place),
    ),
    Purpose(
        name="repository-reader",
        stands_in="repository",
        title="what restore points there are, for the control plane; has archived ones retrieved, and reads no block",
        key="repositoryReader",
        trust=_operation_trust,
        policy=lambda facts: policies.repository_reader(*facts.repository.place, archive=facts.repository.archive),
    ),
    Purpose(
        name="repository-opener",
        stands_in="repository",
        title="all of a repository's restore points, for looking into them from the command line",
        key="repositoryOpener",
        trust=_operation_trust,
        policy=lambda facts: policies.repository_opener(*facts.repository.place, archive=facts.repository.archive),
    ),
    Purpose(
        name="control-bucket",
        stands_in="backup",
        title="lets workers of production accounts reach their own orders",
        kind=Kind.BUCKET,
        policy=lambda facts: doors.control_bucket(facts.control_bucket, _senders(facts)),
    ),
    Purpose(
        name="report-queue",
        stands_in="backup",
        title="lets workers of production accounts send reports",
        kind=Kind.QUEUE,
        policy=lambda facts: doors.report_queue(facts.report_queue, _senders(facts)),
    ),
)


def _senders(facts: Facts) -> list[str]:
    return sorted({facts.home} | {account for account, _ in facts.workers})


PURPOSES: Final[Mapping[str, Purpose]] = MappingProxyType({row.name: row for row in _ROWS})


def purpose(name: str) -> Purpose:
    """Return a row. Raises `Refused` naming what there is."""
    found = PURPOSES.get(name)
    if found is None:
        raise Refused("unknown purpose", field="--purpose", value=name, remedy=f"Known purposes: {', '.join(PURPOSES)}")
    return found
