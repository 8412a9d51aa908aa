"""What every command prints with: documents and tables on stdout, notes on stderr.

Colours and bars only where the stream is a terminal; rich's own guesses (`FORCE_COLOR`) are not asked.
Text never passes as markup: every cell is a `Text` of characters that were made harmless.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import IO, TYPE_CHECKING, Any

from console.text import plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

SCHEMA_VERSION = 1

#: Wide enough that nothing is folded when a table goes into a pipe.
_PIPE_WIDTH = 4000

#: One calm colour for each word that stands for a state.
COLOURS: Mapping[str, str] = {
    "success": "green",
    "complete": "green",
    "added": "green",
    "ok": "green",
    "warning": "yellow",
    "changed": "yellow",
    "stopping": "yellow",
    "stopped": "yellow",
    "failed": "red",
    "incomplete": "red",
    "running": "cyan",
    "ready": "cyan",
    "pending": "bright_black",
    "skipped": "bright_black",
    "unchanged": "bright_black",
}


class Format(StrEnum):
    """What `--output` may be."""

    TABLE = "table"
    JSON = "json"


def document(**values: Any) -> dict[str, Any]:
    """Return a JSON document of ours."""
    return {"schemaVersion": SCHEMA_VERSION, **values}


def emit(value: Mapping[str, Any]) -> None:
    """Print one JSON document. ASCII only: a terminal may take raw C1 characters as commands."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")
    sys.stdout.flush()


def emit_line(value: Mapping[str, Any], stream: IO[str] | None = None) -> None:
    """Print one JSON document on one line."""
    stream = stream or sys.stdout
    stream.write(json.dumps(value, separators=(",", ":")) + "\n")
    stream.flush()


def note(text: str) -> None:
    """Tell a person something, on stderr."""
    sys.stderr.write(plain(text) + "\n")
    sys.stderr.flush()


def is_lively(stream: IO[str]) -> bool:
    """Whether a stream is a terminal that can redraw lines."""
    return stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb", "unknown")


def console(stream: IO[str] | None = None) -> Console:
    """Return a rich console for a stream (stdout)."""
    from rich.console import Console

    stream = stream or sys.stdout
    terminal = stream.isatty()
    return Console(
        file=stream,
        force_terminal=terminal,
        color_system="auto" if terminal else None,
        width=None if terminal else _PIPE_WIDTH,
        markup=False,
        emoji=False,
        highlight=False,
        legacy_windows=False,
    )


def cell(value: object, style: str = "") -> Text:
    """Return a value as harmless text; states get their colour."""
    from rich.text import Text

    shown = "" if value is None else plain(value)
    return Text(shown, style=style or COLOURS.get(shown.replace(" ", "-"), ""))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """Print aligned columns on stdout. Columns named in `right` are aligned there; a `Text` keeps its own style."""
    from rich.table import Table
    from rich.text import Text

    screen = console()
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bright_black", show_edge=False)
    for name in columns:
        shown.add_column(name.upper(), justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        shown.add_row(*[one if isinstance(one, Text) else cell(one) for one in row])
    put(screen, shown)


def fields(pairs: Iterable[tuple[str, object]]) -> None:
    """Print names and values under each other on stdout; what is None is left out."""
    from rich.table import Table
    from rich.text import Text

    shown = Table.grid(padding=(0, 2, 0, 0))
    shown.add_column(style="bright_black")
    shown.add_column(overflow="fold")
    for name, value in pairs:
        if value is not None:
            shown.add_row(Text(name), value if isinstance(value, Text) else cell(value))
    put(console(), shown)


def put(screen: Console, what: Any) -> None:
    """Print anything rich can show; in a pipe without the blanks that rich fills lines with."""
    if screen.is_terminal:
        screen.print(what)
        return
    with screen.capture() as captured:
        screen.print(what)
    screen.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
    screen.file.flush()
