"""Composing and numbering reports, and knowing when the last one got through."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Final, Literal

from agent.channel import Channel, ChannelError
from agent.clock import Clock
from agent.imds import Identity
from agent.protocol import Boot, JobResult, Progress, Report, format_time

_log = logging.getLogger(__name__)

#: Characters of a reason or remedy that are passed on.
_LONGEST_SENTENCE: Final = 2000

ReportKind = Literal["ready", "progress", "result"]


class Reporter:
    """One worker's reports. `fence` is the order's, 0 before there is one."""

    def __init__(
        self, channel: Channel, clock: Clock, *, boot: Boot, identity: Identity, user_id: str, version: str
    ) -> None:
        self.fence = 0
        self.heard_at = clock.running()
        self._channel = channel
        self._clock = clock
        self._boot = boot
        self._identity = identity
        self.user_id = user_id
        self._version = version
        self._sequence = 0

    @property
    def worker_id(self) -> str:
        """The instance's id."""
        return self._identity.instance_id

    def ready(self) -> bool:
        """Say that the agent waits for its order. Returns whether it got through."""
        return self.send(self._report("ready"))

    def progress(self, progress: Progress) -> bool:
        """Say how far the job is: the heartbeat. Returns whether it got through."""
        return self.send(self._report("progress", progress=progress))

    def result(self, result: JobResult) -> Report:
        """Return the report of a result, to be kept and sent."""
        reason, remedy = _bounded(result.reason), _bounded(result.remedy)
        return self._report("result", result=replace(result, reason=reason, remedy=remedy))

    def send(self, report: Report) -> bool:
        """Send a report once. Returns whether it got through."""
        try:
            self._channel.send(report)
        except ChannelError as error:
            _log.warning("report %s: %s", report.kind, error)
            return False
        self.heard_at = self._clock.running()
        return True

    def keep(self, report: Report) -> bool:
        """Write the result object once. Returns whether it got through."""
        try:
            self._channel.keep(report)
        except ChannelError as error:
            _log.warning("%s", error)
            return False
        return True

    def _report(self, kind: ReportKind, *, progress: Progress | None = None, result: JobResult | None = None) -> Report:
        # Milliseconds of the machine's running time: an agent that restarts goes on with higher numbers.
        self._sequence = max(self._sequence + 1, int(self._clock.running() * 1000))
        return Report(
            kind=kind,
            session=self._boot.session,
            instance_id=self._identity.instance_id,
            user_id=self.user_id,
            sequence=self._sequence,
            fence=self.fence,
            sent_at=format_time(self._clock.now()),
            agent_version=self._version,
            progress=progress,
            result=result,
        )


def _bounded(sentence: str | None) -> str | None:
    return None if sentence is None else sentence[:_LONGEST_SENTENCE]
