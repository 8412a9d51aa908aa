"""A job under way, in a thread of its own: whatever it does, it ends as a `JobResult`."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event as Flag, Thread
from typing import TYPE_CHECKING, Any

from agent.clock import Event, Mailbox
from agent.jobs.context import JobContext, JobFailed, JobStopped
from agent.protocol import JobResult, Progress

if TYPE_CHECKING:
    from botocore.session import Session

_log = logging.getLogger(__name__)

#: A job is given its context and its own message (`agent.protocol.JOB_MESSAGES`), and answers with its result.
JobFunction = Callable[[JobContext, Any], JobResult]
Jobs = Mapping[str, JobFunction]


class JobRun:
    """One job under way. `result` counts once the mailbox has got `JOB_ENDED`."""

    def __init__(
        self,
        *,
        name: str,
        function: JobFunction,
        message: Any,
        mailbox: Mailbox,
        session: Session,
        worker_id: str,
        endpoint_url: str | None,
        install: str = "",
        for_session: str = "",
        user_id: str = "",
        file_systems: Path | None = None,
    ) -> None:
        self.name = name
        self.result = JobResult(outcome="failed", reason="the job has not ended")
        self._function = function
        self._message = message
        self._mailbox = mailbox
        self._stop = Flag()
        self._progress = (0, 0)
        self._context = JobContext(
            session=session,
            worker_id=worker_id,
            stop=self._stop,
            progress=self.note,
            install=install,
            for_session=for_session,
            user_id=user_id,
            endpoint_url=endpoint_url,
            file_systems=file_systems,
        )

    @property
    def is_stopping(self) -> bool:
        """Whether the job has been asked to stop."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Ask the job to stop."""
        self._stop.set()

    def progress(self) -> Progress:
        """Return how far the job says it is."""
        done, total = self._progress
        return Progress(done=done, total=total)

    def run(self) -> None:
        """Do the job, in the caller's thread."""
        try:
            self.result = self._outcome()
        finally:
            self._mailbox.put(Event.JOB_ENDED)

    def note(self, done: int, total: int) -> None:
        """Take down how far the job is, in bytes; from any thread."""
        self._progress = (done, total)

    def _outcome(self) -> JobResult:
        try:
            result = self._function(self._context, self._message)
        except JobStopped:
            return JobResult(outcome="stopped")
        except JobFailed as failed:
            return JobResult(outcome="failed", reason=failed.reason, remedy=failed.remedy)
        except BaseException as error:  # noqa: BLE001 - the last line of defence: the control plane hears a result
            return _internal_error(self.name, error)
        return result if isinstance(result, JobResult) else _internal_error(self.name, TypeError())


def in_thread(job: JobRun) -> None:
    """Start a job in a thread. One that cannot be stopped does not keep the agent from ending."""
    Thread(target=job.run, name=f"job-{job.name}", daemon=True).start()


def _internal_error(job: str, error: BaseException) -> JobResult:
    """Return the result of a job that failed in a way nobody foresaw."""
    _log.error("job %s failed unexpectedly: %s", job, where(error))
    return JobResult(
        outcome="failed",
        reason=f"internal error in job {job}: {type(error).__name__}",
        remedy="See the worker's console output and report it",
    )


def where(error: BaseException) -> str:
    """Return an error's class and where it was raised, for the log.

    Its own text stays out: it may quote a signed address or a header.
    """
    frames = "".join(traceback.format_tb(error.__traceback__))
    return f"{type(error).__name__}\n{frames.rstrip()}"
