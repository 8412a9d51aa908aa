"""Data jobs on a repository in memory and snapshots in dictionaries."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from threading import Event
from typing import Any, cast

from botocore.session import Session

from agent.ebs import BLOCK, Ebs
from agent.jobs import ec2_backup, ec2_health_check, ec2_restore_volume, ec2_retention
from agent.jobs.context import JobContext
from agent.jobs.opening import Means
from agent.protocol import (
    BackupJob,
    BackupVolume,
    DataAccess,
    HealthCheckJob,
    JobResult,
    RepositoryRef,
    ResourceRef,
    RestoreVolume,
    RestoreVolumeJob,
    RetentionJob,
)
from agent.repository.head import Head
from agent.repository.layout import Chain
from agent.repository.repository import Repository, open_repository
from support.block_devices import Content, FakeEbs
from support.repositories import CHAIN, FakeKeys, Watched

GIB = 1024**3
_NUMBERS = count()
#: Nobody calls AWS here, and making one takes longer than most of these jobs.
_SESSION = Session()
RESOURCE = ResourceRef(account=CHAIN.account, region=CHAIN.region, id=CHAIN.resource)
REPOSITORY = RepositoryRef(url="s3://bucket/main", region="eu-west-1", kms_key="arn:aws:kms:eu-west-1:1:key/k")


@dataclass
class Bench:
    """A repository, snapshots, and the jobs that connect them."""

    objects: Watched = field(default_factory=Watched)
    keys: FakeKeys = field(default_factory=FakeKeys)
    ebs: FakeEbs = field(default_factory=FakeEbs)
    stop: Event = field(default_factory=Event)
    progress: list[tuple[int, int]] = field(default_factory=list)
    worker: str = "i-worker"
    threads: int = 4
    checkpoint: float = 60.0
    resource: ResourceRef = RESOURCE
    install: str = ""
    ended: tuple[str, ...] = ()

    @property
    def repository(self) -> Repository:
        """The repository, opened anew."""
        return open_repository(self.objects, self.keys)

    def head(self, point: str) -> Head:
        """Return a restore point of the chain."""
        return self.repository.point(self.chain, point)

    @property
    def chain(self) -> Chain:
        """The chain of the resource."""
        return Chain(account=self.resource.account, region=self.resource.region, resource=self.resource.id)

    @property
    def points(self) -> list[str]:
        """The ids of the chain's restore points."""
        return list(self.repository.points(self.chain))

    def context(self) -> JobContext:
        """Return what the runner gives a job."""
        return JobContext(
            session=_SESSION,
            worker_id=self.worker,
            stop=self.stop,
            progress=lambda done, total: self.progress.append((done, total)),
            install=self.install,
        )

    def means(self) -> Means:
        """Return this bench as a job's means."""

        def repository(_context: JobContext, _ref: RepositoryRef, *, create: bool) -> Repository:
            return open_repository(self.objects, self.keys, create=create)

        def blocks(*_arguments: Any, **_options: Any) -> Ebs:
            return cast("Ebs", self.ebs)

        return Means(repository=repository, blocks=blocks, threads=self.threads, checkpoint=self.checkpoint)

    def backup(
        self, point: str, *volumes: BackupVolume, parent: str | None = None, compression: Any = "balanced"
    ) -> JobResult:
        """Do a backup job."""
        job = BackupJob(
            repository=REPOSITORY,
            data=DataAccess(region="eu-west-1"),
            resource=self.resource,
            restore_point=point,
            created_at="2026-11-23T02:00:00.000Z",
            volumes=volumes,
            parent=parent,
            compression=compression,
            ended_workers=self.ended,
            configuration={"instanceType": "t3.small"},
        )
        return ec2_backup.run(self.context(), job, self.means())

    def restore(self, point: str, *volumes: RestoreVolume, read_back: bool = False) -> JobResult:
        """Do a restore job."""
        job = RestoreVolumeJob(
            repository=REPOSITORY,
            data=DataAccess(region="eu-west-1"),
            source=self.resource,
            restore_point=point,
            volumes=volumes,
            read_back=read_back,
        )
        return ec2_restore_volume.run(self.context(), job, self.means())

    def retain(self, *due: str, grace: int = 0, **more: Any) -> JobResult:
        """Do a retention job; nothing waits for a grace time unless told to."""
        job = RetentionJob(
            repository=REPOSITORY, source=self.resource, due=due, grace=grace, **{"ended_workers": self.ended, **more}
        )
        return ec2_retention.run(self.context(), job, self.means())

    def check(self, point: str, *, sample: int = 100) -> JobResult:
        """Do a health check job."""
        job = HealthCheckJob(repository=REPOSITORY, source=self.resource, restore_point=point, sample=sample)
        return ec2_health_check.run(self.context(), job, self.means())

    def restored(self, point: str, volume: str = "vol-1", size: int = 4 * GIB) -> Content:
        """Restore one volume into a new snapshot; return the snapshot's blocks."""
        target = new_target()
        self.restore(point, RestoreVolume(volume_id=volume, snapshot_id=target, size_bytes=size))
        assert target in self.ebs.completed
        return self.ebs.snapshots.get(target, {})


def new_target() -> str:
    """Return the name of a snapshot that nobody has filled yet."""
    return f"snap-restored-{next(_NUMBERS)}"


def volume(snapshot: str, *, name: str = "vol-1", size: int = 4 * GIB, previous: str | None = None) -> BackupVolume:
    """Return a volume of a backup job."""
    return BackupVolume(
        volume_id=name,
        snapshot_id=snapshot,
        size_bytes=size,
        device="/dev/xvda",
        previous_snapshot_id=previous,
        attributes={"type": "gp3"},
    )


#: Blocks in the volumes of these tests.
BLOCKS = 4 * GIB // BLOCK
