"""What the data jobs open first: the repository and the block API, each through its role."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

from agent.aws import reach
from agent.ebs import Ebs
from agent.ebs_pace import DEFAULT_RATE, Pace
from agent.jobs.context import JobContext
from agent.protocol import DataAccess, RepositoryRef
from agent.repository.kms import Kms
from agent.repository.repository import Repository, open_repository
from agent.repository.s3 import open_s3
from agent.repository.writer import CHECKPOINT


def repository_of(context: JobContext, ref: RepositoryRef, *, create: bool) -> Repository:
    """Open the job's repository through its role. Raises `RepositoryError`, botocore's when the role is refused."""
    access = reach(
        context.session,
        region=ref.region,
        role_arn=ref.role_arn,
        session_name=context.worker_id,
        endpoint_url=context.endpoint_url,
    )
    # A role that cannot be taken is told as that, not as a store that does not answer.
    access.keys()
    return open_repository(open_s3(ref.url, access), Kms(access, ref.kms_key), create=create)


def blocks_of(
    context: JobContext,
    data: DataAccess,
    *,
    threads: int,
    pause: Callable[[float], None],
    first: int | None = None,
    rate: float = DEFAULT_RATE,
) -> Ebs:
    """Return the block API through the data role, for some threads and at most `rate` calls a second, `first` so many.

    Without `first` it begins at the highest rate.
    """
    access = reach(
        context.session,
        region=data.region,
        role_arn=data.role_arn,
        session_name=context.worker_id,
        endpoint_url=context.endpoint_url,
    )
    return Ebs(access, threads=threads, pace=Pace(rate, first=first, pause=pause), pause=pause)


class OpenRepository(Protocol):
    """Opens a job's repository; with `create`, makes it when it is not there yet."""

    def __call__(self, context: JobContext, ref: RepositoryRef, *, create: bool) -> Repository:
        """Return it. Raises `RepositoryError`."""


class OpenBlocks(Protocol):
    """Opens the block API for some threads; `pause` waits and raises when the job ends.

    `first` is how many calls a second it begins with; None: as many as it may ever make.
    """

    def __call__(
        self,
        context: JobContext,
        data: DataAccess,
        *,
        threads: int,
        pause: Callable[[float], None],
        first: int | None = None,
    ) -> Ebs:
        """Return it; nothing is called yet."""


@dataclass(frozen=True, kw_only=True)
class Means:
    """What a data job works with.

    `threads` read or write blocks at the same time; `checkpoint` is `agent.repository.writer.Writer`'s.
    """

    repository: OpenRepository = repository_of
    blocks: OpenBlocks = blocks_of
    threads: int = 32
    checkpoint: float = CHECKPOINT


class Tally:
    """Counts bytes from many threads and says how far the job is."""

    def __init__(self, report: Callable[[int, int], None], total: int) -> None:
        """Take where to say it, and the bytes in all."""
        self._report = report
        self._total = total
        self._done = 0
        self._lock = Lock()
        report(0, total)

    def add(self, count: int) -> None:
        """Note that `count` more bytes are behind us."""
        with self._lock:
            self._done = min(self._total, self._done + count)
            self._report(self._done, self._total)
