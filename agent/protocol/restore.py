"""The jobs that bring volumes back."""

from __future__ import annotations

from dataclasses import dataclass

from agent.protocol.message import Message
from agent.protocol.places import DataAccess, RepositoryRef, ResourceRef


@dataclass(frozen=True, kw_only=True)
class RestoreVolume(Message):
    """One volume to restore: the source volume's id in the restore point, and the started snapshot to fill."""

    volume_id: str
    snapshot_id: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class RestoreVolumeJob(Message):
    """Job `ec2-restore-volume`: fill pending snapshots with the blocks of a restore point and complete them.

    `source` is the instance that the restore point was made of; the control plane makes volumes of the snapshots. With
    `read_back` every block of the completed snapshots is read again and compared.
    """

    repository: RepositoryRef
    data: DataAccess
    source: ResourceRef
    restore_point: str
    volumes: tuple[RestoreVolume, ...]
    read_back: bool = False
