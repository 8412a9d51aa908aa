"""`daywork account check`: whether accounts are as sessions need them, and what to add where they are not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from console.cli.common import Output, context, opened
from console.cli.exits import Exit
from console.output import Format, cell, document, emit, note, table

if TYPE_CHECKING:
    from console.checks.findings import Finding

_COLOURS = {"ok": "green", "note": "cyan", "missing": "red", "unknown": "yellow"}


def check(
    accounts: Annotated[
        list[str] | None, typer.Argument(metavar="[ACCOUNT]...", help="Accounts by id or name; all without any.")
    ] = None,
    *,
    output: Output = Format.TABLE,
) -> None:
    """Check roles, rights, networks, control bucket, report queue and key of registered accounts. Changes nothing.

    What is missing is said as a policy statement to add. Ends with 8 when something is missing, else with 0.
    """
    from console.checks.examine import examine
    from console.checks.findings import State
    from orchestrator.aws.cloud import AwsCloud
    from orchestrator.bootstrap import external_ids, make_install
    from orchestrator.ledger import registry

    settled = context()
    settled.enter()
    with opened(settled) as ledger:
        with ledger.read() as tx:
            known = registry.load(tx)
            chosen = [registry.account(tx, name) for name in accounts] if accounts else list(known.accounts)
        cloud = AwsCloud(install=make_install(settled.settings), external_id=external_ids(ledger))
        found = list(examine(cloud, settled.settings, known, chosen))
    missing = [one for one in found if one.state is State.MISSING]
    if output is Format.JSON:
        emit(document(ok=not missing, findings=[one.shown() for one in found]))
    elif not chosen:
        note("No account is registered. daywork account apply -f accounts.yml registers some.")
    else:
        _print(found)
    if missing:
        raise typer.Exit(Exit.REFUSED)


def _print(found: list[Finding]) -> None:
    table(
        ("account", "what", "state", "found", "do"),
        [
            (one.account, one.subject, cell(one.state, _COLOURS[one.state]), one.text, "" if one.add else one.remedy)
            for one in found
        ],
    )
    for one in found:
        if one.add is not None:
            typer.echo()
            typer.echo(f"{one.remedy}: {one.target}")
            typer.echo(json.dumps(one.add, indent=2))
