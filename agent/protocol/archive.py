"""The job of an archived backup."""

from __future__ import annotations

from dataclasses import dataclass

from agent.protocol.message import Message
from agent.protocol.places import RepositoryRef, ResourceRef


@dataclass(frozen=True, kw_only=True)
class ArchiveJob(Message):
    """Job `ec2-archive`: copy a restore point, self-contained, into an archive.

    `source` is the instance that `restore_point` was made of; the copy is the point `archived_point` of the archive.
    `storage_class` is that of the packs, which count as full at `pack_bytes`.
    """

    repository: RepositoryRef
    archive: RepositoryRef
    source: ResourceRef
    restore_point: str
    archived_point: str
    storage_class: str
    pack_bytes: int
