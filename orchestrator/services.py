"""What every step is handed: the ledger, the cloud, the way to get work moving, the clock, and settled values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from orchestrator.ledger.store import Ledger, Transaction
from orchestrator.model.work import Claim, WorkKey
from orchestrator.ports import Clock, Cloud, Dispatch, Limiter


@dataclass(frozen=True, kw_only=True)
class Deadlines:
    """How long each wait may last (CONTRACT section 3a)."""

    source: timedelta = timedelta(hours=12)
    queue: timedelta = timedelta(hours=24)
    launch: timedelta = timedelta(minutes=30)
    boot: timedelta = timedelta(minutes=5)
    heartbeat: timedelta = timedelta(minutes=2)
    job: timedelta = timedelta(hours=24)
    stop: timedelta = timedelta(minutes=2)
    removal: timedelta = timedelta(minutes=30)
    retrieval: timedelta = timedelta(hours=60)
    browse: timedelta = timedelta(minutes=30)
    #: What was made a moment ago is not listed everywhere yet: until then its absence proves nothing.
    visible: timedelta = timedelta(minutes=2)


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How garbage of a repository is collected.

    What nothing needs any more stays marked for `grace` before it is deleted; it should be longer than a backup lasts.
    A collection that ended less than `rest` ago is not repeated.
    """

    grace: timedelta = timedelta(hours=24)
    rest: timedelta = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Install:
    """What is equal for all sessions of this installation.

    `control_bucket` and `report_queue` (an SQS URL) live in the backup account. `home_account` is the account of the
    control plane's own credentials. `boundary` is the permissions boundary of temporary roles, if one is configured.
    `gather` is how long the first of those who want a worker, or the end of one, waits for others to come with it.
    What is retrieved from an archive can be read for `retrieval_days`; a pack of one is full at `archive_pack` bytes.
    `session_workers` is how many workers a session may have at once in an account and Region; None: no limit.
    `agent_start` is the shell text that fetches and starts the agent on a real image; empty in the embedded cloud.
    """

    id: str
    control_bucket: str
    control_region: str
    report_queue: str
    home_account: str
    boundary: str | None = None
    agent_start: str = ""
    worker_image: str | None = None
    session_workers: int | None = None
    retrieval_days: int = 3
    archive_pack: int = 512 * 1024 * 1024
    gather: timedelta = timedelta(seconds=0.3)
    retention: Retention = field(default_factory=Retention)
    deadlines: Deadlines = field(default_factory=Deadlines)
    heartbeat: timedelta = timedelta(seconds=20)
    silence: timedelta = timedelta(minutes=30)

    @property
    def path(self) -> str:
        """The IAM path of everything temporary."""
        return f"/daywork/{self.id}/"


def let_run_out(_services: Services, _held: Claim) -> None:
    """Do nothing for an interrupted step: its claim runs out by itself."""


def follow_nothing(_tx: Transaction, _session: str) -> list[WorkKey]:
    """Let nothing follow a session."""
    return []


@dataclass(frozen=True, kw_only=True)
class Services:
    """Everything a step may use; wired in `orchestrator.bootstrap` alone.

    `interrupted` is told of each claim under which the ledger went away; processes that live on give it back then.
    `follow` makes the sessions that follow one, in the transaction in which that ends, and returns what to drive.
    """

    ledger: Ledger
    cloud: Cloud
    dispatch: Dispatch
    limiter: Limiter
    clock: Clock
    install: Install
    interrupted: Callable[[Services, Claim], None] = let_run_out
    follow: Callable[[Transaction, str], list[WorkKey]] = follow_nothing
