"""`daywork restore-point extract`: taking files out of a restore point, into a directory or an archive."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.cli.common import Output
from console.cli.exits import CommandError, Exit, Problem, usage
from console.cli.image import Point, Volumes, image
from console.output import Format, document, emit, note
from console.text import size

if TYPE_CHECKING:
    from agent.files.extracting import Chosen, Taken
    from agent.files.opening import Found


def extract(
    point: Point,
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Files and directories, whole trees of them.")],
    *,
    to: Annotated[Path | None, typer.Option("--to", metavar="DIR", help="Write them below this directory.")] = None,
    archive: Annotated[
        Path | None, typer.Option("--archive", metavar="FILE", help="Write them into this new tar file; - is stdout.")
    ] = None,
    volume: Volumes = None,
    output: Output = Format.TABLE,
) -> None:
    """Take files out of a restore point, with owners (as root), modes, times and links. Overwrites nothing.

    Ends with 3 when some of them could not be read or written; the rest is there all the same.
    """
    from agent.files.extracting import choose
    from agent.files.walking import parse

    if (to is None) == (archive is None):
        problem = Problem(field="--to", reason="name one place to write to", remedy="Give --to DIR or --archive FILE")
        raise usage(problem)
    is_stdout = archive is not None and str(archive) == "-"
    if is_stdout and output is Format.JSON:
        raise usage(Problem(field="--archive", reason="stdout takes either the archive or the JSON document"))
    with image(point, volume) as found:
        chosen, wrong = choose(found, [parse(path) for path in paths])
        notes = _notes(found, {id(one.system) for one in chosen})
        taken = _to_tree(chosen, to) if to is not None else _to_archive(chosen, archive or Path("-"))
    problems = [*wrong, *taken.problems]
    count = len(wrong) + taken.count
    if output is Format.JSON:
        emit(
            document(
                files=taken.files,
                directories=taken.directories,
                others=taken.others,
                bytes=taken.size,
                notes=notes,
                problems=problems,
                problemCount=count,
            )
        )
    else:
        for one in notes:
            note(one)
        for one in problems:
            note(f"not taken out: {one}")
        note(f"{taken.files} files, {taken.directories} directories, {taken.others} others, {size(taken.size)}")
    if count:
        raise typer.Exit(Exit.WARNING)


def _notes(found: list[Found], used: set[int]) -> list[str]:
    systems = [(one.name, one.system) for one in found if one.system is not None and id(one.system) in used]
    return [f"{name}: {one}" for name, system in systems for one in system.notes]


def _to_tree(chosen: Sequence[Chosen], directory: Path) -> Taken:
    from agent.files.extracting import Extraction
    from agent.files.tree import Tree

    try:
        tree = Tree(directory)
        try:
            return Extraction(tree).take(chosen)
        finally:
            tree.close()
    except OSError as error:
        raise _unwritable("--to", directory, error) from None


def _to_archive(chosen: Sequence[Chosen], file: Path) -> Taken:
    """Write a new file; half of one is not left behind."""
    from agent.files.archive import Archive
    from agent.files.extracting import Extraction

    if str(file) == "-":
        if sys.stdout.isatty():
            raise usage(Problem(field="--archive", value="-", reason="an archive cannot be shown on a terminal"))
        taken = Extraction(Archive(sys.stdout.buffer.write)).take(chosen)
        sys.stdout.buffer.flush()
        return taken
    try:
        place = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(place, "wb") as target:
            try:
                return Extraction(Archive(target.write)).take(chosen)
            except BaseException:
                file.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise _unwritable("--archive", file, error) from None


def _unwritable(field: str, place: Path, error: OSError) -> CommandError:
    return usage(
        Problem(
            field=field,
            value=str(place),
            reason=f"it cannot be written: {error.strerror or type(error).__name__}",
            remedy="Choose a place that is new and has room",
        )
    )
