"""`daywork policy`: what starts sessions by itself, and how it goes. Showing is a module beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli.common import Output, opened
from console.cli.exits import CommandError, Exit, problems_of, usage
from console.cli.policy_show import completed_policies, list_policies, next_runs, show
from console.cli.start import Timeout, Wait, run_policy
from console.cli.who import who
from console.output import Format, cell, document, emit, note, table
from console.text import moment

if TYPE_CHECKING:
    from orchestrator.scheduler.asking import Applied

app = typer.Typer(no_args_is_help=True, help="Let sessions start by themselves.")

Name = Annotated[str, typer.Argument(metavar="POLICY", help="A policy's name.", autocompletion=completed_policies)]


@app.command()
def apply(
    file: Annotated[
        Path,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help="Policies as YAML (several with --- between them) or JSON; - reads stdin.",
            allow_dash=True,
        ),
    ],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and compare only.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Add or replace policies, all of a file or none; those it does not name stay.

    All mistakes are told at once. A new version is used from the next run on: sessions that run keep what they began
    with. With a changed schedule a policy counts from now.
    """
    from console import policies
    from orchestrator.errors import Refused
    from orchestrator.scheduler import asking

    try:
        found = policies.read(str(file))
    except Refused as error:
        raise usage(*problems_of(error), title="the policies cannot be read") from None
    with opened() as ledger:
        try:
            applied = asking.apply(ledger, found, by=who(), dry_run=dry_run)
        except Refused as error:
            raise CommandError(Exit.REFUSED, *problems_of(error), title="these policies would not run") from None
    if output is Format.JSON:
        emit(document(applied=not dry_run, policies=[_entry(one) for one in applied]))
        return
    table(
        ("policy", "change", "version", "runs next"),
        [(one.policy.name, cell(one.change), one.version, _next(one)) for one in applied],
        right=("version",),
    )
    for one in applied:
        if stored := one.policy.stored_only():
            note(f"{one.policy.name}: stored, not yet carried out: {', '.join(stored)}")
    if dry_run:
        note("Nothing was changed (--dry-run).")


def _entry(one: Applied) -> dict[str, Any]:
    from agent.protocol import format_time

    return {
        "name": one.policy.name,
        "change": one.change,
        "version": one.version,
        "enabled": one.enabled,
        "nextRun": None if one.next_at is None else format_time(one.next_at),
        "notYetCarriedOut": one.policy.stored_only(),
    }


def _next(one: Applied) -> str:
    if not one.enabled:
        return "switched off"
    return "by hand only" if one.next_at is None else moment(one.next_at)


app.command("list")(list_policies)
app.command()(show)
app.command("next")(next_runs)


@app.command()
def run(policy: Name, *, wait: Wait = False, timeout: Timeout = None, output: Output = Format.TABLE) -> None:
    """Start a policy's session now, also of one that is switched off. Refused while a session of it runs."""
    run_policy(policy, wait=wait, timeout=timeout, output=output)


@app.command()
def enable(policy: Name, *, output: Output = Format.TABLE) -> None:
    """Let a policy run by its schedule, from now on; what passed while it was off is not made up for."""
    from orchestrator.scheduler import asking

    with opened() as ledger:
        changed = asking.enable(ledger, policy)
    _tell(policy, "enabled", changed=changed, output=output)


@app.command()
def disable(policy: Name, *, output: Output = Format.TABLE) -> None:
    """Keep a policy from running by its schedule. Its running session goes on; runs that wait are dropped."""
    from orchestrator.ledger import schedules

    with opened() as ledger, ledger.write() as tx:
        changed = schedules.disable(tx, policy)
    _tell(policy, "disabled", changed=changed, output=output)


@app.command()
def delete(policy: Name, *, output: Output = Format.TABLE) -> None:
    """Forget a policy. Its sessions and restore points stay."""
    from orchestrator.ledger import schedules

    with opened() as ledger, ledger.write() as tx:
        schedules.delete(tx, policy)
    _tell(policy, "deleted", changed=True, output=output)


def _tell(policy: str, what: str, *, changed: bool, output: Format) -> None:
    if output is Format.JSON:
        emit(document(policy=policy, state=what, changed=changed))
    else:
        note(f"{policy} is {what}." if changed else f"{policy} was {what} already.")
