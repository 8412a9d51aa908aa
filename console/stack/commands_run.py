"""`daywork run`: one process of the control plane, for compose, systemd and Kubernetes."""

from __future__ import annotations

from typing import Annotated

import typer

from console.cli.exits import CommandError, Exit, Problem, usage
from console.stack import run

app = typer.Typer(
    no_args_is_help=True,
    help="Be one process, with settings from DAYWORK_* variables or the file that DAYWORK_CONFIG names.",
)


@app.command("celery-worker")
def celery_worker(
    name: Annotated[str, typer.Option(help="Its name in Flower, before the host's.")] = "steps",
    queues: Annotated[str, typer.Option(help="Queues, with commas: steps, control, periodic.")] = "steps,control",
    concurrency: Annotated[int, typer.Option(min=1, help="Steps that are carried out at the same time.")] = 2,
) -> None:
    """Carry steps out."""
    try:
        run.celery_worker(name, [one.strip() for one in queues.split(",")], concurrency)
    except ValueError as error:
        raise usage(Problem(field="--queues", value=queues, reason=str(error))) from None
    except run.Crashed as error:
        again = "Its log says which. Start it again, as compose and systemd do: it goes on with what it was at"
        raise CommandError(Exit.INTERNAL, Problem(reason=str(error), remedy=again)) from None


@app.command()
def beat() -> None:
    """Say when periodic work is due; one process for each installation."""
    run.beat()


@app.command()
def listener() -> None:
    """Take the agents' reports; one process for each installation."""
    run.listener()


@app.command()
def intake() -> None:
    """Take session requests from other programs' queues."""
    run.intake()


@app.command()
def flower() -> None:
    """Show Celery's tasks and workers on a page; on this machine only unless DAYWORK_FLOWER_ADDRESS says otherwise."""
    run.flower()
