"""`daywork sweep`: one pass of the sweeper, with what it finds."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from console.cli.common import Output, context
from console.cli.exits import Exit
from console.output import Format, cell, document, emit, note, table


def sweep(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look only: nothing is marked or removed.")] = False,
    adopt: Annotated[
        bool,
        typer.Option("--adopt", help="Let a new or restored ledger remove again; read what --dry-run reports first."),
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Find what nobody owns in the registered accounts; remove what an earlier pass has marked."""
    from orchestrator.sweeper.sweep import sweep as sweep_cloud

    done = sweep_cloud(context().services(), dry_run=dry_run, adopt=adopt)
    if output is Format.JSON:
        found = [dataclasses.asdict(one) for one in done.findings]
        emit(document(findings=found, distrust=done.distrust, failures=list(done.failures)))
    else:
        if done.distrust:
            note(f"This ledger only reports: {done.distrust}")
        for failure in done.failures:
            note(f"Could not look: {failure}")
        if done.findings:
            table(
                ("kind", "name", "account", "region", "session", "done", "reason"),
                [
                    (one.kind, cell(one.name), one.account, one.region, cell(one.session), one.done, cell(one.reason))
                    for one in done.findings
                ],
            )
        else:
            note("Nothing is there that nobody owns.")
    if done.failures or any(one.done == "refused" for one in done.findings):
        raise typer.Exit(Exit.REFUSED)
