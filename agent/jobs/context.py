"""What a job is given by the runner, and how it says that it was asked to stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botocore.session import Session


class JobStopped(Exception):
    """The job ended early because `JobContext.stop` was set; nothing half-made is visible in the repository."""


class JobFailed(Exception):
    """The job cannot succeed. `reason` and `remedy` are sentences for a person, without any secret."""

    def __init__(self, reason: str, remedy: str | None = None) -> None:
        """Say why, and what a person can do about it."""
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


@dataclass(frozen=True, kw_only=True)
class JobContext:
    """What every job needs.

    - `session`: a botocore session whose credentials are the worker's own role, refreshed by themselves.
    - `worker_id`: the instance id, used as owner of repository leases and as role session name.
    - `stop`: set when the control plane asks to stop or the deadline has passed; a job looks at it at least once a
      second and raises `JobStopped`.
    - `progress(done, total)`: bytes so far and in all; cheap, may be called as often as wished, from any thread.
    - `install`, `for_session`: the installation and its session that the job is done for.
    - `user_id`: the worker's `aws:userid`, which names the places that only it may use.
    - `endpoint_url`: the AWS endpoint to talk to instead of the real one, or None.
    - `file_systems`: the directory that holds file systems by their ids where nothing can be mounted, or None.
    """

    session: Session
    worker_id: str
    stop: Event
    progress: Callable[[int, int], None]
    install: str = ""
    for_session: str = ""
    user_id: str = ""
    endpoint_url: str | None = None
    file_systems: Path | None = None
