"""An archive beside the repository of a bench: its packs cannot be read before they were retrieved."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from agent.jobs import ec2_archive
from agent.jobs.context import JobContext
from agent.jobs.opening import Means
from agent.protocol import ArchiveJob, DataAccess, JobResult, RepositoryRef, RestoreVolume, RestoreVolumeJob
from agent.repository.errors import Refused
from agent.repository.head import Head
from agent.repository.repository import Repository, open_repository
from support.block_devices import Content
from support.data_jobs import GIB, REPOSITORY, Bench, new_target
from support.repositories import FakeKeys, Watched

ARCHIVE = RepositoryRef(url="s3://vault/main", region=REPOSITORY.region, kms_key=REPOSITORY.kms_key)


class Vault(Watched):
    """Objects of an archive class are not read before `retrieved` names them."""

    def __init__(self) -> None:
        """Retrieve nothing yet."""
        super().__init__()
        self.retrieved: set[str] = set()

    def _look(self, key: str) -> None:
        if key in self.classes and key not in self.retrieved:
            raise Refused(f"{key} is not retrieved (test)")

    def get(self, key: str) -> memoryview:
        """Return an object."""
        self._look(key)
        return super().get(key)

    def get_whole(self, key: str, most: int) -> memoryview | None:
        """Return an object that is not too large."""
        self._look(key)
        return super().get_whole(key, most)

    def get_range(self, key: str, start: int, length: int) -> memoryview:
        """Return part of an object."""
        self._look(key)
        return super().get_range(key, start, length)

    def get_ranges(self, key: str, starts: Any, lengths: Any) -> list[memoryview]:
        """Return parts of an object."""
        self._look(key)
        return super().get_ranges(key, starts, lengths)

    def get_end(self, key: str, length: int) -> memoryview:
        """Return the end of an object."""
        self._look(key)
        return super().get_end(key, length)

    @property
    def packs(self) -> set[str]:
        """The keys of all packs."""
        return {key for key in self.keys("packs") if "/" in key}


@dataclass
class ArchiveBench(Bench):
    """A bench with an archive."""

    vault: Vault = field(default_factory=Vault)
    vault_keys: FakeKeys = field(default_factory=FakeKeys)

    @property
    def archive(self) -> Repository:
        """The archive, opened anew."""
        return open_repository(self.vault, self.vault_keys)

    @property
    def archived(self) -> list[str]:
        """The ids of the chain's archived points."""
        return list(self.archive.points(self.chain))

    def copy(self, point: str) -> Head:
        """Return an archived point of the one chain."""
        return self.archive.point(self.chain, point)

    def means(self) -> Means:
        """Return this bench as a job's means."""
        plain = super().means()

        def repository(context: JobContext, ref: RepositoryRef, *, create: bool) -> Repository:
            if ref.url == ARCHIVE.url:
                return open_repository(self.vault, self.vault_keys, create=create)
            return plain.repository(context, ref, create=create)

        return Means(repository=repository, blocks=plain.blocks, threads=self.threads)

    def to_archive(self, point: str, copy: str, *, pack_bytes: int = 4 * 1024 * 1024) -> JobResult:
        """Do an archive job."""
        job = ArchiveJob(
            repository=REPOSITORY,
            archive=ARCHIVE,
            source=self.resource,
            restore_point=point,
            archived_point=copy,
            storage_class="DEEP_ARCHIVE",
            pack_bytes=pack_bytes,
        )
        return ec2_archive.run(self.context(), job, self.means())

    def restored_from_archive(self, point: str, volume: str = "vol-1", size: int = 4 * GIB) -> Content:
        """Restore one volume of an archived point into a new snapshot; return the snapshot's blocks."""
        from agent.jobs import ec2_restore_volume

        target = new_target()
        job = RestoreVolumeJob(
            repository=ARCHIVE,
            data=DataAccess(region="eu-west-1"),
            source=self.resource,
            restore_point=point,
            volumes=(RestoreVolume(volume_id=volume, snapshot_id=target, size_bytes=size),),
        )
        ec2_restore_volume.run(self.context(), job, self.means())
        return self.ebs.snapshots.get(target, {})
