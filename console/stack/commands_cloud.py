"""`daywork cloud`: the embedded cloud of this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from console.output import Format, document, emit, note, table
from console.stack.commands import StateDir, reach
from console.stack.layout import Layout

app = typer.Typer(no_args_is_help=True, help="The embedded cloud of this machine.")


@app.callback()
def _group() -> None:
    """Keep `seed` a command of its own beside those that may come."""


@app.command()
def seed(
    accounts: Annotated[int, typer.Option(min=0, max=48, help="Production accounts beside the backup account.")] = 2,
    instances: Annotated[int, typer.Option(min=0, max=500, help="Instances in each of them.")] = 2,
    size: Annotated[int, typer.Option(min=1, max=64, help="Nominal size of each volume in GiB.")] = 1,
    output: Annotated[
        Format, typer.Option("--output", "-o", help="table for people, json for programs.")
    ] = Format.JSON,
    state_dir: StateDir = None,
) -> None:
    """Make accounts, roles, networks, a repository and instances with real file systems, and register them."""
    from console.stack.embedded import fill

    layout = Layout.of(state_dir)
    reach(layout)
    made = fill(layout, accounts=accounts, instances=instances, size_gib=size)
    note(f"{len(made['registry']['accounts'])} accounts are registered.")
    if output is Format.JSON:
        emit(document(**made))
    else:
        rows = [
            (one["account"], one["region"], one["id"], one["name"], len(one["volumes"])) for one in made["instances"]
        ]
        table(("account", "region", "instance", "name", "volumes"), rows, right=("volumes",))
