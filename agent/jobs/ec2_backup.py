"""Job `ec2-backup`: read the blocks of an instance's snapshots and write one restore point.

    lister (1 thread) -> queue -> readers (32 threads): read, verify, look up, compress, encrypt -> packs -> uploaders

A reader carries its block through to its place in a pack, so nothing is handed over but whole packs. Memory is bounded
by the queue, the readers' blocks and the packs under way, whatever the volumes' size. The head is written last: a job
that fails, stops or dies leaves no restore point, only objects that retention clears away.

With a parent and its snapshot only changed blocks are read; where AWS cannot tell them (the old snapshot is gone, or
not of this volume) the volume is read in full.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain as joined, groupby
from threading import Lock
from typing import Any, Final

from agent.crew import Crew, Queue
from agent.ebs import BLOCK, Ebs, Listed, Page
from agent.ebs_errors import NotFound, Unrelated
from agent.ebs_pace import DEFAULT_RATE
from agent.jobs.context import JobContext
from agent.jobs.failures import translated
from agent.jobs.opening import Tally, blocks_of, repository_of
from agent.protocol import BackupJob, BackupVolume, JobResult, format_time
from agent.repository.dedupe import load_known
from agent.repository.errors import Missing
from agent.repository.head import Head, SegmentRef, Volume, encode_head
from agent.repository.layout import Chain, point_key
from agent.repository.lease import Lease, acquire
from agent.repository.mapping import MapObjects, VolumeMap
from agent.repository.maps import SEGMENT, Segment
from agent.repository.reader import read_segments
from agent.repository.repository import Repository
from agent.repository.writer import Stored, Writer

READERS: Final = 32
#: Blocks that a reader takes at a time, and how many such portions wait.
_PORTION: Final = 8
_WAITING: Final = 64
#: Bounds for how many known blocks are looked up in the index before the backup.
_LEAST_KNOWN: Final = 128 * 1024
_MOST_KNOWN: Final = 4 * 1024 * 1024

ZERO: Final = hashlib.sha256(bytes(BLOCK)).digest()


@dataclass
class _Source:
    """One volume under way. `parent` is its state in the parent point, when only changed blocks are read."""

    volume: BackupVolume
    parent: Volume | None
    map: VolumeMap
    read: int = 0

    @property
    def blocks(self) -> int:
        """Blocks that are not holes, once the map is complete."""
        return (self.parent.blocks if self.parent is not None else 0) + self.map.added


@dataclass(frozen=True)
class _Portion:
    """Some listed blocks of one volume; `span` is the bytes of the volume that are behind us once they are done."""

    source: _Source
    blocks: list[Listed]
    span: int


@dataclass
class _Run:
    """One backup: what its threads share."""

    context: JobContext
    job: BackupJob
    repository: Repository
    chain: Chain
    crew: Crew
    ebs: Ebs
    writer: Writer
    parent: Head | None
    tally: Tally
    maps: MapObjects
    portions: Queue[_Portion]
    sources: list[_Source] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    # --- listing ---

    def list_all(self) -> None:
        """List the blocks of every volume, one volume after the other."""
        for volume in self.job.volumes:
            self._list(volume)
        self.portions.close()

    def _list(self, volume: BackupVolume) -> None:
        pages, parent = self._pages(volume)
        source = _Source(volume, parent, self._map(volume, parent))
        self.sources.append(source)
        behind = 0
        entries = joined.from_iterable(page.blocks for page in pages)
        for number, listed in groupby(entries, key=lambda one: one.index // SEGMENT):
            blocks = list(listed)
            source.map.announce(number, len(blocks))
            for start in range(0, len(blocks), _PORTION):
                part = blocks[start : start + _PORTION]
                end = (part[-1].index + 1) * BLOCK
                self.portions.put(_Portion(source, part, end - behind))
                behind = end
        self.tally.add(volume.size_bytes - behind)

    def _pages(self, volume: BackupVolume) -> tuple[Iterator[Page], Volume | None]:
        before = self.parent.volume(volume.volume_id) if self.parent is not None else None
        if before is not None and before.snapshot_id == volume.previous_snapshot_id:
            pages = self.ebs.changed_blocks(before.snapshot_id, volume.snapshot_id)
            try:
                first = next(pages)
            except (NotFound, Unrelated):
                return self.ebs.blocks(volume.snapshot_id), None
            return joined([first], pages), before
        return self.ebs.blocks(volume.snapshot_id), None

    def _map(self, volume: BackupVolume, parent: Volume | None) -> VolumeMap:
        if parent is None:
            return VolumeMap(volume.volume_id, self.maps)
        kept = {ref.number: ref for ref in parent.segments}

        def base(number: int) -> Segment | None:
            ref: SegmentRef | None = kept.get(number)
            if ref is None:
                return None
            read = read_segments(self.repository, self.chain, volume.volume_id, ref.name, [ref])
            return next(read)[1]

        return VolumeMap(volume.volume_id, self.maps, base, kept)

    # --- reading ---

    def read_all(self) -> None:
        """Read portions until there are no more."""
        while (portion := self.portions.get()) is not None:
            source = portion.source
            read = 0
            for listed in portion.blocks:
                if listed.token is None:
                    source.map.drop(listed.index)
                    continue
                block_id, data = self.ebs.read(source.volume.snapshot_id, listed.index, listed.token)
                read += 1
                if block_id == ZERO:
                    source.map.drop(listed.index)
                    continue
                pack_id, slot = self.writer.store(block_id, data)
                source.map.put(listed.index, pack_id, slot, block_id)
            with self._lock:
                source.read += read
            self.tally.add(portion.span)


def run(context: JobContext, job: BackupJob, *, rate: float = DEFAULT_RATE, readers: int = READERS) -> JobResult:
    """Write the restore point. Raises `JobFailed`, `JobStopped`."""
    with translated(), Crew(context.stop) as crew:
        repository = repository_of(context, job.repository, create=True)
        chain = Chain(account=job.resource.account, region=job.resource.region, resource=job.resource.id)
        crew.check()
        lease = acquire(repository.objects, repository.ring, chain, owner=context.worker_id, pause=crew.rest)
        parting: list[Any] = [lease.release]
        try:
            crew.start(1, lease.keep, name="lease")
            head = _existing(repository, chain, job)
            if head is None:
                head = _write(context, job, repository, chain, crew, lease, parting, rate=rate, readers=readers)
        finally:
            _part(parting)
    return JobResult(outcome="success", detail=head.figures)


def _existing(repository: Repository, chain: Chain, job: BackupJob) -> Head | None:
    """Return the restore point when an earlier attempt has written it and its answer was lost."""
    try:
        return repository.point(chain, job.restore_point)
    except Missing:
        return None


def _part(parting: list[Any]) -> None:
    """Do what should be done at the end, in a thread of its own: a stop must not wait for a network that is gone."""

    def last() -> None:
        for deed in parting:
            deed()

    thread = threading.Thread(target=last, name="parting", daemon=True)
    thread.start()
    thread.join(0.5)


def _write(
    context: JobContext,
    job: BackupJob,
    repository: Repository,
    chain: Chain,
    crew: Crew,
    lease: Lease,
    parting: list[Any],
    *,
    rate: float,
    readers: int,
) -> Head:
    parent = repository.point(chain, job.parent) if job.parent is not None else None
    size = sum(volume.size_bytes for volume in job.volumes)
    most = size // BLOCK if parent is None else _LEAST_KNOWN
    budget = min(_MOST_KNOWN, max(_LEAST_KNOWN, 2 * most))
    with load_known(repository, chain, crew, budget=budget, expected=size // BLOCK) as known:
        writer = Writer(repository, chain, crew, known=known, compression=job.compression)
        ebs = blocks_of(context, job.data, threads=readers, pause=crew.pause, rate=rate)
        work = _Run(
            context=context,
            job=job,
            repository=repository,
            chain=chain,
            crew=crew,
            ebs=ebs,
            writer=writer,
            parent=parent,
            tally=Tally(context.progress, size),
            maps=MapObjects(repository, chain),
            portions=crew.queue(_WAITING),
        )
        parting.append(writer.salvage)
        crew.start(1, work.list_all, name="lister")
        crew.start(readers, work.read_all, name="reader").wait()
        stored = writer.finish()
        work.maps.flush()
        head = _head(work, stored, lease)
        key = point_key(chain, head.point)
        key_id, data_key = repository.ring.current()
        sealed = encode_head(head, place=key, key_id=key_id, data_key=data_key)
        crew.check()
        lease.hold()
        repository.objects.create(key, sealed)
        ebs.close()
    return head


def _head(work: _Run, stored: Stored, lease: Lease) -> Head:
    job = work.job
    kind = "incremental" if any(source.parent is not None for source in work.sources) else "full"
    read = sum(source.read for source in work.sources)
    figures = {
        "restorePoint": job.restore_point,
        "kind": kind,
        "volumes": [
            {"volumeId": one.volume.volume_id, "sizeBytes": one.volume.size_bytes, "blocks": one.blocks}
            for one in work.sources
        ],
        "blocksRead": read,
        "blocksStored": stored.blocks,
        "bytesRead": read * BLOCK,
        "bytesStored": stored.bytes,
    }
    return Head(
        point=job.restore_point,
        account=work.chain.account,
        region=work.chain.region,
        resource=work.chain.resource,
        created_at=job.created_at,
        finished_at=format_time(datetime.now(UTC)),
        kind=kind,
        parent=job.parent if kind == "incremental" else None,
        consistency=job.consistency,
        writer=work.context.worker_id,
        fence=lease.fence,
        volumes=tuple(
            Volume(
                volume_id=one.volume.volume_id,
                snapshot_id=one.volume.snapshot_id,
                size_bytes=one.volume.size_bytes,
                device=one.volume.device,
                blocks=one.blocks,
                segments=one.map.references(),
                attributes=dict(one.volume.attributes),
            )
            for one in work.sources
        ),
        configuration=dict(job.configuration),
        figures=figures,
    )
