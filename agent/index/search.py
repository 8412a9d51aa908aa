"""Asking indexes. A part is opened in memory and given to DuckDB there: what it holds in clear is never on a disk."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import duckdb

from agent.index.head import IndexHead, PartRef, read_part
from agent.index.parts import CLOSED
from agent.repository.repository import Repository

_COLUMNS: Final = 'directory, name, kind, size, epoch_us(modified), epoch_us(changed), owner, "group", mode'
#: One character of a shown name: a byte that is no text, a backslash, or itself.
_CHARACTER: Final = r"(?:\\x[0-9a-f]{2}|\\\\|[^\\])"
_SHOWN: Final = re.compile(_CHARACTER, re.DOTALL)
_MICROSECONDS: Final = 10**6
#: What a directory changes in with every change of what is in it.
_OF_CONTENT: Final = ("size", "modified", "changed")

#: Opens a part: returns its Parquet file. Raises `RepositoryError`.
Open = Callable[[IndexHead, PartRef], bytes]


def opening(repository: Repository) -> Open:
    """Return what opens the parts of a repository's indexes."""
    return lambda head, part: read_part(repository, head, part)


@dataclass(frozen=True, kw_only=True)
class Found:
    """A row of an index. Times in microseconds since 1970; `path` and `name` are shown text."""

    directory: str
    name: str
    kind: str
    size: int
    modified: int
    changed: int
    owner: int
    group: int
    mode: int

    @property
    def path(self) -> str:
        """The whole path in its file system."""
        return f"{self.directory}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a search looks for; what is not said is not asked. Sizes in bytes, times in microseconds since 1970.

    `pattern` is a shown name or path with `*`, `?` and `[...]`. It is compared with the name, or with the whole path
    when there is a slash in it; `*` goes over slashes. Sizes are those of files: with one, only files are found.
    """

    pattern: str | None = None
    ignore_case: bool = False
    kind: str | None = None
    at_least: int | None = None
    at_most: int | None = None
    since: int | None = None
    until: int | None = None
    owner: int | None = None

    def where(self) -> tuple[str, list[Any]]:
        """Return it as SQL over the columns of a part, with its parameters."""
        terms: list[tuple[str, Any]] = []
        if self.pattern is not None:
            text = "directory || '/' || name" if "/" in self.pattern else "name"
            flags = "si" if self.ignore_case else "s"
            terms.append((f"regexp_full_match({text}, ?, '{flags}')", expression(self.pattern)))
        if self.kind is not None or self.at_least is not None or self.at_most is not None:
            terms.append(("kind = ?", self.kind or "file"))
        bounds = (
            ("size >= ?", self.at_least),
            ("size <= ?", self.at_most),
            ("modified >= make_timestamp(?::BIGINT)", self.since),
            ("modified <= make_timestamp(?::BIGINT)", self.until),
            ("owner = ?", self.owner),
        )
        terms += [(term, value) for term, value in bounds if value is not None]
        return " AND ".join(term for term, _ in terms) or "true", [value for _, value in terms]


def expression(pattern: str) -> str:
    """Return a pattern of shown text as a regular expression that matches shown text."""
    out: list[str] = []
    position = 0
    while position < len(pattern):
        piece = pattern[position]
        if piece == "*":
            out.append(f"{_CHARACTER}*")
        elif piece == "?":
            out.append(_CHARACTER)
        elif piece == "[" and (end := _class_end(pattern, position)) is not None:
            out.append(_class(pattern[position + 1 : end]))
            position = end
        elif (shown := _SHOWN.match(pattern, position)) is not None:
            # A byte or a backslash in its shown form is taken whole.
            out.append(re.escape(shown[0]))
            position = shown.end() - 1
        else:
            out.append(re.escape("\\\\"))
        position += 1
    return "".join(out)


def _class_end(pattern: str, start: int) -> int | None:
    """Return where `[...]` ends, None when it does not: then the bracket is a character like others."""
    position = start + 1
    if pattern[position : position + 1] in ("!", "^"):
        position += 1
    end = pattern.find("]", position + 1)
    return end if end > 0 else None


def _class(inside: str) -> str:
    is_not = inside[:1] in ("!", "^")
    chosen = re.sub(r"([\\\[\]^&~|])", r"\\\1", inside[1:] if is_not else inside)
    if is_not:
        return rf"(?:\\x[0-9a-f]{{2}}|[^\\{chosen}])"
    return f"[{chosen}]"


def search(head: IndexHead, wanted: Wanted, open_part: Open, *, limit: int | None = None) -> Iterator[Found]:
    """Find rows of an index, part after part; at most `limit`. Raises `RepositoryError`."""
    where, parameters = wanted.where()
    left = limit
    with _database() as database:
        for part in head.parts:
            if left is not None and left <= 0:
                return
            most = "" if left is None else f" LIMIT {left}"
            with _in_memory([open_part(head, part)]) as files:
                rows = database.execute(
                    f"SELECT {_COLUMNS} FROM read_parquet(?) WHERE {where} ORDER BY directory, name{most}",  # noqa: S608 - of constants and parameters
                    [files, *parameters],
                ).fetchall()
            for row in rows:
                yield _found(row)
            left = None if left is None else left - len(rows)


Change = Literal["added", "removed", "changed"]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What became of a path from one index to another."""

    change: Change
    before: Found | None
    after: Found | None

    @property
    def path(self) -> str:
        """The path in its file system."""
        one = self.after or self.before
        return one.path if one is not None else ""


def differences(before: IndexHead, after: IndexHead, open_part: Open, *, limit: int) -> list[Difference]:
    """Return what differs between two indexes, by path; at most `limit`. Raises `RepositoryError`.

    Directories count by owner, group and mode alone: their times say no more than what in them is named itself.
    """
    keys = ("directory", "name")
    rest = ("kind", "size", "modified", "changed", "owner", '"group"', "mode")
    fields = [_plain(f"{side}.", one) for side in ("a", "b") for one in (*keys, *rest)]
    own = " OR ".join(
        f"(a.{one} <> b.{one}{' AND b.kind <> ' + repr('directory') if one in _OF_CONTENT else ''})" for one in rest
    )
    with _database() as database, ExitStack() as held:
        for name, head in (("a", before), ("b", after)):
            files = held.enter_context(_in_memory([open_part(head, one) for one in head.parts]))
            database.execute(f"CREATE TEMP VIEW {name} AS {_all_of(files)}")
        rows = database.execute(
            f"SELECT {', '.join(fields)} FROM a FULL JOIN b ON a.directory = b.directory AND a.name = b.name "  # noqa: S608 - of constants
            f"WHERE a.name IS NULL OR b.name IS NULL OR {own} "
            f"ORDER BY coalesce(b.directory, a.directory), coalesce(b.name, a.name) LIMIT {int(limit)}"
        ).fetchall()
    middle = len(fields) // 2
    return [_difference(row[:middle], row[middle:]) for row in rows]


def _all_of(files: Sequence[str]) -> str:
    if files:
        names = ", ".join(f"'{one}'" for one in files)
        return f"SELECT * FROM read_parquet([{names}])"  # noqa: S608 - names made in this module
    return (
        "SELECT '' AS directory, '' AS name, '' AS kind, 0 AS size, make_timestamp(0) AS modified, "
        'make_timestamp(0) AS changed, 0 AS owner, 0 AS "group", 0 AS mode WHERE false'
    )


def _plain(table: str, column: str) -> str:
    return f"epoch_us({table}{column})" if column in ("modified", "changed") else f"{table}{column}"


def _difference(before: Sequence[Any], after: Sequence[Any]) -> Difference:
    was = None if before[1] is None else _found(before)
    now = None if after[1] is None else _found(after)
    change: Change = "added" if was is None else "removed" if now is None else "changed"
    return Difference(change=change, before=was, after=now)


def _found(row: Sequence[Any]) -> Found:
    directory, name, kind, size, modified, changed, owner, group, mode = row
    return Found(
        directory=directory, name=name, kind=kind, size=size, modified=modified, changed=changed,
        owner=owner, group=group, mode=mode,
    )  # fmt: skip


def moment(microseconds: int) -> datetime | None:
    """Return a row's time; None for one that no calendar has."""
    try:
        return datetime.fromtimestamp(microseconds / _MICROSECONDS, UTC)
    except (ValueError, OverflowError, OSError):
        return None


@contextmanager
def _database() -> Iterator[duckdb.DuckDBPyConnection]:
    # Without a place to spill to, rows are in memory or nowhere.
    connection = duckdb.connect(config={**CLOSED, "temp_directory": ""})
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def _in_memory(contents: Sequence[bytes]) -> Iterator[list[str]]:
    """Give files of this process alone that are in memory, under names that DuckDB can open."""
    descriptors: list[int] = []
    try:
        for content in contents:
            descriptor = os.memfd_create("index")
            descriptors.append(descriptor)
            written = 0
            while written < len(content):
                written += os.write(descriptor, memoryview(content)[written:])
        yield [f"/proc/self/fd/{one}" for one in descriptors]
    finally:
        for one in descriptors:
            os.close(one)
