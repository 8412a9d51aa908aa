"""`daywork cloud`: the embedded cloud of this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from console.cli.exits import CommandError, Exit, Problem
from console.output import Format, document, emit, note, table
from console.stack.commands import StateDir, reach
from console.stack.layout import Layout

app = typer.Typer(no_args_is_help=True, help="The embedded cloud of this machine.")


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


@app.command(hidden=True)
def prepare(
    cloud: Annotated[str, typer.Option(help="Endpoint of an embedded cloud that runs on this machine.")],
    broker: Annotated[str, typer.Option(help="URL of a broker without a password.")],
    flower_port: Annotated[int, typer.Option(help="Port that Flower shall listen on.")] = 5555,
    state_dir: StateDir = None,
) -> None:
    """Do what `up` does between starting the cloud and starting the control plane; for containers."""
    from console.stack.prepare import NotPrepared, Surroundings, prepare as do

    layout = Layout.of(state_dir)
    try:
        do(layout, Surroundings(broker_url=broker, cloud_url=cloud, flower_port=flower_port))
    except NotPrepared as error:
        raise CommandError(Exit.REFUSED, Problem(reason=str(error)), title="not prepared") from None
    note(f"Settings are in {layout.settings}.")
