"""Job `ec2-restore-files`: take chosen paths out of the file systems of an image into a bucket, or browse it.

    extractor (1 thread): walk, read, tar -> queue -> uploader (1 thread): parts of a multipart upload

Nothing is mounted and nothing is written to this machine. The archive is one object that appears when all of it has
come: a job that fails, stops or dies leaves none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from agent.aws import reach
from agent.crew import Crew, Queue
from agent.files.archive import Archive
from agent.files.areas import Area
from agent.files.bucket import BucketTree
from agent.files.errors import FilesError
from agent.files.extracting import Chosen, Extraction, Taken, Target, choose
from agent.files.images import volume_of_snapshot, volumes_of_point
from agent.files.opening import Found, open_all
from agent.files.walking import parse
from agent.jobs.context import JobContext, JobFailed
from agent.jobs.failures import translated
from agent.jobs.files_browsing import ARCHIVE, Browsing
from agent.jobs.opening import Means
from agent.memory import share_heaps
from agent.protocol import JobResult, Output, RestoreFilesJob
from agent.repository.layout import Chain
from agent.repository.objects import Objects
from agent.repository.s3 import open_s3

#: Pieces of an archive that wait for the upload, and their least size.
_WAITING: Final = 8
_PIECE: Final = 1024 * 1024
#: Problems that a result tells, and characters of each: a report is one message.
_MOST_TOLD: Final = 50
_LONGEST: Final = 500
#: Blocks of a snapshot that are read at once.
_AT_ONCE: Final = 16

_Answer = TypeVar("_Answer")


def run(
    context: JobContext,
    job: RestoreFilesJob,
    means: Means | None = None,
    output: Objects | None = None,
    orders: Objects | None = None,
) -> JobResult:
    """Take the paths out, or browse; `output` and `orders` replace the job's own. Raises `JobFailed`, `JobStopped`."""
    means = means or Means()
    share_heaps()
    try:
        with translated(), ThreadPoolExecutor(_AT_ONCE) as pool, Crew(context.stop) as crew:
            return _Work(context, job, means, crew, pool, output or _store(context, job.output), orders).run()
    except FilesError as error:
        raise JobFailed(str(error), error.remedy) from error


def _store(context: JobContext, place: Output) -> Objects:
    access = reach(
        context.session,
        region=place.region,
        role_arn=None,
        session_name=context.worker_id,
        endpoint_url=context.endpoint_url,
    )
    return open_s3(place.url, access)


@dataclass(frozen=True)
class _Work:
    """One job: what its parts share."""

    context: JobContext
    job: RestoreFilesJob
    means: Means
    crew: Crew
    pool: ThreadPoolExecutor
    output: Objects
    orders: Objects | None = None

    def run(self) -> JobResult:
        found = self._looked(lambda: open_all(self._volumes()))
        if not self.job.paths:
            return self._browse(found)
        paths = [parse(path) for path in self.job.paths]
        chosen, wrong = self._looked(lambda: choose(found, paths))
        folder = self.context.user_id
        if self.job.form == "archive":
            taken = self._archive(f"{folder}/{ARCHIVE}", chosen)
            place = f"{self.job.output.url.rstrip('/')}/{folder}/{ARCHIVE}"
        else:
            taken = self._looked(lambda: self._extraction(BucketTree(self.output, folder)).take(chosen))
            place = f"{self.job.output.url.rstrip('/')}/{folder}"
        return _result(place, found, chosen, taken, wrong)

    def _browse(self, found: Sequence[Found]) -> JobResult:
        """Answer requests until none comes any more, or the job is stopped."""
        if self.job.orders is None:
            raise JobFailed("the order names no paths, and no place for requests")

        def extract(paths: Sequence[bytes], name: str) -> dict[str, Any]:
            chosen, wrong = choose(found, paths)
            key = f"{self.context.user_id}/{name}"
            taken = self._archive(key, chosen)
            place = f"{self.job.output.url.rstrip('/')}/{key}"
            return _result(place, found, chosen, taken, wrong).detail

        browsing = Browsing(
            found=found,
            orders=self.orders or _store(self.context, self.job.orders),
            user_id=self.context.user_id,
            idle=self.job.idle_seconds,
            extract=extract,
            pause=self.crew.pause,
        )
        count = self._looked(browsing.run)
        return JobResult(outcome="success", detail={"requests": count, "fileSystems": [_told(one) for one in found]})

    def _looked(self, work: Callable[[], _Answer]) -> _Answer:
        """Do it in a thread of the crew: a stop is heard while the store is being waited for."""
        answer: list[_Answer] = []
        self.crew.start(1, lambda: answer.append(work()), name="reader").wait()
        return answer[0]

    def _volumes(self) -> list[Area]:
        job, context = self.job, self.context
        if job.snapshot is not None:
            ebs = self.means.blocks(context, job.snapshot.data, threads=_AT_ONCE, pause=self.crew.pause)
            one = job.snapshot
            return [volume_of_snapshot(ebs, one.snapshot_id, one.volume_id, self.pool, self._check)]
        if job.point is None:
            raise JobFailed("the order names neither a restore point nor a snapshot")
        repository = self.means.repository(context, job.point.repository, create=False)
        source = job.point.source
        chain = Chain(account=source.account, region=source.region, resource=source.id)
        head = repository.point(chain, job.point.restore_point)
        return volumes_of_point(repository, chain, head, job.volumes, self._check)

    def _check(self) -> None:
        """End with the crew: called between blocks and files."""
        self.crew.pause(0)

    def _extraction(self, target: Target) -> Extraction:
        done = 0

        def progress(count: int) -> None:
            nonlocal done
            done += count
            self.context.progress(done, 0)

        return Extraction(target, check=self._check, progress=progress)

    def _archive(self, key: str, chosen: Sequence[Chosen]) -> Taken:
        pieces: Queue[bytes] = self.crew.queue(_WAITING)
        taken: list[Taken] = []

        def extract() -> None:
            buffer = bytearray()

            def write(data: bytes) -> None:
                buffer.extend(data)
                if len(buffer) >= _PIECE:
                    pieces.put(bytes(buffer))
                    buffer.clear()

            taken.append(self._extraction(Archive(write)).take(chosen))
            pieces.put(bytes(buffer))
            pieces.close()

        def come() -> Iterator[bytes]:
            while (piece := pieces.get()) is not None:
                yield piece

        extractor = self.crew.start(1, extract, name="extractor")
        uploader = self.crew.start(
            1, lambda: self.output.put_parts(key, come(), storage_class="STANDARD"), name="uploader"
        )
        extractor.wait()
        uploader.wait()
        return taken[0]


def _result(
    place: str, found: Sequence[Found], chosen: Sequence[Chosen], taken: Taken, wrong: Sequence[str]
) -> JobResult:
    used = {id(one.system) for one in chosen}
    detail: dict[str, Any] = {
        "output": place,
        "files": taken.files,
        "directories": taken.directories,
        "others": taken.others,
        "bytesRead": taken.size,
        "fileSystems": [_told(one) for one in found],
    }
    looked = [(one.name, one.system) for one in found if one.system is not None and id(one.system) in used]
    notes = [f"{name}: {note}" for name, system in looked for note in system.notes]
    problems = [*wrong, *taken.problems]
    if problems:
        detail["problems"] = [problem[:_LONGEST] for problem in problems[:_MOST_TOLD]]
        detail["problemCount"] = len(wrong) + taken.count
    if notes:
        detail["notes"] = notes
    if not problems:
        return JobResult(outcome="success", detail=detail)
    return JobResult(
        outcome="warning",
        reason=f"{detail['problemCount']} paths or files could not be taken out; the first: {problems[0]}"[:2000],
        remedy="See the problems in the session's result; everything else is in the output",
        detail=detail,
    )


def _told(found: Found) -> dict[str, Any]:
    told: dict[str, Any] = {"name": found.name, "kind": found.kind, "sizeBytes": found.area.source.size}
    if found.system is not None and found.system.label:
        told["label"] = found.system.label
    if found.reason is not None:
        told["reason"] = found.reason
    return told
