"""`daywork restore-point files`: looking into a restore point from this machine."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli.common import Output
from console.cli.exits import Exit, Problem, usage
from console.cli.image import Point, Volumes, image
from console.output import Format, document, emit, note, table
from console.text import moment, size

if TYPE_CHECKING:
    from agent.files.opening import Found
    from agent.files.system import Entry
    from agent.files.walking import Wanted

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
            _show_systems(found, output)
            return
        rows, problems, more = _listed(found, parse(path or "/"), wanted if is_search else None, limit)
    _show_entries(rows, problems, output, more=more)


def _show_systems(found: list[Found], output: Format) -> None:
    if output is Format.JSON:
        emit(
            document(
                fileSystems=[
                    {
                        "name": one.name,
                        "kind": one.kind,
                        "label": one.system.label or None if one.system is not None else None,
                        "sizeBytes": one.area.source.size,
                        "volumes": list(one.area.volumes),
                        "notes": list(one.system.notes) if one.system is not None else [],
                        "reason": one.reason,
                    }
                    for one in found
                ]
            )
        )
        return
    table(
        ("file system", "kind", "size", "label", "note"),
        [
            (
                one.name,
                one.kind,
                size(one.area.source.size),
                None if one.system is None else one.system.label,
                one.reason if one.system is None else "; ".join(one.system.notes),
            )
            for one in found
        ],
        right=("size",),
    )


def _listed(
    found: list[Found], path: bytes, wanted: Wanted | None, limit: int
) -> tuple[list[tuple[str, bytes, Entry]], list[str], bool]:
    """Return (file system, path, entry) of what is asked for, what is wrong, and whether there is more."""
    from agent.files.extracting import choose
    from agent.files.system import Flaw
    from agent.files.walking import shown, walk

    rows: list[tuple[str, bytes, Entry]] = []
    chosen, problems = choose(found, [path])
    names = {id(one.system): one.name for one in found if one.system is not None}

    def problem(where: bytes, reason: str) -> None:
        problems.append(f"{shown(where)}: {reason}")

    for one in chosen:
        name = names[id(one.system)]
        if wanted is not None:
            matches = (
                (name, place, entry)
                for place, entry in walk(one.system, one.entry, one.path, problem)
                if wanted.matches(place, entry)
            )
        elif one.entry.kind == "directory":
            base = one.path.rstrip(b"/")
            entries = list(one.system.children(one.entry))
            for flaw in entries:
                if isinstance(flaw, Flaw):
                    problem(base + b"/" + flaw.name, flaw.reason)
            whole = [entry for entry in entries if not isinstance(entry, Flaw)]
            matches = ((name, base + b"/" + entry.name, entry) for entry in sorted(whole, key=lambda it: it.name))
        else:
            matches = iter([(name, one.path, one.entry)])
        for row in matches:
            if len(rows) == limit:
                return rows, problems, True
            rows.append(row)
    return rows, problems, False


def _show_entries(rows: list[tuple[str, bytes, Entry]], problems: list[str], output: Format, *, more: bool) -> None:
    if output is Format.JSON:
        emit(document(files=[_document(*row) for row in rows], problems=problems, isComplete=not more))
    else:
        from agent.files.walking import shown

        several = len({name for name, _, _ in rows}) > 1
        columns = ("mode", "owner", "size", "changed", "path")
        table(
            ("file system", *columns) if several else columns,
            [(name, *line) if several else line for name, path, entry in rows for line in [_line(shown(path), entry)]],
            right=("size",),
        )
        for one in problems:
            note(one)
        if more:
            note(f"There is more than {len(rows)}: see it with --limit, or search for less.")
    if problems:
        raise typer.Exit(Exit.WARNING)


_LETTERS = {"file": "-", "directory": "d", "link": "l", "fifo": "p", "socket": "s", "character": "c", "block": "b"}


def _line(path: str, entry: Entry) -> tuple[str, str, str, str, str]:
    from agent.files.walking import shown

    return (
        f"{_LETTERS[entry.kind]}{entry.mode:04o}",
        f"{entry.uid}:{entry.gid}",
        size(entry.size) if entry.kind == "file" else "",
        moment(_when(entry.modified)),
        path if entry.target is None else f"{path} -> {shown(entry.target)}",
    )


def _document(name: str, path: bytes, entry: Entry) -> dict[str, Any]:
    from agent.files.walking import shown
    from agent.protocol import format_time

    when = _when(entry.modified)
    return {
        "fileSystem": name,
        "path": shown(path),
        "kind": entry.kind,
        "sizeBytes": entry.size,
        "mode": f"{entry.mode:04o}",
        "uid": entry.uid,
        "gid": entry.gid,
        "modifiedAt": None if when is None else format_time(when),
        "target": None if entry.target is None else shown(entry.target),
        "links": entry.links,
    }


def _when(nanoseconds: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(nanoseconds / _SECOND, UTC)
    except (ValueError, OverflowError, OSError):
        return None


# --- flags --------------------------------------------------------------------------------------------------------


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
