"""The loop that watches: read, show, pause, until the session has ended or whoever watches has enough."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from console.live.changes import Changes
from console.live.events import JsonLines, Lines, TextLines
from console.live.reading import Reader, Reading, account_names
from console.output import console, document, emit_line, is_lively, put
from orchestrator import records
from orchestrator.errors import LedgerUnavailable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

    from orchestrator.ledger.store import Ledger

#: Four looks a second; never more than a twentieth of the time is spent on them, however large the session.
_EVERY = 0.25
_SHARE = 20
_SLOWEST = 2.0


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How time passes for the loop: `now` in seconds from anywhere, `pause` for seconds."""

    now: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How watching ended: the whole record of a session that has ended, or None when the time was over."""

    record: Mapping[str, Any] | None


def watch(
    ledger: Ledger,
    session: str,
    *,
    stream: IO[str],
    as_json: bool = False,
    timeout: float | None = None,
    pace: Pace | None = None,
) -> Ended:
    """Show a session on a stream until it has ended, at most `timeout` seconds.

    A terminal gets a screen that is redrawn, anything else one line an event. A ledger that goes away meanwhile is
    waited for, and this is said. Raises `NotFound`, and `LedgerUnavailable` when the ledger does not answer at all.
    """
    pace = pace or Pace()
    names = account_names(ledger)
    reader = Reader(ledger, session, names=names)
    deadline = None if timeout is None else pace.now() + timeout
    if as_json or not is_lively(stream):
        lines: Lines = JsonLines(stream) if as_json else TextLines(stream, names)
        is_over = _lines(ledger, reader, lines, pace, deadline)
    else:
        is_over = _screen(reader, console(stream), pace, deadline)
    if not is_over:
        return Ended(record=None)
    record = _record(ledger, session, pace)
    _tell_end(record, names, stream, as_json=as_json)
    return Ended(record=record)


def _lines(ledger: Ledger, reader: Reader, lines: Lines, pace: Pace, deadline: float | None) -> bool:
    """Write what changes. Returns whether the session has ended; False when the time was over."""
    changes = Changes(ledger, lines)
    while True:
        begun = pace.now()
        changes.see(reader.read(0))
        if changes.is_over:
            return True
        if not _pause(pace, begun, deadline):
            return False


def _screen(reader: Reader, screen: Console, pace: Pace, deadline: float | None) -> bool:
    """Redraw. Returns whether the session has ended; False when the time was over.

    The last picture stays when somebody leaves; at the session's own end the summary takes its place.
    """
    from rich.live import Live

    begun = pace.now()
    reading = reader.read(_size(screen).rows)  # before the screen is taken, so that an error finds it as it was
    with Live(console=screen, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            _show(live, reading, screen)
            if _is_over(reading):
                live.transient = True
                return True
            if not _pause(pace, begun, deadline):
                return False
            begun = pace.now()
            reading = reader.read(_size(screen).rows)


def _is_over(reading: Reading) -> bool:
    """Whether the session has ended, as far as is known."""
    return reading.glance.status.is_final


def _show(live: Live, reading: Reading, screen: Console) -> None:
    from rich.console import Group

    from console.live.screen import draw

    live.update(Group(*draw(reading, _size(screen))), refresh=True)


def _size(screen: Console) -> Any:
    from console.live.screen import Size

    return Size(width=screen.width, height=screen.height, unicode=screen.encoding.startswith("utf"))


def _pause(pace: Pace, begun: float, deadline: float | None) -> bool:
    """Wait for the next look. Returns False when the time is over."""
    now = pace.now()
    rest = min(max(_EVERY, _SHARE * (now - begun)), _SLOWEST)
    if deadline is not None:
        if now >= deadline:
            return False
        rest = min(rest, deadline - now)
    pace.pause(rest)
    return True


def _record(ledger: Ledger, session: str, pace: Pace) -> dict[str, Any]:
    """Read the whole record, once, waiting for the ledger if it must be."""
    while True:
        try:
            with ledger.read() as tx:
                return records.session_record(tx, session)
        except LedgerUnavailable:
            pace.pause(_SLOWEST)


def _tell_end(record: Mapping[str, Any], names: Mapping[str, str], stream: IO[str], *, as_json: bool) -> None:
    if as_json:
        receipt = {name: len(entries) for name, entries in record["receipt"].items()}
        short = {name: value for name, value in record.items() if name not in ("resources", "receipt", "schemaVersion")}
        emit_line(document(type="end", at=record["endedAt"], session=short, receipt=receipt), stream)
        return
    from console.live.summary import summary

    screen = console(stream)
    for line in summary(record, names, unicode=screen.encoding.startswith("utf")):
        put(screen, line)
