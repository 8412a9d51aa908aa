"""`daywork account`: the registry of accounts and repositories (CONTRACT section 7)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from console.cli.account_check import check
from console.cli.account_history import history
from console.cli.common import Output, opened
from console.output import Format, cell, document, emit, note, table

app = typer.Typer(no_args_is_help=True, help="Register accounts, roles and repositories.")
app.command()(history)
app.command()(check)


@app.command()
def apply(
    file: Annotated[
        Path,
        typer.Option(
            "--file", "-f", metavar="FILE", help="The registry as YAML or JSON; - reads stdin.", allow_dash=True
        ),
    ],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and compare only.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Add or replace what a document names; everything else stays. All mistakes are told at once."""
    from console import accounts, documents
    from console.cli.exits import CommandError, Exit, problems_of, usage
    from console.cli.who import who
    from orchestrator.errors import Refused
    from orchestrator.ledger import registry
    from orchestrator.model.reading import together
    from orchestrator.model.registry_document import read_registry

    written = None
    try:
        written = documents.open_one(str(file), what="the registry")
        found = read_registry(written.value)
    except Refused as error:
        raise usage(*problems_of(error, written), title="the registry cannot be read") from None
    with opened() as ledger, ledger.write() as tx:
        before = registry.load(tx)
        if wrong := accounts.mistakes(before, found):
            raise CommandError(
                Exit.REFUSED, *problems_of(together(wrong), written), title="the registry makes no sense so"
            )
        made = accounts.changes(before, found)
        warnings = accounts.warnings(before, found)
        version = None if dry_run else registry.apply(tx, found, by=who())
    for one in warnings:
        note(f"note: {one}")
    if output is Format.JSON:
        entries = [{"kind": one.kind, "name": one.name, "change": one.what, "fields": list(one.fields)} for one in made]
        emit(document(applied=not dry_run, version=version, changes=entries, warnings=warnings))
        return
    table(
        ("what", "name", "change", "fields"),
        [(one.kind, one.name, cell(one.what), ", ".join(one.fields)) for one in made],
    )
    if dry_run:
        note("Nothing was changed (--dry-run).")


@app.command("list")
def list_accounts(*, output: Output = Format.TABLE) -> None:
    """List registered accounts and repositories. Of an external id, only whether there is one."""
    from console import accounts
    from orchestrator.ledger import registry

    with opened() as ledger, ledger.read() as tx:
        found = registry.load(tx)
    if output is Format.JSON:
        emit(document(**accounts.document_of(found)))
        return
    if not found.accounts:
        note("No account is registered. daywork account apply -f accounts.yml registers some.")
        return
    table(
        ("account", "name", "regions", "roles", "external id", "worker places", "worker limit"),
        [
            (
                one.id,
                f"{one.name} (backup account)" if one.backup_account else one.name,
                ", ".join(one.regions),
                ", ".join(one.roles.named()),
                "none" if one.external_id is None else "set",
                ", ".join(place.region for place in one.worker_configurations),
                one.limits.workers,
            )
            for one in found.accounts
        ],
        right=("worker limit",),
    )
    if found.repositories:
        typer.echo()
        table(
            ("repository", "url", "region", "account", "archive", "object lock"),
            [
                (
                    one.name,
                    one.url,
                    one.region,
                    one.account,
                    None if one.archive is None else one.archive.url,
                    None if one.object_lock is None else f"{one.object_lock.days} days",
                )
                for one in found.repositories
            ],
        )
