"""`daywork doctor`: whether this installation is well, and what to do where it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli.common import Output, context, opened
from console.cli.exits import CommandError, Exit
from console.output import Format, cell, console, document, emit, put

if TYPE_CHECKING:
    from console.doctor.findings import Finding

_MARKS = {"ok": ("✓", "green"), "note": ("·", "cyan"), "warning": ("!", "yellow"), "failed": ("✗", "red")}
_SKIPPED = ("-", "bright_black")

#: What is unreachable ends with 9; a right or a thing that is missing in AWS is a refusal.
_UNREACHABLE = frozenset({"ledger", "broker"})


def doctor(
    *,
    offline: Annotated[bool, typer.Option("--offline", help="Ask AWS nothing.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Check settings, ledger, broker, Celery workers, control bucket, report queue and roles. Changes nothing.

    Ends with 9 when ledger or broker do not work, with 8 when AWS refuses something, else with 0.
    """
    from contextlib import ExitStack

    from console.doctor.examine import examine
    from console.doctor.findings import State, failed

    settled = context()
    found: list[Finding] = []

    def tell(one: Finding) -> None:
        found.append(one)
        if output is Format.TABLE:
            _print(one)

    with ExitStack() as stack:
        ledger = None
        try:
            ledger = stack.enter_context(opened(settled))
        except CommandError as error:
            problem = error.problems[0]
            tell(failed("ledger", f"{problem.reason}: {problem.value}", problem.remedy))
        for one in examine(settled, ledger, offline=offline):
            tell(one)
    wrong = {one.part for one in found if one.state is State.FAILED}
    if output is Format.JSON:
        emit(document(ok=not wrong, findings=[one.shown() for one in found]))
    if wrong:
        raise typer.Exit(Exit.UNREACHABLE if wrong & _UNREACHABLE else Exit.REFUSED)


def _print(one: Any) -> None:
    from rich.table import Table
    from rich.text import Text

    screen = console()
    glyph, colour = _MARKS.get(one.state, _SKIPPED)
    if not screen.encoding.startswith("utf"):
        glyph = str(one.state)
    line = Table.grid(padding=(0, 1, 0, 0))
    line.add_column(width=max(1, len(glyph)))
    line.add_column(width=9)
    line.add_column(overflow="fold")
    words = cell(one.text)
    if one.remedy:
        words.append("\n").append(cell(one.remedy, "bright_black"))
    line.add_row(Text(glyph, style=colour), Text(one.part, style="bright_black"), words)
    put(screen, line)
