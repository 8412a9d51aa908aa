"""Job `ec2-backup`: read the blocks of an instance's snapshots and write one restore point.

    lister (1 thread) -> queue -> readers (32 threads): read, verify, look up, compress, encrypt -> packs -> uploaders

A reader carries its block through to its place in a pack, so nothing is handed over but whole packs. Memory is bounded
by the queue, the readers' blocks and the packs under way, whatever the volumes' size. The head is written last: a job
that fails, stops or dies leaves no restore point, only objects that retention clears away.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from agent.crew import Crew
from agent.ebs import BLOCK
from agent.jobs.backup_reading import Reading, Source
from agent.jobs.context import JobContext
from agent.jobs.failures import translated
from agent.jobs.opening import Means, Tally
from agent.memory import share_heaps
from agent.protocol import BackupJob, JobResult, format_time
from agent.repository.dedupe import load_known
from agent.repository.errors import Damaged, Missing, Unusable
from agent.repository.head import Head, Volume, encode_head
from agent.repository.layout import Chain, point_key
from agent.repository.lease import Lease, acquire
from agent.repository.mapping import MapObjects
from agent.repository.mending import load_mending
from agent.repository.owner import claim
from agent.repository.repository import Repository
from agent.repository.writer import Stored, Writer

#: Bounds for how many known blocks are taken from the index before the backup.
_LEAST_KNOWN: Final = 128 * 1024
_MOST_KNOWN: Final = 4 * 1024 * 1024
#: Seconds that the last deeds of a job may hold up its end.
_PARTING: Final = 0.3


def run(context: JobContext, job: BackupJob, means: Means | None = None) -> JobResult:
    """Write the restore point. Raises `JobFailed`, `JobStopped`."""
    means = means or Means()
    share_heaps()
    with translated(), Crew(context.stop) as crew:
        repository = means.repository(context, job.repository, create=True)
        claim(repository, context.install)
        chain = Chain(account=job.resource.account, region=job.resource.region, resource=job.resource.id)
        crew.check()
        lease = acquire(
            repository.objects,
            repository.ring,
            chain,
            owner=context.worker_id,
            pause=crew.rest,
            ended=frozenset(job.ended_workers),
        )
        last: list[Callable[[], None]] = [lease.release]
        try:
            crew.start(1, lease.keep, name="lease")
            backup = _Backup(context, job, means, repository, chain, crew)
            head = backup.existing() or backup.write(lease, last)
        finally:
            _part(last)
    return JobResult(outcome="success", detail=head.figures)


def _part(last: list[Callable[[], None]]) -> None:
    """Do the last deeds in a thread of its own: a stop must not wait for a network that is gone."""

    def part() -> None:
        for deed in last:
            deed()

    thread = threading.Thread(target=part, name="parting", daemon=True)
    thread.start()
    thread.join(_PARTING)


@dataclass(frozen=True)
class _Backup:
    """One backup under its lease."""

    context: JobContext
    job: BackupJob
    means: Means
    repository: Repository
    chain: Chain
    crew: Crew

    def existing(self) -> Head | None:
        """Return the restore point when an earlier attempt has written it and its answer was lost."""
        try:
            return self.repository.point(self.chain, self.job.restore_point)
        except Missing:
            return None

    def _parent(self) -> Head | None:
        """Return the parent point; None, so that all is read, when there is none or it is of no use any more."""
        try:
            return self.repository.point(self.chain, self.job.parent) if self.job.parent is not None else None
        except (Missing, Damaged, Unusable):
            return None

    def write(self, lease: Lease, last: list[Callable[[], None]]) -> Head:
        """Write the restore point; `last` gets what must be done whatever happens."""
        job, crew, repository, chain = self.job, self.crew, self.repository, self.chain
        mending = load_mending(repository)
        is_mending = mending.asks_for_all(chain, job.parent)
        parent = None if is_mending else self._parent()
        size = sum(volume.size_bytes for volume in job.volumes)
        most = size // BLOCK if parent is None else 0
        budget = min(_MOST_KNOWN, max(_LEAST_KNOWN, 2 * most))
        known = load_known(repository, chain, crew, budget=budget, expected=size // BLOCK, mending=mending)
        writer = Writer(
            repository,
            chain,
            crew,
            known=known,
            compression=job.compression,
            mending=mending,
            checkpoint=self.means.checkpoint,
        )
        last.append(writer.salvage)
        ebs = self.means.blocks(
            self.context, job.data, threads=self.means.threads, pause=crew.pause, first=job.blocks_per_second
        )
        last.insert(0, ebs.close)
        reading = Reading(
            volumes=job.volumes,
            repository=repository,
            chain=chain,
            ebs=ebs,
            writer=writer,
            maps=MapObjects(repository, chain),
            tally=Tally(self.context.progress, size),
            parent=parent,
            is_mending=is_mending,
        )
        reading.read(crew, self.means.threads)
        stored = writer.finish()
        reading.maps.flush()
        has_read_all = all(source.parent is None for source in reading.sources)
        mended = mending.finish(repository, chain, has_read_all=has_read_all)
        head = self._head(reading.sources, stored, lease, mended)
        key = point_key(chain, head.point)
        key_id, data_key = repository.ring.current()
        sealed = encode_head(head, place=key, key_id=key_id, data_key=data_key)
        crew.check()
        lease.hold()
        repository.objects.create(key, sealed)
        return head

    def _head(self, sources: list[Source], stored: Stored, lease: Lease, mended: list[str]) -> Head:
        job = self.job
        kind = "incremental" if any(_kind(source) == "incremental" for source in sources) else "full"
        return Head(
            point=job.restore_point,
            account=self.chain.account,
            region=self.chain.region,
            resource=self.chain.resource,
            created_at=job.created_at,
            finished_at=format_time(datetime.now(UTC)),
            kind=kind,
            parent=job.parent if kind == "incremental" else None,
            consistency=job.consistency,
            writer=self.context.worker_id,
            fence=lease.fence,
            volumes=tuple(_volume(source) for source in sources),
            configuration=dict(job.configuration),
            figures={**_figures(job.restore_point, kind, sources, stored), **({"mended": mended} if mended else {})},
            install=self.context.install,
            session=self.context.for_session,
        )


def _kind(source: Source) -> str:
    return "full" if source.parent is None else "incremental"


def _volume(source: Source) -> Volume:
    volume = source.volume
    return Volume(
        volume_id=volume.volume_id,
        snapshot_id=volume.snapshot_id,
        size_bytes=volume.size_bytes,
        device=volume.device,
        blocks=source.blocks,
        segments=source.map.references(),
        attributes=dict(volume.attributes),
    )


def _figures(point: str, kind: str, sources: list[Source], stored: Stored) -> dict[str, Any]:
    """Return the figures of the job's result, as `agent.protocol.JobResult` names them."""
    read = sum(source.read for source in sources)
    return {
        "restorePoint": point,
        "kind": kind,
        "volumes": [
            {
                "volumeId": one.volume.volume_id,
                "sizeBytes": one.volume.size_bytes,
                "blocks": one.blocks,
                "kind": _kind(one),
                "blocksRead": one.read,
                **({"readWhole": one.whole} if one.whole is not None else {}),
            }
            for one in sources
        ],
        "blocksRead": read,
        "blocksStored": stored.blocks,
        "bytesRead": read * BLOCK,
        "bytesStored": stored.bytes,
    }
