"""A worker's life.

    wake (user data, identity, role) -> ready -> order -> job, with heartbeats -> result -> end

It ends by itself when the job is done, when its order's deadline passes, when somebody asks it to stop, when no report
gets through for long, or when no order comes. An agent that restarts walks the same way: it finds the same order, and
one that has a result already is not done again.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from agent.channel import Channel, ChannelError, NotThere
from agent.clock import Clock, Event, Mailbox
from agent.imds import Identity, MetadataError
from agent.jobrun import JobRun, Jobs, in_thread
from agent.protocol import (
    JOB_MESSAGES,
    PROTOCOL_VERSION,
    Boot,
    JobResult,
    Order,
    ProtocolError,
    parse_time,
    parse_user_data,
)
from agent.reporter import Reporter
from agent.watch import AGAIN, Watch

if TYPE_CHECKING:
    from botocore.session import Session

_log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds within which the instance's own metadata must answer; user data names the limit for everything after.
_WAKE: Final = 900.0
#: The pause between tries grows from the first figure to the second, in seconds, and is shortened by chance.
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0
_GROWTH: Final = 1.6
_TRIES_THAT_GROW: Final = 16
#: Seconds for which the second way of a result is tried when the first has got through.
_SECOND_WAY: Final = 60.0
#: Seconds for which the agent tries, at least, to learn whether its order has been done already.
_KNOWN_RESULT: Final = 60.0
_SEE_ROLE: Final = "Check that the worker's role may read its orders, and that its network reaches S3, SQS and STS"
_SEE_USER_DATA: Final = "Start agents by the user data that the control plane writes"


class Machine(Protocol):
    """What the instance says about itself (`agent.imds.Metadata`)."""

    def user_data(self) -> str:
        """Return the user data. Raises `MetadataError`."""

    def identity(self) -> Identity:
        """Return which instance this is. Raises `MetadataError`."""


class _Ended(Exception):
    """The agent ends before it has a job. `reason` and `remedy` are sentences for a person."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


@dataclass(frozen=True, kw_only=True)
class Means:
    """What a life needs: who it asks, how it speaks, what it can do.

    `connect` makes the channel of a boot document. `session` is the worker's own AWS identity and `endpoint_url` the
    AWS endpoint, both for jobs; `file_systems` likewise (`agent.jobs.context`). `spawn` starts a job
    beside the caller. `chance` returns a number from 0 up to 1.
    """

    machine: Machine
    connect: Callable[[Boot], Channel]
    jobs: Jobs
    session: Session
    clock: Clock
    mailbox: Mailbox
    version: str
    endpoint_url: str | None = None
    file_systems: Path | None = None
    spawn: Callable[[JobRun], None] = in_thread
    chance: Callable[[], float] = random.random


class Runner:
    """One life. `live` is called once."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._clock = means.clock
        self._began = means.clock.running()
        self._told_to_end = False

    def live(self) -> int:
        """Live; return the exit status: 0 when the control plane has been told a result, 1 otherwise."""
        reporter: Reporter | None = None
        try:
            boot = self._persist(self._began + _WAKE, self._boot)
            until = self._began + boot.boot_seconds
            identity = self._persist(until, self._means.machine.identity)
            _log.info("agent %s on %s, session %s", self._means.version, identity.instance_id, boot.session)
            channel = self._means.connect(boot)
            user_id = self._persist(until, lambda: self._user_id(channel, identity))
            reporter = Reporter(
                channel, self._clock, boot=boot, identity=identity, user_id=user_id, version=self._means.version
            )
            result = self._carry_out(channel, reporter, boot, until)
        except _Ended as ended:
            _log.error("%s", ended.reason)
            if reporter is not None:
                # Only the report: an object that nobody ordered would be left behind.
                reporter.send(reporter.result(_failed(ended.reason, ended.remedy)))
            return 1
        return self._last_words(reporter, result, boot)

    # --- until there is an order ---

    def _boot(self) -> Boot:
        try:
            return parse_user_data(self._means.machine.user_data())
        except ValueError as error:
            raise _Ended(f"unusable user data: {error}", _SEE_USER_DATA) from None

    @staticmethod
    def _user_id(channel: Channel, identity: Identity) -> str:
        user_id = channel.who_am_i()
        if not user_id.endswith(f":{identity.instance_id}"):
            raise _Ended(f"the credentials in use are not those of the role of {identity.instance_id}", _SEE_ROLE)
        return user_id

    def _await_order(self, channel: Channel, reporter: Reporter, boot: Boot, until: float) -> Order:
        """Return the order. Says `ready` again from time to time. Raises `ProtocolError`.

        The first `ready` can come before the control plane knows of the instance; it is then told to nobody.
        """
        tries, ready_at = 0, self._clock.running()
        said = ""
        while True:
            if self._clock.running() >= ready_at:
                through = reporter.ready()
                ready_at = self._clock.running() + (boot.heartbeat_seconds if through else _LONGEST_PAUSE)
            tries += 1
            self._pause(tries, until, f"no order came within {boot.boot_seconds} s: {said}")
            try:
                return channel.order()
            except ChannelError as error:
                said = str(error)

    def _persist(self, until: float, deed: Callable[[], T]) -> T:
        """Do it again and again until it succeeds. Raises `_Ended` when its time is over."""
        tries, said = 0, ""
        while True:
            try:
                return deed()
            except (MetadataError, ChannelError) as error:
                tries += 1
                if str(error) != said:
                    said = str(error)
                    _log.info("waiting: %s", said)
                self._pause(tries, until, said)

    def _pause(self, tries: int, until: float, reason: str) -> None:
        """Wait before the next try. Raises `_Ended` when the time is over or the system wants the agent to end."""
        left = until - self._clock.running()
        if left <= 0:
            raise _Ended(reason, _SEE_ROLE)
        if self._wait(min(_length(tries) * (1 - self._means.chance() / 2), left)):
            raise _Ended("the instance's system told the agent to end before it had a job", AGAIN)

    def _wait(self, seconds: float) -> bool:
        """Wait; return whether the system told the agent to end, now or before."""
        if self._clock.wait(self._means.mailbox, seconds) is Event.TOLD_TO_END:
            self._told_to_end = True
        return self._told_to_end

    # --- the job ---

    def _carry_out(self, channel: Channel, reporter: Reporter, boot: Boot, until: float) -> JobResult:
        """Wait for the order, and do it unless it has been done."""
        try:
            order = self._await_order(channel, reporter, boot, until)
            reporter.fence = order.fence
            look_until = max(until, self._clock.running() + _KNOWN_RESULT)
            known = self._persist(look_until, lambda: _known_result(channel, order))
            if known is not None:
                _log.info("the order has its result already")
                return known
            return self._work(order, boot, channel, reporter)
        except ProtocolError as error:
            return _failed(
                f"the agent does not understand its order: {error}",
                f"Start workers with an agent of the control plane's version (protocol {PROTOCOL_VERSION})",
            )

    def _work(self, order: Order, boot: Boot, channel: Channel, reporter: Reporter) -> JobResult:
        function = self._means.jobs.get(order.job_name)
        if function is None:
            raise ProtocolError(f"Order: job {order.job_name!r} is not known")
        if order.session != boot.session:
            raise ProtocolError("Order: field 'session' is not the session of the user data")
        message: Any = JOB_MESSAGES[order.job_name].from_dict(order.job)
        deadline = parse_time(order.deadline)
        job = JobRun(
            name=order.job_name,
            function=function,
            message=message,
            mailbox=self._means.mailbox,
            session=self._means.session,
            worker_id=reporter.worker_id,
            endpoint_url=self._means.endpoint_url,
            install=boot.install,
            for_session=boot.session,
            user_id=reporter.user_id,
            file_systems=self._means.file_systems,
        )
        _log.info("job %s, attempt %d, until %s", order.job_name, order.attempt, order.deadline)
        watch = Watch(
            job, self._means.spawn, channel, reporter, self._clock, self._means.mailbox, boot=boot, deadline=deadline
        )
        result = watch.until_ended()
        self._told_to_end = watch.told_to_end
        return result

    # --- the end ---

    def _last_words(self, reporter: Reporter, result: JobResult, boot: Boot) -> int:
        """Tell the result on both ways, either of which is enough, and keep trying for a while."""
        _log.info("job ended: %s%s", result.outcome, f" ({result.reason})" if result.reason else "")
        report = reporter.result(result)
        began, tries = self._clock.running(), 0
        kept = sent = False
        while True:
            kept = kept or reporter.keep(report)
            sent = sent or reporter.send(report)
            if (kept and sent) or self._told_to_end:
                break
            tries += 1
            limit = _SECOND_WAY if kept or sent else float(boot.silence_seconds)
            if (left := began + limit - self._clock.running()) <= 0:
                break
            self._wait(min(_length(tries), left))
        if not (kept or sent):
            _log.error("the result could not be told to anybody")
        return 0 if kept or sent else 1


def _known_result(channel: Channel, order: Order) -> JobResult | None:
    """Return the result that the order has already, from before a restart. Raises `ChannelError`."""
    try:
        report = channel.result()
    except (NotThere, ProtocolError):
        return None
    return report.result if report.fence == order.fence else None


def _length(tries: int) -> float:
    """Return how many seconds to wait after so many tries."""
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * _GROWTH ** min(tries - 1, _TRIES_THAT_GROW))


def _failed(reason: str, remedy: str) -> JobResult:
    return JobResult(outcome="failed", reason=reason, remedy=remedy)
