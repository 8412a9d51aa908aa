"""Job `ec2-archive`: copy a restore point, self-contained, into an archive.

    maps -> fetchers (4 threads): read packs, open blobs -> packer (1 thread): look up, encrypt -> uploader (1 thread)

Blocks are not decompressed: the content of each blob is encrypted anew under the archive's own key. Memory is bounded
by the packs that are read and the parts of the one that is written, whatever sizes packs and volumes have. Volumes come
one after the other, and the head last: a job that fails, stops or dies leaves no restore point, and the packs that it
has finished are used by the next attempt at the same one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Final

import numpy as np

from agent.crew import Crew, Queue
from agent.jobs.context import JobContext, JobFailed
from agent.jobs.failures import translated
from agent.jobs.opening import Means, Tally
from agent.memory import share_heaps
from agent.protocol import ArchiveJob, JobResult, format_time
from agent.repository.archive import ArchiveWriter, Part
from agent.repository.errors import Missing
from agent.repository.head import Head, Volume, encode_head
from agent.repository.layout import Chain, point_key
from agent.repository.mapping import MapObjects, VolumeMap
from agent.repository.owner import claim
from agent.repository.pack import BLOCK
from agent.repository.reader import LoadedPack, Wanted, grouped, load_wanted, windows
from agent.repository.repository import Repository

KIND: Final = "archived"
_FETCHERS: Final = 4
#: Blobs that are handed over at a time, and how many such portions wait.
_PORTION: Final = 8
_WAITING: Final = 4


@dataclass(frozen=True)
class _Blob:
    """A block as it is stored, and where in the volume it is."""

    block_id: bytes
    flag: int
    content: bytes
    indices: list[int]


@dataclass
class _Copy:
    """The copy of one volume: what its threads share."""

    source: Repository
    chain: Chain
    volume: Volume
    map: VolumeMap
    writer: ArchiveWriter
    tally: Tally
    packs: Queue[Wanted]
    portions: Queue[list[_Blob]]
    copied: int = 0
    _lock: Lock = field(default_factory=Lock)
    _fetching: int = _FETCHERS

    def list_packs(self) -> None:
        """Walk through the map."""
        for gathered in windows(self.source, self.chain, self.volume):
            for number, segment in gathered:
                self.map.announce(number, segment.rows)
            for wanted in grouped(gathered):
                self.packs.put(wanted)
        self.packs.close()

    def fetch(self) -> None:
        """Read packs until there are no more; the last fetcher says so."""
        while (wanted := self.packs.get()) is not None:
            for pack, part in load_wanted(self.source, wanted):
                self._open(pack, part)
        with self._lock:
            self._fetching -= 1
            if not self._fetching:
                self.portions.close()

    def _open(self, pack: LoadedPack, wanted: Wanted) -> None:
        """Open each wanted blob of a pack once, however often its block occurs."""
        slots, first, rank = np.unique(wanted.slots, return_index=True, return_inverse=True)
        order = np.argsort(rank, kind="stable")
        bounds = np.searchsorted(rank[order], np.arange(len(slots) + 1))
        portion: list[_Blob] = []
        for number, slot in enumerate(slots.tolist()):
            indices = wanted.indices[order[bounds[number] : bounds[number + 1]]].tolist()
            block_id = pack.id(slot, wanted.checks[first[number]].tobytes())
            portion.append(_Blob(block_id, *pack.content(slot), indices))
            if len(portion) == _PORTION:
                self.portions.put(portion)
                portion = []
        if portion:
            self.portions.put(portion)

    def pack(self) -> None:
        """Store blobs until there are no more."""
        while (portion := self.portions.get()) is not None:
            for blob in portion:
                pack_id, slot = self.writer.store(blob.block_id, blob.flag, blob.content)
                for index in blob.indices:
                    self.map.put(index, pack_id, slot, blob.block_id)
                self.copied += len(blob.indices)
                self.tally.add(BLOCK * len(blob.indices))


def run(context: JobContext, job: ArchiveJob, means: Means | None = None) -> JobResult:
    """Write the archived restore point. Raises `JobFailed`, `JobStopped`."""
    means = means or Means()
    share_heaps()
    chain = Chain(account=job.source.account, region=job.source.region, resource=job.source.id)
    with translated(), Crew(context.stop) as crew:
        source = means.repository(context, job.repository, create=False)
        archive = means.repository(context, job.archive, create=True)
        claim(archive, context.install)
        try:
            head = archive.point(chain, job.archived_point)
        except Missing:
            head = _write(context, job, crew, source, archive, chain)
    return JobResult(outcome="success", detail=head.figures)


def _write(
    context: JobContext, job: ArchiveJob, crew: Crew, source: Repository, archive: Repository, chain: Chain
) -> Head:
    original = source.point(chain, job.restore_point)
    tally = Tally(context.progress, sum(volume.blocks for volume in original.volumes) * BLOCK)
    maps = MapObjects(archive, chain)
    volumes: list[Volume] = []
    packs: dict[str, dict[str, Any]] = {}
    for volume in original.volumes:
        crew.check()
        part = Part(chain=chain, point=job.archived_point, volume=volume.volume_id)
        writer = ArchiveWriter(
            archive, part, crew, blocks=volume.blocks, storage_class=job.storage_class, pack_size=job.pack_bytes
        )
        copy = _Copy(
            source=source,
            chain=chain,
            volume=volume,
            map=VolumeMap(volume.volume_id, maps),
            writer=writer,
            tally=tally,
            packs=crew.queue(_FETCHERS),
            portions=crew.queue(_WAITING),
        )
        count, size = _copy(copy, crew)
        packs[volume.volume_id] = {"folder": part.folder, "owner": part.owner.hex(), "count": count, "bytes": size}
        volumes.append(_volume(volume, copy))
    maps.flush()
    head = _head(context, job, original, volumes, packs)
    key = point_key(chain, head.point)
    key_id, data_key = archive.ring.current()
    crew.check()
    archive.objects.create(key, encode_head(head, place=key, key_id=key_id, data_key=data_key))
    return head


def _copy(copy: _Copy, crew: Crew) -> tuple[int, int]:
    crew.start(1, copy.list_packs, name="lister")
    crew.start(_FETCHERS, copy.fetch, name="fetcher")
    crew.start(1, copy.pack, name="packer").wait()
    if copy.copied != copy.volume.blocks:
        raise JobFailed(
            f"{copy.copied} blocks of {copy.volume.volume_id} were found, its restore point has {copy.volume.blocks}",
            "Run a health check of the restore point",
        )
    return copy.writer.finish()


def _volume(volume: Volume, copy: _Copy) -> Volume:
    return Volume(
        volume_id=volume.volume_id,
        snapshot_id=volume.snapshot_id,
        size_bytes=volume.size_bytes,
        device=volume.device,
        blocks=volume.blocks,
        segments=copy.map.references(),
        attributes=dict(volume.attributes),
    )


def _head(
    context: JobContext, job: ArchiveJob, original: Head, volumes: list[Volume], packs: dict[str, dict[str, Any]]
) -> Head:
    """Return the copy's head: what it is of and from when is as in the original."""
    return Head(
        point=job.archived_point,
        account=original.account,
        region=original.region,
        resource=original.resource,
        created_at=original.created_at,
        finished_at=format_time(datetime.now(UTC)),
        kind=KIND,
        parent=None,
        consistency=original.consistency,
        writer=context.worker_id,
        fence=0,
        volumes=tuple(volumes),
        configuration=dict(original.configuration),
        figures={
            "restorePoint": job.archived_point,
            "kind": KIND,
            "source": original.point,
            "storageClass": job.storage_class,
            "volumes": [
                {"volumeId": one.volume_id, "sizeBytes": one.size_bytes, "blocks": one.blocks} for one in volumes
            ],
            "packs": packs,
            "bytesRead": sum(one.blocks for one in volumes) * BLOCK,
            "bytesStored": sum(one["bytes"] for one in packs.values()),
        },
        install=context.install,
        session=context.for_session,
    )
