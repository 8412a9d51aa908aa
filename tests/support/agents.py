"""An agent's life in memory: a channel that remembers and fails on request, a clock that moves when it is waited on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from queue import Empty
from typing import Any, cast

from agent.channel import ChannelError, NotThere
from agent.clock import Event, Mailbox
from agent.imds import Identity, MetadataAbsent, MetadataError
from agent.jobrun import JobRun, Jobs
from agent.jobs.context import JobContext, JobStopped
from agent.protocol import (
    BackupJob,
    Boot,
    DataAccess,
    JobResult,
    Order,
    Report,
    RepositoryRef,
    ResourceRef,
    format_time,
    user_data,
)
from agent.runner import Means, Runner

BEGINNING = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
SESSION = "s-01JD8ZQWB2M3N4P5Q6R7S8T9VA"
INSTANCE = "i-0a1b2c3d4e5f60718"
USER_ID = f"AROAEXAMPLE:{INSTANCE}"
BOOT = Boot(
    install="test",
    session=SESSION,
    region="eu-west-1",
    control_bucket="control",
    control_region="eu-west-1",
    report_queue="https://sqs.eu-west-1.amazonaws.com/111111111111/daywork-reports",
    boot_seconds=300,
    heartbeat_seconds=20,
    silence_seconds=600,
)


def backup_job(do: str) -> BackupJob:
    """Return a job for the tiny agent."""
    return BackupJob(
        repository=RepositoryRef(url="s3://repository/main", region="eu-west-1", kms_key="key"),
        data=DataAccess(region="eu-west-1"),
        resource=ResourceRef(account="111111111111", region="eu-west-1", id="i-0a1b2c3d4e5f60718"),
        restore_point="rp-01JD8ZQWB2M3N4P5Q6R7S8T9VB",
        created_at="2026-11-23T02:00:00.000Z",
        volumes=(),
        configuration={"do": do},
    )


def order(
    do: str,
    *,
    fence: int = 7,
    deadline: timedelta = timedelta(hours=1),
    session: str = SESSION,
    now: datetime | None = None,
) -> Order:
    """Return an order for the tiny agent."""
    return Order(
        session=session,
        attempt=1,
        fence=fence,
        job_name="ec2-backup",
        deadline=format_time((now or datetime.now(UTC)) + deadline),
        job=backup_job(do).to_dict(),
    )


@dataclass
class MemoryChannel:
    """`agent.channel.Channel` in memory. `failing` maps methods to what they raise while it is there."""

    user_id: str = USER_ID
    given: Order | Exception | None = None
    stop: bool = False
    kept: Report | None = None
    sent: list[Report] = field(default_factory=list)
    failing: dict[str, Exception] = field(default_factory=dict)
    tried: list[str] = field(default_factory=list)

    def _called(self, method: str) -> None:
        self.tried.append(method)
        if method in self.failing:
            raise self.failing[method]

    def who_am_i(self) -> str:
        """See the port."""
        self._called("who_am_i")
        return self.user_id

    def order(self) -> Order:
        """See the port."""
        self._called("order")
        if self.given is None:
            raise NotThere("cannot read the control bucket: AccessDenied")
        if isinstance(self.given, Exception):
            raise self.given
        return self.given

    def stop_asked(self) -> bool:
        """See the port."""
        self._called("stop_asked")
        return self.stop

    def result(self) -> Report:
        """See the port."""
        self._called("result")
        if self.kept is None:
            raise NotThere("cannot read the control bucket: AccessDenied")
        return self.kept

    def keep(self, report: Report) -> None:
        """See the port."""
        self._called("keep")
        self.kept = report

    def send(self, report: Report) -> None:
        """See the port."""
        self._called("send")
        self.sent.append(report)

    def of(self, kind: str) -> list[Report]:
        """Return the reports of a kind that were sent."""
        return [report for report in self.sent if report.kind == kind]


@dataclass
class MemoryMachine:
    """`agent.runner.Machine` in memory."""

    text: str | None = field(default_factory=lambda: user_data(BOOT))
    failing: MetadataError | None = None

    def user_data(self) -> str:
        """See the port."""
        if self.failing is not None:
            raise self.failing
        if self.text is None:
            raise MetadataAbsent("the metadata service has no latest/user-data")
        return self.text

    def identity(self) -> Identity:
        """See the port."""
        return Identity(account="111111111111", region="eu-west-1", instance_id=INSTANCE)


class HeldJob:
    """A job that is done when the test or a stop says so, in the waiter's own thread: nothing here is left to chance.

    `obedient` False: asked to stop, it goes on.
    """

    def __init__(self, *, obedient: bool = True) -> None:
        self.obedient = obedient
        self.messages: list[BackupJob] = []
        self.run: JobRun | None = None
        self.context: JobContext | None = None
        self._outcome: JobResult | BaseException | None = None

    def __call__(self, context: JobContext, message: BackupJob) -> JobResult:
        """Be the job."""
        self.messages.append(message)
        self.context = context
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        if self._outcome is None:
            raise JobStopped
        return self._outcome

    def spawn(self, run: JobRun) -> None:
        """Take the job to be run later."""
        self.run = run

    def end(self, outcome: JobResult | BaseException) -> None:
        """Have the job end so, at the next moment it is waited for."""
        self._outcome = outcome

    def go_on(self) -> None:
        """Run the job if it is time for it to end."""
        if self.run is not None and (self._outcome is not None or (self.obedient and self.run.is_stopping)):
            run, self.run = self.run, None
            run.run()


class PassingClock:
    """`agent.clock.Clock` whose time passes when somebody waits, through the moments at which deeds are planned."""

    def __init__(self, job: HeldJob) -> None:
        self._job = job
        self._passed = 0.0
        self._deeds: list[tuple[float, Callable[[], Any]]] = []

    @property
    def passed(self) -> float:
        """Seconds since the beginning."""
        return self._passed

    def at(self, seconds: float, deed: Callable[[], Any]) -> None:
        """Plan a deed."""
        self._deeds.append((seconds, deed))
        self._deeds.sort(key=lambda planned: planned[0])

    def now(self) -> datetime:
        """See the port."""
        return BEGINNING + timedelta(seconds=self._passed)

    def running(self) -> float:
        """See the port; the machine had been up for a while."""
        return 1000.0 + self._passed

    def wait(self, mailbox: Mailbox, seconds: float) -> Event | None:
        """See the port."""
        assert seconds < 1e6, "nobody waits for ever"
        until = self._passed + max(0.0, seconds)
        while True:
            self._job.go_on()
            try:
                return mailbox.get_nowait()
            except Empty:
                if self._passed >= until and not (self._deeds and self._deeds[0][0] <= self._passed):
                    return None
            if self._deeds and self._deeds[0][0] <= until:
                moment, deed = self._deeds.pop(0)
                self._passed = max(self._passed, moment)
                deed()
            else:
                self._passed = until


@dataclass
class Life:
    """One agent's life and everything around it."""

    channel: MemoryChannel = field(default_factory=MemoryChannel)
    machine: MemoryMachine = field(default_factory=MemoryMachine)
    job: HeldJob = field(default_factory=HeldJob)
    mailbox: Mailbox = field(default_factory=Mailbox)
    jobs: Jobs | None = None

    def __post_init__(self) -> None:
        """Start the clock."""
        self.clock = PassingClock(self.job)

    def live(self) -> int:
        """Live until the end; return the exit status."""
        means = Means(
            machine=self.machine,
            connect=lambda _: self.channel,
            jobs={"ec2-backup": self.job} if self.jobs is None else self.jobs,
            session=cast("Any", None),
            clock=self.clock,
            mailbox=self.mailbox,
            version="0.0",
            spawn=self.job.spawn,
            chance=lambda: 0.0,
        )
        return Runner(means).live()

    def order_at(self, seconds: float, order: Order) -> None:
        """Have the order written at a moment."""
        self.clock.at(seconds, lambda: setattr(self.channel, "given", order))

    def fails_between(self, begin: float, end: float, method: str, error: Exception | None = None) -> None:
        """Have a method of the channel fail for a while."""
        failure = error or ChannelError(f"cannot {method}: InternalError")
        self.clock.at(begin, lambda: self.channel.failing.update({method: failure}))
        self.clock.at(end, lambda: self.channel.failing.pop(method, None))

    @property
    def result(self) -> JobResult:
        """The result that the control plane was told, the same on both ways if it came by both."""
        told = [report.result for report in self.channel.of("result")]
        if self.channel.kept is not None:
            told.append(self.channel.kept.result)
        assert told, "no result was told"
        assert all(one == told[0] for one in told)
        return cast("JobResult", told[0])


def boot_with(**fields: Any) -> MemoryMachine:
    """Return a machine whose boot document has other fields."""
    return MemoryMachine(text=user_data(replace(BOOT, **fields)))


SUCCESS = JobResult(outcome="success", detail={"restorePoint": "rp-1"})
ORDER = order("held", now=BEGINNING)


def life_with(given: Order | Exception = ORDER, *, ends_at: float | None = 5.0, **parts: object) -> Life:
    """Return a life whose order is there from the start, and whose job succeeds after some seconds."""
    life = Life(**parts)  # type: ignore[arg-type]
    life.channel.given = given
    if ends_at is not None:
        life.clock.at(ends_at, lambda: life.job.end(SUCCESS))
    return life
