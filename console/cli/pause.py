"""`daywork pause` and `resume`: no new session starts, those that run come to their end."""

from __future__ import annotations

from typing import Annotated

import typer

from console.cli.common import Output, Publisher, context, opened
from console.cli.who import who
from console.output import Format, document, emit, note
from console.text import count


def pause(
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for whoever looks.")] = "",
    output: Output = Format.TABLE,
) -> None:
    """Let no new session start, for upgrades and emergencies. Running ones go on to their end.

    What is submitted meanwhile is accepted and waits. Ticks of policies are missed ones after `daywork resume`. May be
    repeated: it keeps its moment, author and reason.
    """
    from agent.protocol import format_time
    from orchestrator.ledger import pausing

    with opened() as ledger, ledger.write() as tx:
        before = pausing.paused(tx)
        found = pausing.pause(tx, by=who(), reason=reason)
        waiting, running = pausing.open_sessions(tx)
    if output is Format.JSON:
        emit(
            document(
                paused=True,
                since=format_time(found.since),
                by=found.by,
                reason=found.reason or None,
                changed=before is None,
                waiting=waiting,
                running=running,
            )
        )
        return
    note(f"{'Paused.' if before is None else 'It was paused already.'} No new session starts: {found}.")
    if running:
        note(f"{count(running, 'session')} {'runs' if running == 1 else 'run'} on to the end: daywork session list")
    note("daywork resume lets sessions start again.")


def resume(*, output: Output = Format.TABLE) -> None:
    """Let sessions start again, those first that have waited. May be repeated."""
    from orchestrator.ledger import pausing

    settings = context()
    with opened(settings) as ledger:
        publisher = Publisher(settings, ledger)
        with ledger.write() as tx:
            before = pausing.paused(tx)
            waiting, _ = pausing.open_sessions(tx)
            woken = pausing.resume(tx)
        publisher.drive(woken)
        code = publisher.tell("What has waited")
    if output is Format.JSON:
        emit(document(paused=False, changed=before is not None, waited=waiting, published=not publisher.has_failed))
    else:
        note("It was not paused." if before is None else f"Sessions start again; {count(waiting, 'session')} waited.")
    raise typer.Exit(code)
