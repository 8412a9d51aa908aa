"""The job that indexes a file system."""

from __future__ import annotations

from dataclasses import dataclass

from agent.protocol.message import Message
from agent.protocol.places import RepositoryRef, ResourceRef


@dataclass(frozen=True, kw_only=True)
class MountTarget(Message):
    """Where an EFS file system can be mounted: id and address in the worker's VPC."""

    id: str
    address: str


@dataclass(frozen=True, kw_only=True)
class IndexJob(Message):
    r"""Job `efs-index`: walk through a file system and write what there is as index `index` (`ix-...`).

    `mount_targets` are tried in their order. `path` is the directory to begin at, `exclude_paths` are directories that
    are left out; all begin at the file system's root, a byte that is no UTF-8 is written `\xNN`, a backslash `\\`.
    `recovery_point` is the ARN of the backup that the index describes. `size_bytes` is what EFS measured last.
    `ended_workers` are instances that are terminated: what they held in the repository is free.
    """

    repository: RepositoryRef
    resource: ResourceRef
    index: str
    mount_targets: tuple[MountTarget, ...]
    path: str = "/"
    exclude_paths: tuple[str, ...] = ()
    recovery_point: str | None = None
    size_bytes: int = 0
    ended_workers: tuple[str, ...] = ()
