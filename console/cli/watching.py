"""`daywork session watch`, and what `--wait` does: the session's own end is the command's."""

from __future__ import annotations

import sys
from typing import IO, TYPE_CHECKING, Annotated

import typer

from console.cli.common import Output, SessionId, opened, span
from console.cli.exits import OF_SESSION, Exit
from console.output import Format, document, emit, note

if TYPE_CHECKING:
    from orchestrator.ledger.store import Ledger


def watch(
    session: SessionId,
    *,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="DURATION", help="At most 90, 90s, 15m, 2h; then exit code 6.")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Watch a session to its end, and end with its exit code. Ctrl-C leaves; the session goes on.

    On a terminal it is redrawn; in a pipe each change is a line, with --output json a JSON document.
    """
    seconds = None if timeout is None else span(timeout)
    with opened() as ledger:
        code = _watched(ledger, session, stream=sys.stdout, as_lines=output is Format.JSON, seconds=seconds)[0]
    raise typer.Exit(code)


def follow(ledger: Ledger, session: str, *, stream: IO[str], output: Format, seconds: float | None) -> Exit:
    """Wait for a session that was just submitted or stopped; progress goes to `stream`, a JSON record to stdout."""
    code, record = _watched(ledger, session, stream=stream, as_lines=False, seconds=seconds)
    if output is Format.JSON:
        emit(record if record is not None else document(sessionId=session, status="running", detached=True))
    return code


def _watched(
    ledger: Ledger, session: str, *, stream: IO[str], as_lines: bool, seconds: float | None
) -> tuple[Exit, dict[str, object] | None]:
    from console.live.watch import watch as look

    try:
        ended = look(ledger, session, stream=stream, as_json=as_lines, timeout=seconds)
    except KeyboardInterrupt:
        note(f"Left. The session goes on: daywork session watch {session}")
        return Exit.DETACHED, None
    if ended.record is None:
        note(f"The time is over. The session goes on: daywork session watch {session}")
        return Exit.TIMED_OUT, None
    return OF_SESSION[ended.record["status"]], dict(ended.record)
