"""Every command of `daywork`, in the order of its help. A row's module is imported when its command is used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

_SESSIONS, _INSTALLATION, _MACHINE = "Backups and restores", "This installation", "This machine"


@dataclass(frozen=True)
class Row:
    """One command: its group in the help, its one line there, and where it is.

    `target` is `module:attribute`. The attribute is a `typer.Typer` (a command with commands of its own), or a function
    that typer can read as one command.
    """

    panel: str
    help: str
    target: str


COMMANDS: Mapping[str, Row] = MappingProxyType(
    {
        "session": Row(_SESSIONS, "Start, watch and stop sessions.", "console.cli.session:app"),
        "policy": Row(_SESSIONS, "Let sessions start by themselves.", "console.cli.policy:app"),
        "plan": Row(_SESSIONS, "Show what a session would do, without starting it.", "console.cli.plan:plan"),
        "restore-point": Row(_SESSIONS, "Look at what can be restored.", "console.cli.restore_point:app"),
        "index": Row(_SESSIONS, "Search what file systems held.", "console.cli.index:app"),
        "unprotected": Row(_SESSIONS, "Find what nobody backs up.", "console.cli.unprotected:unprotected"),
        "worker": Row(_INSTALLATION, "Look at the workers that live now.", "console.cli.worker:app"),
        "account": Row(_INSTALLATION, "Register accounts, roles and repositories.", "console.cli.account:app"),
        "pause": Row(_INSTALLATION, "Let no new session start.", "console.cli.pause:pause"),
        "resume": Row(_INSTALLATION, "Let sessions start again.", "console.cli.pause:resume"),
        "ledger": Row(_INSTALLATION, "Migrate, back up and restore the ledger.", "console.cli.ledger:app"),
        "repository": Row(_INSTALLATION, "Enter what repositories hold.", "console.cli.repository:app"),
        "role": Row(_INSTALLATION, "Print the documents that roles need.", "console.cli.role:app"),
        "sweep": Row(_INSTALLATION, "Find and remove what nobody owns.", "console.cli.sweep:sweep"),
        "doctor": Row(_INSTALLATION, "Check whether this installation is well.", "console.cli.doctor:doctor"),
        "config": Row(_INSTALLATION, "Look at the settings.", "console.cli.config:app"),
        "schema": Row(_INSTALLATION, "Print the schemas of what this program reads.", "console.cli.schema:app"),
        "up": Row(_MACHINE, "Start everything on this machine.", "console.stack.commands:up"),
        "down": Row(_MACHINE, "End what `up` started.", "console.stack.commands:down"),
        "env": Row(_MACHINE, "Let aws and boto3 look into the embedded cloud.", "console.stack.commands:env"),
        "cloud": Row(_MACHINE, "Fill the embedded cloud.", "console.stack.commands_cloud:app"),
        "run": Row(_MACHINE, "Be one process of the control plane.", "console.stack.commands_run:app"),
    }
)


class Commands(TyperGroup):
    """The table as a command: help and completion read the rows alone, running a command imports its module."""

    def __init__(self, **options: Any) -> None:
        """Put a place-holder for each row; `resolve_command` replaces it."""
        super().__init__(**options)
        for name, row in COMMANDS.items():
            self.add_command(TyperCommand(name, help=row.help, short_help=row.help), name)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        """Return the command that was asked for, imported."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command if name is None else load(name), rest

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - interface
        """Write the rows under the names of their groups."""
        panels: dict[str, list[tuple[str, str]]] = {}
        for name, row in COMMANDS.items():
            panels.setdefault(row.panel, []).append((name, row.help))
        for panel, rows in panels.items():
            with formatter.section(panel):
                formatter.write_dl(rows, col_spacing=4)


def load(name: str) -> Any:
    """Import a row's command."""
    module, _, attribute = COMMANDS[name].target.partition(":")
    found = getattr(importlib.import_module(module), attribute)
    # Help is printed plain: rich's would take three times as long to come.
    if isinstance(found, typer.Typer):
        found.rich_markup_mode = None
        command: Any = typer.main.get_group(found)
    else:
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(name)(found)
        command = typer.main.get_command(single)
    command.name = name
    return command


def root() -> Any:
    """Return the whole table as one command."""
    app = typer.Typer(
        cls=Commands,
        name="daywork",
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Backup and restore on AWS, by workers that live as long as one job.",
        epilog="Every command has --help. Exit codes: 0 ok, 1 internal error, 2 usage, 3 session warning, 4 failed, "
        "5 stopped, 6 wait timed out, 7 not found, 8 refused, 9 broker or ledger unreachable, 130 Ctrl-C.",
    )
    app.callback()(_root)
    return typer.main.get_command(app)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer's form of a callback
    if wanted:
        from importlib.metadata import version

        typer.echo(version("daywork"))
        raise typer.Exit


def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    del version
