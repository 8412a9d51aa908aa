"""What changed between two looks at a session, as lines: for people in a pipe, or as JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import IO, Any, Protocol

from agent.protocol import format_time
from console.live.reading import Reading, left
from console.output import document, emit_line
from console.text import amount, count, duration, plain, size, words
from orchestrator.ledger.glance import Glance, Row

#: How often a line tells how far the work has come, when nothing else changes.
PROGRESS = timedelta(seconds=30)


class Lines(Protocol):
    """Where events go."""

    def session(self, reading: Reading) -> None:
        """The session has a new status."""

    def resource(self, at: datetime, row: Row) -> None:
        """A resource has a new status or attempt."""

    def progress(self, reading: Reading) -> None:
        """The work has come further."""

    def lost(self, at: datetime) -> None:
        """The ledger has stopped to answer."""

    def back(self, at: datetime) -> None:
        """The ledger answers again."""


class TextLines:
    """Events as text, one line each, with the time of day in UTC in front."""

    def __init__(self, stream: IO[str], names: Mapping[str, str]) -> None:
        """Take the stream to write to, and the names of accounts."""
        self._stream = stream
        self._names = names

    def session(self, reading: Reading) -> None:
        """Write `session s-... running (ec2-backup, backup mode, 3 resources)`."""
        one = reading.glance
        what = f"{plain(one.operation)}, {one.mode} mode, {count(one.resources, 'resource')}"
        reason = f": {plain(one.reason)}" if one.reason else ""
        self._line(one.at, f"session {one.id}  {words(one.status)} ({what}){reason}")

    def resource(self, at: datetime, row: Row) -> None:
        """Write `production-a/eu-west-1/i-...  failed: why -> what to do`."""
        place = f"{plain(self._names.get(row.account, row.account))}/{row.region}/{plain(row.resource_id)}"
        text = f"{place}  {words(row.status)}"
        if row.attempt > 1:
            text += f" (attempt {row.attempt})"
        if row.instance_id and not row.status.is_final:
            text += f" on {plain(row.instance_id)}"
        if row.reason:
            text += f": {plain(row.reason)}"
        if row.remedy and row.status.is_final:
            text += f" -> {plain(row.remedy)}"
        self._line(at, text)

    def progress(self, reading: Reading) -> None:
        """Write `progress 1 of 3 done, 4.1 of 10.0 GiB, 56.0 MiB/s, about 2 min 00 s left`."""
        one = reading.glance
        ended = sum(number for status, number in one.counts.items() if status.is_final)
        parts = [f"{ended:,} of {one.resources:,} done"]
        if one.total:
            parts.append(amount(one.done, one.total, one.unit))
        if reading.rate:
            parts.append(f"{size(reading.rate)}/s" if one.unit == "bytes" else f"{reading.rate:,.1f}/s")
        if (rest := left(one.done, one.total, reading.rate)) is not None:
            parts.append(f"{'at most' if one.unheard else 'about'} {duration(rest)} left")
        self._line(one.at, f"progress  {', '.join(parts)}")

    def lost(self, at: datetime) -> None:
        """Say that the ledger is away."""
        self._line(at, "the ledger does not answer; trying again")

    def back(self, at: datetime) -> None:
        """Say that it is back."""
        self._line(at, "the ledger answers again")

    def _line(self, at: datetime, text: str) -> None:
        self._stream.write(f"{at:%H:%M:%S}  {text}\n")
        self._stream.flush()


class JsonLines:
    """Events as JSON, one document a line: `type` is session, resource, progress, ledger-lost or ledger-back."""

    def __init__(self, stream: IO[str]) -> None:
        """Take the stream to write to."""
        self._stream = stream
        self._session = ""

    def session(self, reading: Reading) -> None:
        """Write the session's status and counts."""
        one = reading.glance
        self._session = one.id
        self._line("session", one.at, session=_session(one))

    def resource(self, at: datetime, row: Row) -> None:
        """Write a resource as it stands."""
        self._line("resource", at, sessionId=self._session, resource=_resource(row))

    def progress(self, reading: Reading) -> None:
        """Write how far the work has come."""
        one = reading.glance
        rate = None if reading.rate is None else round(reading.rate, 1)
        figures = {"done": one.done, "total": one.total, "unit": one.unit, "ratePerSecond": rate}
        self._line("progress", one.at, sessionId=one.id, progress=figures, counts=_counts(one))

    def lost(self, at: datetime) -> None:
        """Say that the ledger is away."""
        self._line("ledger-lost", at, sessionId=self._session)

    def back(self, at: datetime) -> None:
        """Say that it is back."""
        self._line("ledger-back", at, sessionId=self._session)

    def _line(self, kind: str, at: datetime, **values: Any) -> None:
        emit_line(document(type=kind, at=format_time(at), **values), self._stream)


def _session(one: Glance) -> dict[str, Any]:
    return {
        "id": one.id,
        "operation": one.operation,
        "mode": one.mode,
        "status": str(one.status),
        "reason": one.reason,
        "resourceCount": one.resources,
        "counts": _counts(one),
    }


def _counts(one: Glance) -> dict[str, int]:
    return {str(status): number for status, number in sorted(one.counts.items())}


def _resource(row: Row) -> dict[str, Any]:
    return {
        "account": row.account,
        "region": row.region,
        "id": row.resource_id,
        "status": str(row.status),
        "attempt": row.attempt,
        "reason": row.reason,
        "remedy": row.remedy,
        "progress": {"done": row.done, "total": row.total, "unit": row.unit},
        "instanceId": row.instance_id,
    }
