"""`daywork session start`, `retry` and `stop`: what enters through `orchestrator.submission`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli.common import Output, Publisher, SessionId, context, opened, span
from console.cli.exits import CommandError, Exit, problems_of
from console.cli.request import Flags, requested
from console.cli.request_flags import File, Mode, OperationName, Options, RepositoryName, Resources, Select
from console.cli.watching import follow
from console.output import Format, document, emit, note

if TYPE_CHECKING:
    from orchestrator.ledger.store import Ledger
    from orchestrator.ports import Dispatch
    from orchestrator.submission import Submitted

Wait = Annotated[bool, typer.Option("--wait", "-w", help="Watch it to its end and end with its exit code.")]
Timeout = Annotated[
    str | None,
    typer.Option("--timeout", metavar="DURATION", help="With --wait: at most 90, 90s, 15m, 2h; exit code 6."),
]


def start(
    *,
    file: File = None,
    operation: OperationName = None,
    resource: Resources = None,
    select: Select = None,
    mode: Mode = None,
    repository: RepositoryName = None,
    option: Options = None,
    source: Annotated[
        str | None,
        typer.Option("--source", metavar="SOURCE", help="Who asks. SOURCE and ID together name a request once."),
    ] = None,
    request_id: Annotated[
        str | None,
        typer.Option("--id", metavar="ID", help="The same SOURCE and ID again is the same session, not another."),
    ] = None,
    wait: Wait = False,
    timeout: Timeout = None,
    output: Output = Format.TABLE,
) -> None:
    """Start a session: submit a request and print the session's id.

    Either a whole request from a file, or --operation with --resource or --select.
    """
    flags = Flags(
        operation=operation,
        resources=resource or [],
        selectors=select or [],
        mode=mode,
        repository=repository,
        options=option or [],
        source=source,
        id=request_id,
    )
    seconds = None if timeout is None else span(timeout)
    begin(requested(None if file is None else str(file), flags), wait=wait, seconds=seconds, output=output)


def begin(request: Any, *, wait: bool, seconds: float | None, output: Format) -> None:
    """Submit a request, print its session's id, and watch it if that is wanted. Ends with the exit code."""

    def submit(ledger: Ledger, dispatch: Dispatch) -> Submitted:
        from orchestrator import submission

        return submission.submit(ledger, request, dispatch=dispatch)

    _submit(submit, wait=wait, seconds=seconds, output=output)


def retry(
    session: SessionId,
    *,
    wait: Wait = False,
    timeout: Timeout = None,
    output: Output = Format.TABLE,
) -> None:
    """Start a new session over the failed resources of one that has ended. Given again, it is the same new session."""
    seconds = None if timeout is None else span(timeout)

    def submit(ledger: Ledger, dispatch: Dispatch) -> Submitted:
        from orchestrator import submission
        from orchestrator.ledger import sessions

        with ledger.read() as tx:
            sessions.get(tx, session)  # asked to look at: not found, where a request would be refused
        return submission.retry(ledger, session, dispatch=dispatch)

    _submit(submit, wait=wait, seconds=seconds, output=output)


def run_policy(policy: str, *, wait: bool, timeout: str | None, output: Format) -> None:
    """Submit a run of a policy by hand, as `start` submits a request."""
    seconds = None if timeout is None else span(timeout)

    def submit(ledger: Ledger, dispatch: Dispatch) -> Submitted:
        from orchestrator.ledger import schedules
        from orchestrator.scheduler import asking

        with ledger.read() as tx:
            schedules.get(tx, policy)  # asked to run: not found, where a request would be refused
        return asking.run(ledger, policy, dispatch=dispatch)

    _submit(submit, wait=wait, seconds=seconds, output=output)


def stop(session: SessionId, *, wait: Wait = False, timeout: Timeout = None, output: Output = Format.TABLE) -> None:
    """Stop a session. Its workers and its temporary role are removed all the same. May be repeated."""
    from orchestrator import submission

    seconds = None if timeout is None else span(timeout)
    found = context()
    with opened(found) as ledger:
        publisher = Publisher(found, ledger)
        status = submission.stop(ledger, session, dispatch=publisher)
        code = publisher.tell("The stop")
        if output is Format.TABLE:
            note(f"{session} has ended already: {status}." if status.is_final else f"{session} is stopping.")
        if wait:
            code = follow(ledger, session, stream=sys.stderr, output=output, seconds=seconds)
        elif output is Format.JSON:
            emit(document(sessionId=session, status=str(status)))
    raise typer.Exit(code)


def _submit(
    submit: Callable[[Ledger, Dispatch], Submitted], *, wait: bool, seconds: float | None, output: Format
) -> None:
    from orchestrator.errors import NotFound, Refused

    found = context()
    with opened(found) as ledger:
        publisher = Publisher(found, ledger)
        try:
            accepted = submit(ledger, publisher)
        except Refused as error:
            if error.field == "session" or (isinstance(error, NotFound) and error.field == "policy"):
                raise
            raise CommandError(Exit.REFUSED, *problems_of(error)) from None
        code = publisher.tell(f"Session {accepted.session_id}")
        if output is Format.TABLE:
            typer.echo(accepted.session_id)
            if not accepted.created:
                note("This request was submitted before; this is its session.")
            _tell_pause(ledger)
        if wait:
            code = follow(ledger, accepted.session_id, stream=sys.stderr, output=output, seconds=seconds)
        elif output is Format.JSON:
            emit(document(sessionId=accepted.session_id, created=accepted.created, published=not publisher.has_failed))
        elif code is Exit.OK and sys.stderr.isatty():
            note(f"daywork session watch {accepted.session_id}")
    raise typer.Exit(code)


def _tell_pause(ledger: Ledger) -> None:
    from orchestrator.ledger import pausing

    with ledger.read() as tx:
        pause = pausing.paused(tx)
    if pause is not None:
        note(f"It waits: no session starts, {pause}. daywork resume lets it start.")
