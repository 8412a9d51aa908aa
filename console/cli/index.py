"""`daywork index`: what stood in file systems, found without touching them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli.common import Output, context, opened
from console.cli.exits import CommandError, Exit, Problem, usage
from console.cli.measures import byte_size, nanoseconds
from console.output import Format, cell, document, emit, note, table
from console.text import moment, size

if TYPE_CHECKING:
    from agent.index.head import IndexHead
    from agent.index.search import Difference, Found
    from console.indexes import Kept

app = typer.Typer(no_args_is_help=True, help="Search the indexes of file systems.")

_LETTERS = {"file": "-", "directory": "d", "link": "l", "fifo": "p", "socket": "s", "character": "c", "block": "b"}
_MICROSECOND = 1000

FileSystems = Annotated[
    list[str] | None,
    typer.Option("--file-system", metavar="FS", help="Only this file system's. May be given several times."),
]
Account = Annotated[str | None, typer.Option("--account", metavar="ACCOUNT", help="Only this account's, id or name.")]


@app.command("list")
def list_indexes(*, file_system: FileSystems = None, account: Account = None, output: Output = Format.TABLE) -> None:
    """List indexes, of each file system the newest last."""
    with _kept(file_system, account) as found:
        heads = [one.head() for one in found]
    if output is Format.JSON:
        emit(document(indexes=[_head(one) for one in heads]))
        return
    if not heads:
        note("No indexes yet. daywork session start --operation efs-index makes some.")
        return
    table(
        ("index", "taken", "account", "region", "file system", "files", "directories", "size", "unreadable"),
        [
            (
                one.index, moment(one.taken_at), one.account, one.region, one.file_system, one.figures.get("files"),
                one.figures.get("directories"), size(one.figures.get("sizeBytes", 0)), one.figures.get("unreadable"),
            )
            for one in heads
        ],
        right=("files", "directories", "size", "unreadable"),
    )  # fmt: skip


@app.command()
def search(
    pattern: Annotated[
        str | None, typer.Argument(metavar="[PATTERN]", help="A name with * ? [..]; with a slash: a whole path.")
    ] = None,
    *,
    file_system: FileSystems = None,
    account: Account = None,
    index: Annotated[
        str | None, typer.Option("--index", metavar="INDEX", help="This index, not the newest of each file system.")
    ] = None,
    ignore_case: Annotated[bool, typer.Option("--ignore-case", "-i", help="Capital or not is the same.")] = False,
    kind: Annotated[str | None, typer.Option("--kind", metavar="KIND", help="file, directory, link, ...")] = None,
    larger: Annotated[
        str | None, typer.Option("--larger", metavar="SIZE", help="Files, at least so large: 10M.")
    ] = None,
    smaller: Annotated[str | None, typer.Option("--smaller", metavar="SIZE", help="Files, at most so large.")] = None,
    newer: Annotated[str | None, typer.Option("--newer", metavar="DATE", help="Changed since: 2026-06-01.")] = None,
    older: Annotated[str | None, typer.Option("--older", metavar="DATE", help="Changed before.")] = None,
    owner: Annotated[int | None, typer.Option("--owner", metavar="UID", min=0, help="Of this owner.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000_000, help="How many at most.")] = 10_000,
    output: Output = Format.TABLE,
) -> None:
    r"""Find files in the newest index of each file system.

    Bytes of names that are no text are shown as \xNN and a backslash as \\, and may be given so.
    """
    from agent.index.parts import KINDS
    from agent.index.search import Wanted, search as find
    from console.indexes import newest

    if kind is not None and kind not in KINDS:
        remedy = f"Known kinds: {', '.join(KINDS)}"
        raise usage(Problem(field="--kind", value=kind, reason="there is no such kind", remedy=remedy))
    wanted = Wanted(
        pattern=pattern,
        ignore_case=ignore_case,
        kind=kind,
        at_least=byte_size("--larger", larger),
        at_most=byte_size("--smaller", smaller),
        since=_microseconds("--newer", newer),
        until=_microseconds("--older", older),
        owner=owner,
    )
    rows: list[tuple[IndexHead, Found]] = []
    with _kept(file_system, account) as found:
        chosen = [_only(found, index)] if index is not None else list(newest(found))
        if not chosen:
            raise _nothing("index", "No file system has been indexed: daywork session start --operation efs-index")
        for one in chosen:
            head = one.head()
            # One more than asked for: that tells whether there is more.
            rows += [(head, row) for row in find(head, wanted, one.opened(), limit=limit + 1 - len(rows))]
            if len(rows) > limit:
                break
    more, rows = len(rows) > limit, rows[:limit]
    if output is Format.JSON:
        emit(document(files=[_where(head) | _row(row) for head, row in rows], isComplete=not more))
        return
    several = len({head.chain for head, _ in rows}) > 1
    columns = ("mode", "owner", "size", "changed", "path")
    table(
        ("file system", *columns) if several else columns,
        [(head.file_system, *_line(row)) if several else _line(row) for head, row in rows],
        right=("size",),
    )
    if more:
        note(f"There is more than {len(rows)}: see it with --limit, or search for less.")


@app.command()
def diff(
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="An index's id.")],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="A later index's id, of the same file system.")],
    *,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000_000, help="How many at most.")] = 10_000,
    output: Output = Format.TABLE,
) -> None:
    """Compare two indexes: what came, what went, what changed."""
    from agent.index.search import differences

    with _kept(None, None) as found:
        first, second = (_only(found, one) for one in (before, after))
        if first.chain != second.chain:
            raise usage(
                Problem(field="AFTER", value=after, reason="it is of another file system", remedy="See index list")
            )
        rows = differences(first.head(), second.head(), second.opened(), limit=limit + 1)
    more, rows = len(rows) > limit, rows[:limit]
    if output is Format.JSON:
        emit(document(differences=[_difference(one) for one in rows], isComplete=not more))
        return
    table(
        ("change", "size before", "size after", "path"),
        [(cell(one.change), *(_size_of(side) for side in (one.before, one.after)), one.path) for one in rows],
        right=("size before", "size after"),
    )
    if more:
        note(f"There is more than {len(rows)}: see it with --limit.")


# --- finding indexes ----------------------------------------------------------------------------------------------


@contextmanager
def _kept(file_systems: list[str] | None, account: str | None) -> Iterator[list[Kept]]:
    """Give the indexes of all repositories that are asked for. What goes wrong there becomes a `CommandError`."""
    from agent.repository.errors import Missing, RepositoryError
    from console.indexes import kept_indexes
    from orchestrator.bootstrap import make_identities
    from orchestrator.ledger import registry

    place = context()
    with opened(place) as ledger:
        with ledger.read() as tx:
            repositories = registry.load(tx).repositories
            only = None if account is None else registry.account(tx, account, field="--account").id
        place.enter()
        identities = make_identities(place.settings, ledger)
        try:
            everything = [one for repository in repositories for one in kept_indexes(identities, repository)]
            found = [
                one
                for one in everything
                if (not file_systems or one.chain.resource in file_systems) and only in (None, one.chain.account)
            ]
            missing = sorted(set(file_systems or ()) - {one.chain.resource for one in found})
            if missing:
                raise _nothing(missing[0], "It has not been indexed; daywork index list shows what has been")
            yield found
        except RepositoryError as error:
            is_missing = isinstance(error, Missing)
            raise CommandError(
                Exit.NOT_FOUND if is_missing else Exit.REFUSED,
                Problem(reason=str(error), remedy=error.remedy or ""),
                title="not found" if is_missing else "this cannot be read",
            ) from None


def _only(found: list[Kept], index: str) -> Kept:
    for one in found:
        if one.index == index:
            return one
    raise _nothing(index, "daywork index list shows what there is")


def _nothing(name: str, remedy: str) -> CommandError:
    return CommandError(
        Exit.NOT_FOUND, Problem(field=name, reason="there is no such index", remedy=remedy), title="not found"
    )


def _microseconds(field: str, text: str | None) -> int | None:
    found = nanoseconds(field, text)
    return None if found is None else found // _MICROSECOND


# --- showing ------------------------------------------------------------------------------------------------------


def _line(row: Found) -> tuple[str, str, str, str, str]:
    from agent.index.search import moment as when

    return (
        f"{_LETTERS.get(row.kind, '?')}{row.mode:04o}",
        f"{row.owner}:{row.group}",
        _size_of(row),
        moment(when(row.modified)),
        row.path,
    )


def _size_of(row: Found | None) -> str:
    return size(row.size) if row is not None and row.kind == "file" else ""


def _where(head: IndexHead) -> dict[str, Any]:
    return {
        "account": head.account,
        "region": head.region,
        "fileSystem": head.file_system,
        "index": head.index,
        "takenAt": head.taken_at,
        "recoveryPoint": head.recovery_point,
    }


def _head(head: IndexHead) -> dict[str, Any]:
    return _where(head) | {
        "finishedAt": head.finished_at,
        "session": head.session,
        "path": head.path,
        "excludePaths": list(head.exclude_paths),
        "figures": head.figures,
    }


def _row(row: Found) -> dict[str, Any]:
    return {
        "path": row.path,
        "kind": row.kind,
        "sizeBytes": row.size,
        "mode": f"{row.mode:04o}",
        "uid": row.owner,
        "gid": row.group,
        "modifiedAt": _time(row.modified),
        "changedAt": _time(row.changed),
    }


def _time(microseconds: int) -> str | None:
    from agent.index.search import moment as when
    from agent.protocol import format_time

    found = when(microseconds)
    return None if found is None else format_time(found)


def _difference(one: Difference) -> dict[str, Any]:
    return {
        "path": one.path,
        "change": one.change,
        "before": None if one.before is None else _row(one.before),
        "after": None if one.after is None else _row(one.after),
    }
