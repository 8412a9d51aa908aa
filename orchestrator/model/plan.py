"""What was decided for a session and for each of its resources, before anything is created.

A plan is copied into the ledger when the session is planned: later changes of the registry never touch it.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from orchestrator.model.account import Repository
from orchestrator.model.request import Strict
from orchestrator.model.status import DeploymentMode


class Access(Strict):
    """One identity in one place: the role that is assumed and the Region that is worked in.

    `role` None means the control plane's own credentials. The external id belongs to the account's registry record and
    is added where the role is assumed, nowhere else.
    """

    account: str
    region: str
    role: str | None


class TemporaryRole(Strict):
    """The session's temporary role, made in the backup account with the worker deployment role's rights."""

    name: str
    path: str
    account: str
    region: str
    data_roles: tuple[str, ...] = ()
    repository_role: str | None = None


class SessionPlan(Strict):
    """What is equal for all resources of a session.

    `settled` is the repository's registry entry as it was when the session was planned; sessions of earlier versions
    have none, and their workers' `tags` here.
    """

    mode: DeploymentMode
    repository: str | None
    settled: Repository | None = None
    temporary_role: TemporaryRole | None = None
    tags: dict[str, str] = Field(default_factory=dict)


class SourceVolume(Strict):
    """One volume as it stood when it was planned; size in GiB as EC2 counts."""

    volume_id: str
    device: str
    size_gib: int
    type: str = "gp3"
    encrypted: bool = False
    kms_key: str | None = None
    iops: int | None = None
    throughput: int | None = None
    attributes: dict[str, Any] = Field(default_factory=dict)


class WorkerNetwork(Strict):
    """Where a worker is launched: subnets of one VPC in the order to be tried, and the security groups it gets."""

    region: str
    vpc: str | None = None
    subnets: tuple[str, ...] = Field(min_length=1)
    security_groups: tuple[str, ...] = Field(min_length=1)
    public_address: bool = False


class WorkerPlan(Strict):
    """How the worker of a resource is launched.

    `access` is the deploying role, `profile` the instance profile's name, or None for the session's temporary one;
    `role` the worker role's ARN or None for the temporary role. `tags` are those that its account's registry entry asks
    for beside our own; their variables are filled in at launch.
    """

    access: Access
    instance_types: tuple[str, ...]
    image: str
    configuration: WorkerNetwork
    profile: str | None = None
    role: str | None = None
    tags: dict[str, str] = Field(default_factory=dict)


class ResourcePlan(Strict):
    """What is done for one resource.

    `operation` reads the source and makes snapshots and volumes; `data_role` is assumed by the worker to reach blocks
    of another account; `chain` names the backup chain that is written, or None. `volumes` are the volumes of the job;
    `details` is the operation's own knowledge (instance configuration; for a restore the restore point's record).
    """

    operation: Access
    worker: WorkerPlan
    data_role: str | None = None
    repository_role: str | None = None
    chain: str | None = None
    volumes: tuple[SourceVolume, ...] = ()
    size_bytes: int = 0
    details: dict[str, Any] = Field(default_factory=dict)
