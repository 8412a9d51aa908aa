"""`daywork restore-point`: what can be restored, as the ledger knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli.common import Output, opened
from console.cli.restore_point_extract import extract
from console.cli.restore_point_files import files
from console.cli.verify import verify
from console.output import Format, cell, document, emit, fields, note, table
from console.text import moment, size

if TYPE_CHECKING:
    from orchestrator.ledger.points import RestorePoint

app = typer.Typer(no_args_is_help=True, help="Look at what can be restored.")

_GIB = 1024**3


@app.command("list")
def list_points(
    *,
    resource: Annotated[
        str | None, typer.Option("--resource", metavar="ACCOUNT/REGION/ID", help="Only this resource's.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="How many, the newest first.")] = 50,
    output: Output = Format.TABLE,
) -> None:
    """List restore points, the newest first."""
    from console.cli.exits import Problem, usage
    from console.cli.request import parse_resource
    from orchestrator.ledger import points, registry

    wanted = None if resource is None else parse_resource(resource)
    if isinstance(wanted, Problem):
        raise usage(wanted)
    with opened() as ledger, ledger.read() as tx:
        names = {account.id: account.name for account in registry.load(tx).accounts}
        if wanted is None:
            found = points.recent(tx, limit)
        else:
            account = registry.account(tx, wanted["account"], field="--resource").id
            of = (account, wanted["region"], wanted["id"])
            both = [*points.of_resource(tx, *of), *points.copies(tx, *of)]
            found = sorted(both, key=lambda one: one.created_at, reverse=True)[:limit]
    if output is Format.JSON:
        emit(document(restorePoints=[_document(one) for one in found]))
        return
    if not found:
        note("No restore points yet.")
        return
    table(
        ("restore point", "made", "kind", "status", "account", "region", "resource", "size", "repository"),
        [
            (
                one.id,
                moment(one.created_at),
                one.kind,
                cell(one.status),
                names.get(one.account, one.account),
                one.region,
                one.resource_id,
                size(_bytes(one)),
                one.repository,
            )
            for one in found
        ],
        right=("size",),
    )


@app.command()
def show(
    point: Annotated[str, typer.Argument(metavar="RESTORE-POINT", help="A restore point's id.")],
    *,
    output: Output = Format.TABLE,
) -> None:
    """Show one restore point and its volumes."""
    from orchestrator.ledger import points
    from orchestrator.records import point_record

    with opened() as ledger, ledger.read() as tx:
        found = points.get(tx, point)
    if output is Format.JSON:
        emit(document(restorePoint=_document(found) | {"record": point_record(found)}))
        return
    fields(
        [
            ("restore point", found.id),
            ("made", moment(found.created_at)),
            ("kind", found.kind),
            ("status", cell(found.status)),
            ("resource", f"{found.account}/{found.region}/{found.resource_id}"),
            ("repository", found.repository),
            ("parent", found.parent),
            ("session", found.session or None),
            ("consistency", found.record.get("consistency")),
            ("size", size(_bytes(found))),
        ]
    )
    volumes = found.record.get("volumes") or []
    if volumes:
        typer.echo()
        table(
            ("volume", "device", "size", "type", "encrypted"),
            [
                (
                    one.get("volumeId"),
                    one.get("device"),
                    size(int(one.get("sizeGib", 0)) * _GIB),
                    one.get("type"),
                    "yes" if one.get("encrypted") else "no",
                )
                for one in volumes
            ],
            right=("size",),
        )


app.command("verify")(verify)
app.command("files")(files)
app.command("extract")(extract)


def _bytes(point: RestorePoint) -> int:
    return sum(int(one.get("sizeGib", 0)) for one in point.record.get("volumes") or []) * _GIB


def _document(point: RestorePoint) -> dict[str, Any]:
    from agent.protocol import format_time

    return {
        "id": point.id,
        "account": point.account,
        "region": point.region,
        "resource": point.resource_id,
        "repository": point.repository,
        "sessionId": point.session or None,
        "kind": point.kind,
        "status": point.status,
        "parent": point.parent,
        "createdAt": format_time(point.created_at),
        "sizeBytes": _bytes(point),
    }
