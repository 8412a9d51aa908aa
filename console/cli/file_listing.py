"""File systems and files of an image as tables, whoever has read them: this machine or a worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import typer

from console.cli.exits import Exit
from console.output import Format, document, emit, note, table
from console.text import moment, size

_LETTERS = {"file": "-", "directory": "d", "link": "l", "fifo": "p", "socket": "s", "character": "c", "block": "b"}


def show_systems(found: Sequence[Mapping[str, Any]], output: Format) -> None:
    """Show what an image holds, from documents of `agent.files.listing`."""
    if output is Format.JSON:
        emit(document(fileSystems=list(found)))
        return
    table(
        ("file system", "kind", "size", "label", "note"),
        [
            (one["name"], one["kind"], size(one["sizeBytes"]), one["label"], one["reason"] or "; ".join(one["notes"]))
            for one in found
        ],
        right=("size",),
    )


def show_files(
    rows: Sequence[Mapping[str, Any]], problems: Sequence[str], output: Format, *, is_complete: bool
) -> None:
    """Show files. Raises `typer.Exit` with the code of a warning when something could not be read."""
    if output is Format.JSON:
        emit(document(files=list(rows), problems=list(problems), isComplete=is_complete))
    else:
        several = len({one["fileSystem"] for one in rows}) > 1
        columns = ("mode", "owner", "size", "changed", "path")
        table(
            ("file system", *columns) if several else columns,
            [(one["fileSystem"], *_line(one)) if several else _line(one) for one in rows],
            right=("size",),
        )
        for problem in problems:
            note(problem)
        if not is_complete:
            note(f"There is more than {len(rows)}: see it with --limit, or search for less.")
    if problems:
        raise typer.Exit(Exit.WARNING)


def _line(row: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    return (
        f"{_LETTERS.get(row['kind'], '?')}{row['mode']}",
        f"{row['uid']}:{row['gid']}",
        size(row["sizeBytes"]) if row["kind"] == "file" else "",
        moment(row["modifiedAt"]),
        row["path"] if row["target"] is None else f"{row['path']} -> {row['target']}",
    )
