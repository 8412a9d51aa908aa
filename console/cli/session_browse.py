"""`daywork session browse` and `extract`: looking into an image through a session's worker, and having files taken out.

The session was started of `ec2-restore-files` without `paths`; its worker answers until it is stopped, or nobody has
asked for a while.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli.common import Output, SessionId, context, opened, span
from console.cli.exits import CommandError, Exit, Problem
from console.cli.file_listing import show_files, show_systems
from console.output import Format, document, emit, note
from console.text import size

if TYPE_CHECKING:
    from agent.protocol import Ask
    from orchestrator.ledger.store import Ledger

Resource = Annotated[
    str | None,
    typer.Option("--resource", metavar="ID", help="Which of the session's points or snapshots; one needs none."),
]
Timeout = Annotated[str, typer.Option("--timeout", metavar="TIME", help="How long to wait for the answer.")]


def browse(
    session: SessionId,
    path: Annotated[
        str | None, typer.Argument(metavar="[PATH]", help="A directory or file; without it the file systems.")
    ] = None,
    *,
    search: Annotated[str | None, typer.Option("--search", metavar="GLOB", help="Find names below PATH.")] = None,
    resource: Resource = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="How many at most.")] = 10_000,
    timeout: Timeout = "60s",
    output: Output = Format.TABLE,
) -> None:
    """Look at files through a browsing session: its file systems, a directory, or what a search finds."""
    from agent.protocol import Ask

    if path is None and search is None:
        show_systems(_asked(session, resource, Ask(what="systems"), timeout)["fileSystems"], output)
        return
    ask = Ask(what="list" if search is None else "search", paths=(path or "/",), pattern=search, limit=limit)
    answer = _asked(session, resource, ask, timeout)
    show_files(answer["files"], answer["problems"], output, is_complete=answer["isComplete"])


def extract(
    session: SessionId,
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Files and directories, whole trees of them.")],
    *,
    resource: Resource = None,
    timeout: Timeout = "1h",
    output: Output = Format.TABLE,
) -> None:
    """Have a browsing session's worker take files out into an archive, and say where it is.

    Ends with 3 when some of them could not be read; the rest is in the archive all the same.
    """
    from agent.protocol import Ask

    answer = _asked(session, resource, Ask(what="extract", paths=tuple(paths)), timeout)
    problems = answer.get("problems", [])
    if output is Format.JSON:
        emit(document(**{name: value for name, value in answer.items() if name not in ("number", "fileSystems")}))
    else:
        typer.echo(answer["output"])
        for one in (*answer.get("notes", []), *(f"not taken out: {problem}" for problem in problems)):
            note(one)
        note(f"{answer['files']} files, {answer['directories']} directories, {size(answer['bytesRead'])}")
    if problems:
        raise typer.Exit(Exit.WARNING)


def _asked(session: str, resource: str | None, ask: Ask, timeout: str) -> dict[str, Any]:
    """Ask the worker. Whatever it says is wrong becomes a `CommandError`."""
    from console.browsing import Browser, NoAnswer
    from orchestrator.bootstrap import make_identities

    seconds = span(timeout)
    found = context()
    with opened(found) as ledger:
        user_id = _worker(ledger, session, resource)
        found.enter()
        settings = found.settings
        s3 = make_identities(settings, ledger).client("s3", None, settings.control_region)
        try:
            answer = Browser(s3, settings.control_bucket, session, user_id).ask(ask, seconds)
        except NoAnswer as error:
            raise CommandError(
                Exit.TIMED_OUT,
                Problem(reason=str(error), remedy="Ask again, with a longer --timeout, and see daywork session show"),
                title="no answer yet",
            ) from None
    if (wrong := answer.get("error")) is not None:
        problem = Problem(field=session, reason=wrong["reason"], remedy=wrong.get("remedy") or "")
        raise CommandError(Exit.NOT_FOUND, problem, title="not found")
    return answer


def _worker(ledger: Ledger, session: str, resource: str | None) -> str:
    """Return the user id of the worker that browses. Raises `CommandError` when there is none."""
    from orchestrator.ledger import sessions, workers
    from orchestrator.model.work import WorkKey

    with ledger.read() as tx:
        known = sessions.get(tx, session)
        wanted = [one for one in sessions.resources(tx, session) if resource in (None, one.resource_id)]
        if known.operation != "ec2-restore-files" or known.status.is_final or len(wanted) != 1:
            reason = (
                f"session {session} has ended ({known.status})"
                if known.status.is_final
                else f"session {session} restores no files"
                if known.operation != "ec2-restore-files"
                else "say which of the session's resources"
            )
            raise CommandError(
                Exit.REFUSED,
                Problem(
                    field=session,
                    reason=reason,
                    remedy="Start one that browses: daywork session start --operation ec2-restore-files --resource ...",
                ),
            )
        (one,) = wanted
        if one.plan is not None and one.plan.details.get("paths"):
            reason = "this session takes the paths out that it was started with, and does not browse"
            raise CommandError(Exit.REFUSED, Problem(field=session, reason=reason))
        alive = [it for it in workers.of_unit(tx, WorkKey(session, one.ordinal)) if it.state != workers.TERMINATED]
    if not alive or alive[-1].user_id is None:
        raise CommandError(
            Exit.REFUSED,
            Problem(
                field=session, reason="its worker is not ready yet", remedy=f"Wait: daywork session watch {session}"
            ),
        )
    return alive[-1].user_id
