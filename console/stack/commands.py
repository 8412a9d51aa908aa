"""`daywork up`, `down` and `env`: the stack of this machine."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from config import logging
from console.cli.exits import CommandError, Exit, Problem
from console.output import Format, console, document, emit, fields, note
from console.stack import context, down as ending, up as starting
from console.stack.layout import Layout
from console.stack.plan import LedgerKind, Ports, PortTaken, make_plan
from console.stack.supervisor import NotStarted

StateDir = Annotated[
    Path | None,
    typer.Option(
        "--state-dir", metavar="DIRECTORY", help="Where state lives; DAYWORK_STATE_DIR or .daywork if not given."
    ),
]


def up(  # noqa: PLR0917 - typer's options, always given by name
    state_dir: StateDir = None,
    detach: Annotated[  # noqa: FBT002 - typer's way of a switch
        bool, typer.Option("--detach", "-d", help="Return when all is ready; it goes on by itself.")
    ] = False,
    ledger: Annotated[
        LedgerKind | None,
        typer.Option(help="Keep the ledger in a file, or in a PostgreSQL that the stack runs; as before if not given."),
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Steps that are carried out at the same time.")] = 2,
    cloud_port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port of the embedded cloud.")] = None,
    flower_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, envvar="DAYWORK_FLOWER_PORT", help="Port of Flower; 5555 or a free one."),
    ] = None,
    worker_boot: Annotated[float, typer.Option(min=0, help="Seconds that an emulated instance is pending.")] = 0.5,
    worker_shutdown: Annotated[float, typer.Option(min=0, help="Seconds that one is shutting down.")] = 0.5,
    profile_delay: Annotated[
        float, typer.Option(min=0, help="Seconds until EC2 sees a new instance profile; about ten in AWS.")
    ] = 0.0,
) -> None:
    """Start everything on this machine, with an embedded cloud, until Ctrl-C or `daywork down`."""
    layout = Layout.of(state_dir)
    logging.set_up()
    try:
        starting.check(layout, ledger)
        plan = make_plan(
            layout,
            Ports(cloud=cloud_port, flower=flower_port),
            ledger=ledger,
            concurrency=concurrency,
            worker_boot=worker_boot,
            worker_shutdown=worker_shutdown,
            profile_delay=profile_delay,
        )
        if detach:
            _tell(starting.detached(layout, plan), detached=True)
        else:
            starting.in_foreground(layout, plan, lambda started: _tell(started, detached=False))
    except NotStarted as error:
        raise _not_started(*[Problem(reason=reason) for reason in error.reasons]) from None
    except PortTaken as error:
        raise _not_started(Problem(reason=str(error), remedy="Name another one, or 0 for a free one")) from None


def down(state_dir: StateDir = None) -> None:
    """End the stack of this machine; what it knows stays in its state directory."""
    layout = Layout.of(state_dir)
    try:
        ran = ending.end(layout)
    except ending.NotEnded as error:
        raise CommandError(
            Exit.INTERNAL, Problem(reason=str(error), remedy=f"See {layout.logs}"), title="the stack did not end"
        ) from None
    note(f"The stack in {layout.root} has ended." if ran else f"No stack ran in {layout.root}.")


def env(
    account: Annotated[
        str | None, typer.Option(help="An account of the embedded cloud, by id or registered name; the backup account.")
    ] = None,
    output: Annotated[
        Format, typer.Option("--output", "-o", help="table for a shell's eval, json for programs.")
    ] = Format.TABLE,
    broker: Annotated[  # noqa: FBT002 - typer's way of a switch
        bool, typer.Option("--broker", help="Print the broker's URL alone, password included: for redis-cli -u.")
    ] = False,
    ledger: Annotated[  # noqa: FBT002 - typer's way of a switch
        bool, typer.Option("--ledger", help="Print the ledger's URL alone, password included: for psql or sqlite3.")
    ] = False,
    state_dir: StateDir = None,
) -> None:
    """Print what `aws` and boto3 need to look into the embedded cloud: eval "$(daywork env)"."""
    from console.stack.embedded import administrator

    layout = Layout.of(state_dir)
    if broker:
        reach(layout)
        typer.echo(context.load().settings.broker_url)
        return
    if ledger:
        reach(layout)
        # as the databases' own tools read it, without the name of a Python driver
        typer.echo(context.load().settings.ledger_url.replace("+psycopg", "", 1).removeprefix("sqlite:///"))
        return
    variables = administrator(layout, account)
    if output is Format.JSON:
        emit(document(environment=variables))
        return
    for name, value in variables.items():
        typer.echo(f"export {name}={shlex.quote(value)}")
    # a session token of another life would be sent along with these keys
    typer.echo("unset AWS_SESSION_TOKEN AWS_PROFILE")


def _not_started(*problems: Problem) -> CommandError:
    return CommandError(Exit.REFUSED, *problems, title="the stack was not started")


def _tell(started: starting.Started, *, detached: bool) -> None:
    layout = started.layout
    screen = console()
    screen.print("Daywork is ready.", style="bold")
    fields(
        [
            ("Flower", started.addresses["flower"]),
            ("cloud", f"{started.addresses['cloud']}  (an AWS endpoint, this machine only)"),
            ("broker", started.addresses["broker"]),
            ("ledger", started.addresses.get("ledger")),
            ("state", layout.root),
            ("logs", layout.logs),
        ]
    )
    if started.unfinished:
        note(
            f"{started.unfinished} sessions of an earlier run have not ended. The emulated cloud is a new one: their "
            "accounts and workers are gone, so they end as failed or warning by themselves."
        )
    note(
        "The emulated cloud starts empty: its accounts live as long as this stack. Ledger and broker keep their state."
    )
    where = "" if layout == Layout.of() else f" --state-dir {shlex.quote(str(layout.root))}"
    if where:
        screen.print(f"Other commands find it with: export DAYWORK_STATE_DIR={shlex.quote(str(layout.root))}")
    screen.print("Next: daywork cloud seed, then daywork account list")
    screen.print(f"End:  daywork down{where}" if detached else "End:  Ctrl-C", soft_wrap=True)


def reach(layout: Layout) -> None:
    """Make the commands that follow in this process use this state directory."""
    os.environ["DAYWORK_STATE_DIR"] = str(layout.root)
