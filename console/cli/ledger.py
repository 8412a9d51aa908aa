"""`daywork ledger`: the database of record itself: made, migrated, copied and restored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli.common import Output, context, opened
from console.output import Format, document, emit, fields, note, table
from console.text import moment, size

if TYPE_CHECKING:
    from console.stack.context import Context
    from orchestrator.ledger.store import Ledger

app = typer.Typer(no_args_is_help=True, help="Migrate, back up and restore the ledger.")

InFile = Annotated[
    Path | None,
    typer.Option("--file", metavar="FILE", help="A file of this machine instead of the control bucket."),
]


@app.command()
def upgrade(*, output: Output = Format.TABLE) -> None:
    """Make the ledger, or bring it to the schema of this version; a ledger that has it already stays as it is."""
    from orchestrator.ledger import migrate

    with _any_ledger(context()) as ledger:
        migrate.make_file(ledger.engine)
        before, _ = migrate.revisions(ledger.engine)
        migrate.upgrade(ledger.engine)
        after, _ = migrate.revisions(ledger.engine)
    if output is Format.JSON:
        emit(document(before=before, schema=after))
    elif before == after:
        note(f"The ledger has schema {after} already.")
    else:
        note(f"The ledger is new; it has schema {after}." if before is None else f"Schema {before} became {after}.")


@app.command()
def backup(*, file: InFile = None, output: Output = Format.TABLE) -> None:
    """Copy the ledger to the control bucket now, or to a file. Services do the former by themselves."""
    found = context()
    with opened(found) as ledger:
        made = _to_bucket(found, ledger) if file is None else _to_file(found, ledger, file)
    if output is Format.JSON:
        emit(document(**made))
        return
    if not made["isNew"]:
        note("Nothing has changed since the newest copy.")
    fields([("copy", made["backup"]), ("rows", made["rows"])])


@app.command()
def backups(*, output: Output = Format.TABLE) -> None:
    """List the copies in the control bucket, the newest first."""
    from agent.protocol import format_time
    from orchestrator import backups as keeping

    found = context()
    with _any_ledger(found) as ledger:
        listed = [(one, keeping.taken_at(one.name)) for one in keeping.copies(_store(found, ledger))]
    if output is Format.JSON:
        entries = [
            {"name": one.name, "takenAt": None if taken is None else format_time(taken), "sizeBytes": one.size}
            for one, taken in listed
        ]
        emit(document(backups=entries))
        return
    if not listed:
        note("There is no copy of the ledger yet.")
        return
    rows = [(one.name, None if taken is None else moment(taken), size(one.size)) for one, taken in listed]
    table(("copy", "taken", "size"), rows, right=("size",))


@app.command()
def restore(
    copy: Annotated[
        str | None, typer.Argument(metavar="[COPY]", help="A copy's name; the newest if not given.")
    ] = None,
    *,
    file: InFile = None,
    output: Output = Format.TABLE,
) -> None:
    """Make an empty ledger what it was when a copy was taken. One that holds anything is never overwritten.

    The database may be another kind than the one that was copied: so a ledger moves from SQLite to PostgreSQL.
    """
    from agent.protocol import format_time
    from console.cli.exits import Problem, usage
    from orchestrator import backups as keeping

    if copy is not None and file is not None:
        raise usage(Problem(field="--file", value=str(file), reason="name a copy or a file, not both"))
    found = context()
    install = found.settings.install_id
    with _any_ledger(found) as ledger:
        if file is None:
            done = keeping.restore(ledger, _store(found, ledger), install=install, name=copy)
        else:
            try:
                with file.open("rb") as source:
                    done = keeping.restore_file(ledger, source, install=install)
            except OSError as error:
                raise usage(Problem(field="--file", value=str(file), reason=str(error.strerror))) from None
    if output is Format.JSON:
        emit(document(takenAt=format_time(done.taken_at), rows=done.rows))
    else:
        fields([("taken", moment(done.taken_at)), ("rows", done.rows)])
    note(
        "What happened since is not in it. Repositories know their restore points: `daywork repository import` enters "
        "them. The sweeper only reports until you have read `daywork sweep --dry-run` and say `daywork sweep --adopt`."
    )


def _to_bucket(found: Context, ledger: Ledger) -> dict[str, Any]:
    from orchestrator import backups as keeping
    from orchestrator.bootstrap import make_orders

    found.enter()
    done = keeping.back_up(
        ledger,
        _store(found, ledger),
        epoch=make_orders(found.settings, ledger).epoch(),
        install=found.settings.install_id,
        keep=found.settings.backups_kept,
    )
    return {"backup": done.name, "rows": done.rows, "isNew": done.is_new}


def _to_file(found: Context, ledger: Ledger, path: Path) -> dict[str, Any]:
    from console.cli.exits import Problem, usage
    from orchestrator.ledger import dump

    unfinished = path.with_name(f"{path.name}.new")
    try:
        unfinished.unlink(missing_ok=True)
        unfinished.touch(mode=0o600, exist_ok=False)
        with unfinished.open("wb") as target:
            done = dump.write(ledger, target, install=found.settings.install_id)
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise usage(Problem(field="--file", value=str(path), reason=str(error.strerror))) from None
    return {"backup": str(path), "rows": done.rows, "isNew": True}


def _store(found: Context, ledger: Ledger) -> Any:
    from orchestrator.bootstrap import make_backups

    found.enter()
    return make_backups(found.settings, ledger)


@contextmanager
def _any_ledger(found: Context) -> Iterator[Ledger]:
    """Open the ledger, also one that is not there yet."""
    ledger = found.ledger()
    try:
        yield ledger
    finally:
        ledger.close()
