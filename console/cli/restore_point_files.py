"""`daywork restore-point files`: looking into a restore point from this machine."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from console.cli.common import Output
from console.cli.exits import Problem, usage
from console.cli.file_listing import show_files, show_systems
from console.cli.image import Point, Volumes, image
from console.output import Format

_UNITS = {"k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_SECOND = 10**9


def files(
    point: Point,
    path: Annotated[
        str | None, typer.Argument(metavar="[PATH]", help="A directory or file; without it the file systems.")
    ] = None,
    *,
    search: Annotated[
        str | None,
        typer.Option("--search", metavar="GLOB", help="Find names below PATH; with a slash: whole paths."),
    ] = None,
    volume: Volumes = None,
    larger: Annotated[str | None, typer.Option("--larger", metavar="SIZE", help="At least so large: 10M.")] = None,
    smaller: Annotated[str | None, typer.Option("--smaller", metavar="SIZE", help="At most so large.")] = None,
    newer: Annotated[str | None, typer.Option("--newer", metavar="DATE", help="Changed since: 2026-06-01.")] = None,
    older: Annotated[str | None, typer.Option("--older", metavar="DATE", help="Changed before.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000_000, help="How many at most.")] = 10_000,
    output: Output = Format.TABLE,
) -> None:
    r"""Look at the files of a restore point: its file systems, a directory, or what a search finds.

    Bytes of names that are no text are shown as \xNN and a backslash as \\, and may be given so.
    """
    from agent.files.listing import listed, row_document, system_document
    from agent.files.walking import Wanted, parse

    wanted = Wanted(
        pattern=None if search is None else parse(search),
        at_least=_size("--larger", larger),
        at_most=_size("--smaller", smaller),
        since=_date("--newer", newer),
        until=_date("--older", older),
    )
    is_search = wanted != Wanted()
    with image(point, volume) as found:
        if path is None and not is_search:
            show_systems([system_document(one) for one in found], output)
            return
        listing = listed(found, parse(path or "/"), wanted if is_search else None, limit)
    rows = [row_document(one) for one in listing.rows]
    show_files(rows, listing.problems, output, is_complete=not listing.has_more)


def _size(field: str, text: str | None) -> int | None:
    if text is None:
        return None
    number, unit = (text[:-1], _UNITS[text[-1].lower()]) if text[-1:].lower() in _UNITS else (text, 1)
    if not number.isdigit():
        raise usage(Problem(field=field, value=text, reason="this is not a size", remedy="Write 4096, 64K, 10M or 1G"))
    return int(number) * unit


def _date(field: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise usage(
            Problem(
                field=field, value=text, reason="this is not a date", remedy="Write 2026-06-01 or 2026-06-01T08:00Z"
            )
        ) from None
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()) * _SECOND
