"""`daywork account history`: how the registry came to be what it is."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from console.cli.common import Output, opened
from console.output import Format, document, emit, note, table
from console.text import moment


def history(
    version: Annotated[
        int | None, typer.Option("--version", metavar="NUMBER", help="Show the whole registry as it was then.", min=1)
    ] = None,
    *,
    limit: Annotated[int, typer.Option("--limit", help="How many versions, the newest first.", min=1)] = 20,
    output: Output = Format.TABLE,
) -> None:
    """List the versions of the registry: when, who, what changed. Sessions keep what they were planned with."""
    from agent.protocol import format_time
    from console import accounts
    from orchestrator.ledger import registry

    with opened() as ledger, ledger.read() as tx:
        if version is not None:
            _show(version, accounts.document_of(registry.as_of(tx, version)), output)
            return
        found = registry.history(tx, limit)
    if output is Format.JSON:
        emit(
            document(
                versions=[
                    {
                        "version": one.version,
                        "appliedAt": format_time(one.applied_at),
                        "appliedBy": one.applied_by,
                        "changes": one.changes,
                    }
                    for one in found
                ]
            )
        )
        return
    if not found:
        note("The registry is empty. daywork account apply -f accounts.yml fills it.")
        return
    table(
        ("version", "applied", "by", "changes"),
        [(one.version, moment(one.applied_at), one.applied_by, "; ".join(map(_worded, one.changes))) for one in found],
        right=("version",),
    )


def _show(version: int, registry: dict[str, Any], output: Format) -> None:
    if output is Format.JSON:
        emit(document(version=version, **registry))
        return
    import yaml

    typer.echo(yaml.safe_dump(registry, sort_keys=False, allow_unicode=True), nl=False)


def _worded(change: dict[str, Any]) -> str:
    kind = {"accounts": "account", "repositories": "repository"}.get(change["kind"], change["kind"])
    fields = f" ({', '.join(change['fields'])})" if change.get("fields") else ""
    return f"{kind} {change['name']} {change['change']}{fields}"
