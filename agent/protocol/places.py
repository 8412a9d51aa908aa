"""Where a job reads and writes: resources, repositories, snapshots, and the roles that lead there."""

from __future__ import annotations

from dataclasses import dataclass

from agent.protocol.message import Message


@dataclass(frozen=True, kw_only=True)
class ResourceRef(Message):
    """A resource in the cloud: 12-digit account, Region, id (`i-...`)."""

    account: str
    region: str
    id: str


@dataclass(frozen=True, kw_only=True)
class RepositoryRef(Message):
    """Where restore points are kept. `role_arn` is assumed by the worker to reach it; None: the worker's own role.

    `url` is `s3://bucket/prefix`; `kms_key` the ARN of the key that wraps the repository's data keys.
    """

    url: str
    region: str
    kms_key: str
    role_arn: str | None = None


@dataclass(frozen=True, kw_only=True)
class DataAccess(Message):
    """How the worker reaches snapshot blocks. `role_arn` is the data role to assume; None: the worker's own role."""

    region: str
    role_arn: str | None = None
