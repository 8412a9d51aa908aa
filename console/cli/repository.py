"""`daywork repository`: what the repositories hold, and entering it into the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli.common import Output, context, opened
from console.cli.exits import CommandError, Exit, Problem
from console.output import Format, document, emit, note, table
from console.text import moment

if TYPE_CHECKING:
    from console.stack.context import Context
    from orchestrator.importing import Imported
    from orchestrator.ledger.store import Ledger
    from orchestrator.model.account import Repository

app = typer.Typer(no_args_is_help=True, help="Enter what repositories hold into the ledger.")

#: Unreadable points that a table names one by one.
_MOST_NAMED = 20


@app.command("list")
def list_repositories(*, output: Output = Format.TABLE) -> None:
    """List the registered repositories, and what the ledger knows of each."""
    from agent.protocol import format_time
    from orchestrator.ledger import points, registry

    with opened() as ledger, ledger.read() as tx:
        registered = registry.load(tx).repositories
        known = points.holdings(tx)
    rows = [(one, known.get(one.name)) for one in registered]
    if output is Format.JSON:
        entries = [
            {
                "name": one.name,
                "url": one.url,
                "region": one.region,
                "account": one.account,
                "reader": one.reader,
                "restorePoints": 0 if held is None else held.points,
                "resources": 0 if held is None else held.resources,
                "oldestAt": None if held is None else format_time(held.oldest_at),
                "newestAt": None if held is None else format_time(held.newest_at),
            }
            for one, held in rows
        ]
        emit(document(repositories=entries))
        return
    if not rows:
        note("No repository is registered. daywork account apply -f accounts.yml registers some.")
        return
    table(
        ("repository", "url", "region", "account", "restore points", "resources", "oldest", "newest"),
        [
            (one.name, one.url, one.region, one.account, 0, 0, None, None)
            if held is None
            else (
                one.name,
                one.url,
                one.region,
                one.account,
                held.points,
                held.resources,
                moment(held.oldest_at),
                moment(held.newest_at),
            )
            for one, held in rows
        ],
        right=("restore points", "resources"),
    )


@app.command("import")
def import_repositories(
    repository: Annotated[
        list[str] | None, typer.Argument(metavar="[REPOSITORY]...", help="Registered names; all if none is given.")
    ] = None,
    *,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Enter also restore points that another install has made.")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Enter the restore points that repositories hold and the ledger does not know. May be repeated.

    Reads no block of any backup. Ends with 8 when something could not be entered; the rest is entered all the same.
    """
    found = context()
    with opened(found) as ledger:
        done, failed = _import_all(found, ledger, repository, adopt=adopt)
    if output is Format.JSON:
        emit(document(repositories=[_document(one) for one in done] + [_failure(*one) for one in failed]))
    else:
        _show(done)
    problems = [*(_problem(name, error) for name, error in failed), *(p for one in done for p in _refusals(one))]
    if problems:
        raise (
            typer.Exit(Exit.REFUSED)
            if output is Format.JSON
            else CommandError(Exit.REFUSED, *problems, title="not everything is entered")
        )


def _import_all(
    found: Context, ledger: Ledger, names: list[str] | None, *, adopt: bool
) -> tuple[list[Imported], list[tuple[str, Any]]]:
    from console.repositories import open_shelf
    from orchestrator.bootstrap import make_identities
    from orchestrator.errors import CloudError
    from orchestrator.importing import import_points

    chosen = _chosen(ledger, names)
    found.enter()
    identities = make_identities(found.settings, ledger)
    done: list[Imported] = []
    failed: list[tuple[str, Any]] = []
    for one in chosen:
        try:
            shelf = open_shelf(identities, one)
            done.append(import_points(ledger, one.name, shelf, install=found.settings.install_id, adopt=adopt))
        except CloudError as error:
            failed.append((one.name, error))
    return done, failed


def _chosen(ledger: Ledger, names: list[str] | None) -> list[Repository]:
    from orchestrator.ledger import registry

    with ledger.read() as tx:
        if names:
            return [registry.repository(tx, name) for name in dict.fromkeys(names)]
        found = list(registry.load(tx).repositories)
    if not found:
        raise CommandError(
            Exit.NOT_FOUND,
            Problem(
                field="repositories",
                reason="no repository is registered",
                remedy="The registry was in the ledger: apply its document again with daywork account apply",
            ),
        )
    return found


def _show(done: list[Imported]) -> None:
    table(
        ("repository", "entered", "known before", "of other installs", "unreadable"),
        [(one.repository, one.entered, one.known, sum(one.foreign.values()), len(one.unread)) for one in done],
        right=("entered", "known before", "of other installs", "unreadable"),
    )


def _document(one: Imported) -> dict[str, Any]:
    return {
        "name": one.repository,
        "entered": one.entered,
        "known": one.known,
        "foreign": dict(one.foreign),
        "unread": [{"name": it.name, "reason": it.reason, "remedy": it.remedy or None} for it in one.unread],
        "error": None,
    }


def _failure(name: str, error: Any) -> dict[str, Any]:
    return {"name": name, "error": {"reason": error.reason, "remedy": error.remedy or None}}


def _problem(name: str, error: Any) -> Problem:
    return Problem(field=name, reason=error.reason, remedy=error.remedy)


def _refusals(one: Imported) -> list[Problem]:
    found = [
        Problem(
            field=one.repository,
            reason=f"{count} restore points were made by install {install}",
            remedy="Enter them with --adopt if this install shall take them over",
        )
        for install, count in sorted(one.foreign.items())
    ]
    found += [Problem(field=it.name, reason=it.reason, remedy=it.remedy) for it in one.unread[:_MOST_NAMED]]
    if len(one.unread) > _MOST_NAMED:
        found.append(
            Problem(
                field=one.repository,
                reason=f"{len(one.unread) - _MOST_NAMED} more restore points cannot be read",
                remedy="See all of them with --output json",
            )
        )
    return found
