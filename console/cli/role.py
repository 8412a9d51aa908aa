"""`daywork role`: the documents of the roles that an installation needs."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli.common import Output, context, opened
from console.output import Format, document as json_document, emit, table

if TYPE_CHECKING:
    from config.settings import Settings
    from orchestrator.model.account import Account, Registry
    from orchestrator.rights.documents import RoleDocuments

app = typer.Typer(no_args_is_help=True, help="Print what roles need.")


class Form(StrEnum):
    """What `--format` may be."""

    JSON = "json"
    CLOUDFORMATION = "cloudformation"
    TERRAFORM = "terraform"


def completed_purposes(incomplete: str) -> list[tuple[str, str]]:
    """Return the purposes, for the shell to complete."""
    from orchestrator.rights.purposes import PURPOSES

    return [(row.name, row.title) for row in PURPOSES.values() if row.name.startswith(incomplete)]


@app.command("document")
def print_document(
    purposes: Annotated[
        list[str] | None,
        typer.Option(
            "--purpose", "-p", help="What the role is for; may be repeated.", autocompletion=completed_purposes
        ),
    ] = None,
    *,
    form: Annotated[Form, typer.Option("--format", help="How to write it.")] = Form.JSON,
    account: Annotated[
        str | None, typer.Option("--account", metavar="ACCOUNT", help="The account that the role stands in.")
    ] = None,
    values: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Fill in a name; may be repeated.")
    ] = None,
    changes: Annotated[bool, typer.Option("--changes", help="Print what each version changed instead.")] = False,
) -> None:
    """Print trust and permission policies, as narrow as AWS allows.

    Names that this installation knows are filled in; the others, and every external id, are placeholders, parameters or
    variables. Without --purpose the purposes are listed.
    """
    from console.cli.exits import problems_of, usage
    from orchestrator.errors import Refused

    if changes:
        _print_changes()
        return
    if not purposes:
        _print_purposes()
        return
    try:
        made = _made(purposes, account, values or [])
    except Refused as error:
        raise usage(*problems_of(error)) from None
    if form is Form.CLOUDFORMATION:
        from console.roles.cloudformation import template

        typer.echo(template(made), nl=False)
    elif form is Form.TERRAFORM:
        from console.roles.terraform import configuration

        typer.echo(configuration(made), nl=False)
    else:
        emit(_as_json(made))


@app.command("purposes")
def list_purposes(*, output: Output = Format.TABLE) -> None:
    """List what documents there are."""
    from orchestrator.rights.purposes import PURPOSES

    if output is Format.TABLE:
        _print_purposes()
        return
    emit(json_document(purposes=[{"name": one.name, "title": one.title} for one in PURPOSES.values()]))


def _made(purposes: list[str], account: str | None, pairs: list[str]) -> list[RoleDocuments]:
    from console.roles.known import known, settings_of, unknown
    from orchestrator.rights.documents import documents
    from orchestrator.rights.purposes import purpose

    rows, values = [purpose(name) for name in dict.fromkeys(purposes)], settings_of(pairs)
    found = _installation(account)
    return [documents(row, unknown(row) if found is None else known(*found, row)).with_values(values) for row in rows]


def _installation(account: str | None) -> tuple[Settings, Registry, Account | None] | None:
    """Return settings, registry and the account that was named; None where nothing is installed and none was named."""
    from config.settings import SettingsError
    from console.cli.exits import CommandError
    from orchestrator.ledger import registry

    try:
        settled = context()
        with opened(settled) as ledger, ledger.read() as tx:
            return (
                settled.settings,
                registry.load(tx),
                None if account is None else registry.account(tx, account, field="--account"),
            )
    except (SettingsError, CommandError):
        # Documents are wanted before there is an installation, too.
        if account is not None:
            raise
        return None


def _as_json(made: list[RoleDocuments]) -> dict[str, Any]:
    from orchestrator.rights.parameters import filled, named_in

    shown = [one.shown() for one in made]
    parameters = [{"name": one.name, "help": one.help, "secret": one.is_secret} for one in named_in(shown)]
    return json_document(documents=filled(shown, lambda one: f"<{one.name}>"), parameters=parameters)


def _print_purposes() -> None:
    from orchestrator.rights.purposes import PURPOSES

    table(("purpose", "for"), [(one.name, one.title) for one in PURPOSES.values()])


def _print_changes() -> None:
    from orchestrator.rights.changes import CHANGES

    entries = [
        {
            "version": one.version,
            "date": one.date,
            "why": one.why,
            "added": {purpose: list(actions) for purpose, actions in one.added.items()},
            "removed": {purpose: list(actions) for purpose, actions in one.removed.items()},
            "narrowed": list(one.narrowed),
        }
        for one in reversed(CHANGES)
    ]
    emit(json_document(changes=entries))
