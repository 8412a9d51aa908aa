"""Beside a working job: heartbeats, the stop flag, the deadline, the silence rule."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from agent.channel import Channel, ChannelError
from agent.clock import Clock, Event, Mailbox
from agent.jobrun import JobRun
from agent.protocol import Boot, JobResult, format_time
from agent.reporter import Reporter

_log = logging.getLogger(__name__)

#: Seconds between two looks at the stop flag: half a heartbeat, within these limits.
_LOOK_LEAST: Final = 0.5
_LOOK_MOST: Final = 10.0
#: Seconds that a job gets to stop; it is asked to look once a second, and may have to finish an upload.
_GRACE: Final = 90.0

AGAIN: Final = "Start the operation again for this resource"
_ON_REQUEST: Final = JobResult(outcome="stopped", reason="stopped on request")
_TOLD: Final = JobResult(
    outcome="failed",
    reason="the instance's system told the agent to end",
    remedy=AGAIN,
)


class Watch:
    """Starts a job and stays beside it until it has ended.

    A job that was made to stop is judged by why: on request it is `stopped`, otherwise `failed`; one that succeeds all
    the same has succeeded. `told_to_end` tells whether the instance's system wanted the agent to end meanwhile.
    """

    def __init__(
        self,
        job: JobRun,
        spawn: Callable[[JobRun], None],
        channel: Channel,
        reporter: Reporter,
        clock: Clock,
        mailbox: Mailbox,
        *,
        boot: Boot,
        deadline: datetime,
    ) -> None:
        self._job = job
        self._spawn = spawn
        self._channel = channel
        self._reporter = reporter
        self._clock = clock
        self._mailbox = mailbox
        self._boot = boot
        self._deadline = deadline
        self._look_every = min(_LOOK_MOST, max(_LOOK_LEAST, boot.heartbeat_seconds / 2))
        self._why: JobResult | None = None
        self.told_to_end = False
        self._stopped_at = 0.0

    def until_ended(self) -> JobResult:
        """Start the job and return how it ended."""
        now = self._clock.running()
        beat_at, look_at = now + self._boot.heartbeat_seconds, now + self._look_every
        self._reporter.heard_at = now
        if self._seconds_left() <= 0:
            return self._past_deadline()
        self._spawn(self._job)
        while True:
            event = self._clock.wait(self._mailbox, self._pause(min(beat_at, look_at)))
            if event is Event.JOB_ENDED:
                return self._judged(self._job.result)
            if event is Event.TOLD_TO_END:
                self.told_to_end = True
                self._stop(_TOLD)
            now = self._clock.running()
            if self._why is None and self._seconds_left() <= 0:
                self._stop(self._past_deadline())
            if now >= look_at:
                self._look()
                look_at = self._clock.running() + self._look_every
            if now >= beat_at:
                self._reporter.progress(self._job.progress())
                beat_at = now + self._boot.heartbeat_seconds
                self._mind_silence()
            if self._why is not None and self._clock.running() - self._stopped_at >= _GRACE:
                _log.error("the job did not stop within %d s; ending without it", _GRACE)
                return self._why

    def _pause(self, next_deed: float) -> float:
        left = next_deed - self._clock.running()
        if self._why is None:
            return min(left, self._seconds_left())
        return min(left, self._stopped_at + _GRACE - self._clock.running())

    def _seconds_left(self) -> float:
        return (self._deadline - self._clock.now()).total_seconds()

    def _look(self) -> None:
        if self._why is not None:
            return
        try:
            if self._channel.stop_asked():
                self._stop(_ON_REQUEST)
        except ChannelError as error:
            _log.warning("%s", error)

    def _mind_silence(self) -> None:
        silent = self._clock.running() - self._reporter.heard_at
        if silent >= self._boot.silence_seconds:
            self._stop(
                JobResult(
                    outcome="failed",
                    reason=f"no report of the worker got through for {int(silent)} s",
                    remedy="Check the report queue's policy and the worker's way to SQS",
                )
            )

    def _stop(self, why: JobResult) -> None:
        """Ask the job to stop; the first reason counts."""
        if self._why is None:
            _log.info("stopping the job: %s", why.reason)
            self._why, self._stopped_at = why, self._clock.running()
            self._job.stop()

    def _past_deadline(self) -> JobResult:
        return JobResult(
            outcome="failed",
            reason=f"the job did not end before its deadline, {format_time(self._deadline)}",
            remedy=f"Allow jobs more time. {AGAIN}",
        )

    def _judged(self, result: JobResult) -> JobResult:
        if result.outcome in ("success", "warning") or self._why is None:
            return result
        return replace(self._why, detail=result.detail) if result.outcome == "stopped" else result
