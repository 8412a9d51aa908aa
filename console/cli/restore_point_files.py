"""`daywork restore-point files`: looking into a restore point from this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from console.cli.common import Output
from console.cli.file_listing import show_files, show_systems
from console.cli.image import Point, Volumes, image
from console.cli.measures import byte_size, nanoseconds
from console.output import Format


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
        at_least=byte_size("--larger", larger),
        at_most=byte_size("--smaller", smaller),
        since=nanoseconds("--newer", newer),
        until=nanoseconds("--older", older),
    )
    is_search = wanted != Wanted()
    with image(point, volume) as found:
        if path is None and not is_search:
            show_systems([system_document(one) for one in found], output)
            return
        listing = listed(found, parse(path or "/"), wanted if is_search else None, limit)
    rows = [row_document(one) for one in listing.rows]
    show_files(rows, listing.problems, output, is_complete=not listing.has_more)
