"""Job `efs-index`: walk through a mounted file system and write a catalogue of it that can be searched.

    walkers (threads): scandir -> queue -> gatherer (1 thread): rows to sorted parts, sealed and stored; head last

Every walk reads everything: EFS changes a directory's time when names come and go in it, and not when a file in it
grows, so of an unchanged directory nothing is known, and nothing may be taken over from the index before.
"""

from __future__ import annotations

import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any, Final

from agent.crew import Crew, Queue
from agent.files.errors import FilesError
from agent.files.walking import parse, parts_of, shown
from agent.index.head import IndexHead, PartRef, read_head, write_head, write_part
from agent.index.mounting import mounted
from agent.index.parts import ROWS, Gatherer, Part
from agent.index.walk import Row, Walk
from agent.jobs.context import JobContext, JobFailed
from agent.jobs.failures import translated
from agent.jobs.opening import Means
from agent.memory import share_heaps
from agent.protocol import IndexJob, JobResult, format_time
from agent.repository.errors import Missing
from agent.repository.layout import Chain
from agent.repository.lease import Lease, acquire
from agent.repository.owner import claim
from agent.repository.repository import Repository

#: Threads that walk. On a network file system they wait; on a fast one more than one or two gain nothing, nor cost.
_WALKERS: Final = 16
#: Batches of rows that wait for the gatherer.
_WAITING: Final = 16
#: Problems that the result names; the head holds more.
_SHOWN: Final = 20


def run(
    context: JobContext, job: IndexJob, means: Means | None = None, *, walkers: int = _WALKERS, rows: int = ROWS
) -> JobResult:
    """Index. Raises `JobFailed`, `JobStopped`."""
    means = means or Means()
    share_heaps()
    try:
        with translated(), _seen(context, job) as root, Crew(context.stop) as crew:
            repository = means.repository(context, job.repository, create=True)
            claim(repository, context.install)
            return _Index(context, job, repository, crew, walkers, rows).run(root)
    except FilesError as error:
        raise JobFailed(str(error), error.remedy) from error


@contextmanager
def _seen(context: JobContext, job: IndexJob) -> Iterator[Path]:
    """Give the root of the file system: mounted, or where it stands already."""
    if context.file_systems is None:
        with mounted(job.resource.id, job.mount_targets) as root:
            yield root
        return
    root = context.file_systems / job.resource.id
    if not job.mount_targets or not root.is_dir():
        raise JobFailed(f"{job.resource.id} cannot be mounted: nothing stands behind its mount targets")
    yield root


@dataclass
class _Counts:
    """What the parts hold, all of them."""

    files: int = 0
    directories: int = 0
    rows: int = 0
    size: int = 0
    parts: list[PartRef] = field(default_factory=list)

    def add(self, part: Part, stored: PartRef) -> None:
        self.files += part.files
        self.directories += part.directories
        self.rows += part.rows
        self.size += part.size_bytes
        self.parts.append(stored)


class _Index:
    """One index."""

    def __init__(
        self, context: JobContext, job: IndexJob, repository: Repository, crew: Crew, walkers: int, rows: int
    ) -> None:
        self._context = context
        self._job = job
        self._repository = repository
        self._crew = crew
        self._walkers = walkers
        self._rows = rows
        self._chain = Chain(account=job.resource.account, region=job.resource.region, resource=job.resource.id)
        self._lock = Lock()
        self._done = 0

    def run(self, root: Path) -> JobResult:
        """Walk, store, publish under the lease of the file system's indexes."""
        place, top = _top(root, self._job.path)
        lease = acquire(
            self._repository.objects,
            self._repository.ring,
            self._chain,
            owner=self._context.worker_id,
            pause=self._crew.rest,
            ended=frozenset(self._job.ended_workers),
        )
        try:
            self._crew.start(1, lease.keep, name="lease")
            head = self._existing() or self._write(place, top, lease)
        finally:
            lease.release()
        return _result(head)

    def _existing(self) -> IndexHead | None:
        """Return the index when an agent of this order has written it before it died."""
        try:
            return read_head(self._repository, self._chain, self._job.index)
        except Missing:
            return None

    def _write(self, place: bytes, top: bytes, lease: Lease) -> IndexHead:
        began = datetime.now(UTC)
        batches: Queue[list[Row]] = self._crew.queue(_WAITING)
        try:
            walk = Walk(
                self._crew,
                top,
                place=place,
                excluded=frozenset(b"/" + b"/".join(parts_of(parse(one))) for one in self._job.exclude_paths),
                emit=batches.put,
                seen=self._progress,
            )
        except OSError as error:
            raise JobFailed(f"{self._job.path} of {self._job.resource.id} cannot be read: {error.strerror}") from None
        counts = _Counts()

        def gather() -> None:
            with tempfile.TemporaryDirectory(prefix="daywork-index-") as scratch:
                gatherer = Gatherer(Path(scratch), most=self._rows)
                try:
                    while (batch := batches.get()) is not None:
                        self._keep(gatherer.add(batch), counts)
                    self._keep(gatherer.finish(), counts)
                finally:
                    gatherer.close()

        gathering = self._crew.start(1, gather, name="gatherer")
        self._crew.start(self._walkers, walk.work, name="walker").wait()
        batches.close()
        gathering.wait()
        if not counts.rows and walk.findings.unreadable:
            raise JobFailed(
                f"nothing of {self._job.resource.id} could be read: {walk.findings.problems[0]}",
                "Let root of the clients read the file system: its policy and access rights decide",
            )
        lease.hold()
        head = self._head(began, walk, counts, lease)
        write_head(self._repository, head)
        return head

    def _keep(self, part: Part | None, counts: _Counts) -> None:
        if part is not None:
            counts.add(part, write_part(self._repository, self._chain, part))

    def _progress(self, _rows: int, size: int) -> None:
        with self._lock:
            self._done += size
            total = self._job.size_bytes
            self._context.progress(min(self._done, total) if total else self._done, total)

    def _head(self, began: datetime, walk: Walk, counts: _Counts, lease: Lease) -> IndexHead:
        findings = walk.findings
        figures: dict[str, Any] = {
            "files": counts.files,
            "directories": counts.directories,
            "others": counts.rows - counts.files - counts.directories,
            "sizeBytes": counts.size,
            "bytesStored": sum(one.length for one in counts.parts),
            "parts": len(counts.parts),
            "unreadable": findings.unreadable,
            "vanished": findings.vanished,
        }
        if findings.problems:
            figures["problems"] = findings.problems
        if findings.other_file_systems:
            figures["otherFileSystems"] = findings.other_file_systems
        return IndexHead(
            index=self._job.index,
            account=self._chain.account,
            region=self._chain.region,
            file_system=self._chain.resource,
            taken_at=format_time(began),
            finished_at=format_time(datetime.now(UTC)),
            path=self._job.path,
            exclude_paths=self._job.exclude_paths,
            recovery_point=self._job.recovery_point,
            install=self._context.install,
            session=self._context.for_session,
            writer=self._context.worker_id,
            fence=lease.fence,
            rows=counts.rows,
            parts=tuple(counts.parts),
            figures=figures,
        )


def _top(root: Path, path: str) -> tuple[bytes, bytes]:
    """Return the place to begin at and where it is to be seen. Raises `JobFailed`, `FilesError`.

    Every directory on the way is looked at: a link there could lead out of the file system.
    """
    place, top = b"", bytes(root)
    for part in parts_of(parse(path)):
        place, top = place + b"/" + part, top + b"/" + part
        try:
            is_directory = stat.S_ISDIR(Path(top.decode("utf-8", "surrogateescape")).lstat().st_mode)
        except OSError as error:
            raise JobFailed(f"path {path} cannot be indexed: {shown(place)}: {error.strerror}") from None
        if not is_directory:
            raise JobFailed(
                f"path {path} cannot be indexed: {shown(place)} is no directory", "Name a directory without links"
            )
    return place, top


def _result(head: IndexHead) -> JobResult:
    detail: dict[str, Any] = {"index": head.index, "takenAt": head.taken_at, **head.figures}
    if head.recovery_point is not None:
        detail["recoveryPoint"] = head.recovery_point
    for name in ("problems", "otherFileSystems"):
        if name in detail:
            detail[name] = detail[name][:_SHOWN]
    if not (count := detail["unreadable"]):
        return JobResult(outcome="success", detail=detail)
    return JobResult(
        outcome="warning",
        reason=f"{count} directories or files could not be read; the first: {detail['problems'][0]}"[:2000],
        remedy="See the problems in the session's result; everything else is in the index",
        detail=detail,
    )
