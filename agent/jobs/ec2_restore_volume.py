"""Job `ec2-restore-volume`: fill pending snapshots with the blocks of a restore point and complete them.

    maps -> fetchers (4 threads): read packs -> queue -> putters (32 threads): open the blob, write the block

Each pack is read once. The block id from the pack is the checksum that AWS demands with each block, and the ids in
index order give the one that it demands at the end: AWS itself proves that the snapshot is what was backed up. Holes
are not written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final

import zstandard

from agent.crew import Crew, Queue
from agent.ebs import BLOCK, Ebs
from agent.jobs.context import JobContext, JobFailed
from agent.jobs.digests import Digests
from agent.jobs.failures import translated
from agent.jobs.opening import Means, Tally
from agent.jobs.reading_back import read_back
from agent.memory import share_heaps
from agent.protocol import JobResult, RestoreVolume, RestoreVolumeJob
from agent.repository.head import Head, Volume
from agent.repository.layout import Chain
from agent.repository.reader import LoadedPack, Wanted, by_pack, load_wanted
from agent.repository.repository import Repository

FETCHERS: Final = 4
#: Blocks that a putter takes at a time, and how many such portions wait; they keep their packs in memory.
_PORTION: Final = 8
_WAITING: Final = 16


@dataclass(frozen=True)
class _Portion:
    pack: LoadedPack
    wanted: Wanted
    start: int


@dataclass
class _Run:
    """The restore of one volume: what its threads share."""

    repository: Repository
    chain: Chain
    volume: Volume
    target: RestoreVolume
    crew: Crew
    ebs: Ebs
    tally: Tally
    digests: Digests
    packs: Queue[Wanted]
    portions: Queue[_Portion]
    _lock: Lock = field(default_factory=Lock)
    _fetching: int = FETCHERS

    def list_packs(self) -> None:
        """Walk through the map."""
        for wanted in by_pack(self.repository, self.chain, self.volume):
            self.packs.put(wanted)
        self.packs.close()

    def fetch(self) -> None:
        """Read packs until there are no more; the last fetcher says so."""
        while (wanted := self.packs.get()) is not None:
            for pack, part in load_wanted(self.repository, wanted):
                for start in range(0, len(part.slots), _PORTION):
                    self.portions.put(_Portion(pack, part, start))
        with self._lock:
            self._fetching -= 1
            if not self._fetching:
                self.portions.close()

    def put(self) -> None:
        """Write blocks until there are no more."""
        decompressor = zstandard.ZstdDecompressor()
        while (portion := self.portions.get()) is not None:
            end = portion.start + _PORTION
            wanted = portion.wanted
            for slot, index, check in zip(
                wanted.slots[portion.start : end].tolist(),
                wanted.indices[portion.start : end].tolist(),
                wanted.checks[portion.start : end],
                strict=True,
            ):
                block_id, data = portion.pack.open(slot, bytes(check), decompressor)
                self.ebs.write(self.target.snapshot_id, index, data, block_id)
                self.digests.note(index, block_id)
                self.tally.add(BLOCK)


def run(context: JobContext, job: RestoreVolumeJob, means: Means | None = None) -> JobResult:
    """Fill and complete the snapshots. Raises `JobFailed`, `JobStopped`."""
    means = means or Means()
    share_heaps()
    with translated(), Crew(context.stop) as crew:
        repository = means.repository(context, job.repository, create=False)
        chain = Chain(account=job.source.account, region=job.source.region, resource=job.source.id)
        head = repository.point(chain, job.restore_point)
        pairs = [(_volume(head, target), target) for target in job.volumes]
        rounds = 2 if job.read_back else 1
        tally = Tally(context.progress, sum(volume.blocks for volume, _ in pairs) * BLOCK * rounds)
        ebs = means.blocks(context, job.data, threads=means.threads, pause=crew.pause)
        done, works = [], []
        for volume, target in pairs:
            crew.check()
            work = _Run(
                repository=repository,
                chain=chain,
                volume=volume,
                target=target,
                crew=crew,
                ebs=ebs,
                tally=tally,
                digests=Digests(),
                packs=crew.queue(FETCHERS),
                portions=crew.queue(_WAITING),
            )
            done.append(_restore(work, means.threads))
            works.append(work)
        compared = sum(_compare(work, means.threads) for work in works) if job.read_back else None
        ebs.close()
    return JobResult(
        outcome="success",
        detail={
            "restorePoint": job.restore_point,
            "volumes": done,
            "bytesWritten": sum(one["blocksWritten"] for one in done) * BLOCK,
            **({} if compared is None else {"blocksCompared": compared}),
        },
    )


def _volume(head: Head, target: RestoreVolume) -> Volume:
    volume = head.volume(target.volume_id)
    if volume is None:
        known = ", ".join(one.volume_id for one in head.volumes)
        raise JobFailed(
            f"restore point {head.point} holds no volume {target.volume_id}; it holds {known}",
            "Choose one of these volumes",
        )
    if target.size_bytes < volume.size_bytes:
        raise JobFailed(
            f"{target.snapshot_id} is of {target.size_bytes} bytes, volume {target.volume_id} of {volume.size_bytes}",
            "Start the snapshot with the volume's size or more",
        )
    return volume


def _restore(work: _Run, putters: int) -> dict[str, Any]:
    crew, volume, target, digests = work.crew, work.volume, work.target, work.digests
    crew.start(1, work.list_packs, name="lister")
    crew.start(FETCHERS, work.fetch, name="fetcher")
    crew.start(putters, work.put, name="putter").wait()
    if digests.count != volume.blocks:
        raise JobFailed(
            f"{digests.count} blocks of {volume.volume_id} were found, its restore point counts {volume.blocks}",
            "Run a health check of the restore point",
        )

    def complete() -> None:
        work.ebs.complete(target.snapshot_id, digests.count, digests.linear())

    crew.start(1, complete, name="complete").wait()
    return {"volumeId": target.volume_id, "snapshotId": target.snapshot_id, "blocksWritten": digests.count}


def _compare(work: _Run, readers: int) -> int:
    """Read a completed snapshot back. Returns how many blocks it has; raises `JobFailed` at the first that differs."""
    wrong = read_back(work.crew, work.ebs, work.target.snapshot_id, work.digests, work.tally, readers)
    if wrong is not None:
        raise JobFailed(
            f"volume {work.volume.volume_id} does not come back as it was saved: in {work.target.snapshot_id} {wrong}",
            "Run a health check of the restore point, and tell AWS when it finds nothing",
        )
    return work.digests.count
