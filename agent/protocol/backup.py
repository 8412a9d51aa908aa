"""The job of an image-level backup."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from agent.protocol.message import Message
from agent.protocol.places import DataAccess, RepositoryRef, ResourceRef


@dataclass(frozen=True, kw_only=True)
class BackupVolume(Message):
    """One volume to back up: its completed snapshot and what must be known to make it again. Sizes in bytes.

    `previous_snapshot_id` is the snapshot of the parent restore point: with it only changed blocks are read.
    """

    volume_id: str
    snapshot_id: str
    size_bytes: int
    device: str
    previous_snapshot_id: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class BackupJob(Message):
    """Job `ec2-backup`: write one restore point (`rp-...`) of one instance.

    `parent` is the restore point that an incremental builds on. `configuration` is the instance as it was (type,
    network, tags, device mapping), recorded as given. `created_at` is RFC 3339 UTC, the moment of the snapshots.
    `ended_workers` are instances that had this job before and are terminated: what they held in the repository is free.
    `blocks_per_second` is how fast to begin: the worker's share, as far as it is known, of what AWS allows the account.
    """

    repository: RepositoryRef
    data: DataAccess
    resource: ResourceRef
    restore_point: str
    created_at: str
    volumes: tuple[BackupVolume, ...]
    parent: str | None = None
    consistency: str = "crash"
    compression: Literal["balanced", "size"] = "balanced"
    configuration: dict[str, Any] = field(default_factory=dict)
    blocks_per_second: int | None = None
    ended_workers: tuple[str, ...] = ()
