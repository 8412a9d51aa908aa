"""A ledger as one stream of bytes, the same from every database and into every database.

Compressed lines of JSON: a head (`format`, `install`, `schema`, `takenAt`), for each table a line with its name and
columns and one line for each row, and an end that counts the rows. Times are seconds since 1970, as in the tables. Two
copies of the same rows have the same `content` digest, whenever they were taken.

Not copied: what the sweeper has marked, where it stands, and the ledger's epoch. A ledger that was made from a copy is
a new one to the cloud: its sweeper only reports until a person has looked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import IO, Any, Final

import sqlalchemy as sa
import zstandard
from sqlalchemy import event
from sqlalchemy.dialects.postgresql import REGCLASS
from sqlalchemy.engine import Connection

from agent.protocol import format_time, parse_time
from orchestrator.errors import Refused
from orchestrator.ledger import marks, migrate, schema
from orchestrator.ledger.store import Ledger

FORMAT: Final = 1

_LEVEL: Final = 6
_ROWS: Final = 500
_PIECE: Final = 64 * 1024
_LEFT_OUT: Final = frozenset({schema.sweep_marks.name})
#: A ledger in which any of these has a row is somebody's.
_TELLING: Final = ("sessions", "accounts", "repositories", "restore_points", "schedules")
_ANOTHER: Final = "Take another backup: `daywork ledger backups` lists them"


@dataclass(frozen=True, kw_only=True)
class Copy:
    """What was written: the SHA-256 of the bytes, that of the rows alone, how many rows, the schema's revision."""

    sha256: str
    content: str
    rows: int
    schema: str
    taken_at: datetime


@dataclass(frozen=True, kw_only=True)
class Head:
    """What a copy says of itself."""

    install: str
    schema: str
    taken_at: datetime


# --- writing ------------------------------------------------------------------------------------------------------


def write(ledger: Ledger, file: IO[bytes], *, install: str) -> Copy:
    """Write the ledger as it is at one moment. Raises `LedgerUnavailable`, OSError."""
    out = _Sink(file)
    content = hashlib.sha256()
    rows = 0
    # No content size is known beforehand, but a checksum: a copy that was cut or changed does not open.
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    with compressor.stream_writer(out, closefd=False) as stream, ledger.snapshot() as tx:  # type: ignore[arg-type]  # only `write` is used
        revision = _revision(tx.connection)
        head = {"format": FORMAT, "install": install, "schema": revision, "takenAt": format_time(tx.now)}
        stream.write(_line(head))
        counts: dict[str, int] = {}
        for table in schema.metadata.sorted_tables:
            if table.name in _LEFT_OUT:
                continue
            lines = _lines(tx.connection, table)
            first = next(lines)
            counts[table.name] = 0
            stream.write(first)
            content.update(first)
            for line in lines:
                stream.write(line)
                content.update(line)
                counts[table.name] += 1
        rows = sum(counts.values())
        stream.write(_line({"end": counts}))
    return Copy(sha256=out.digest.hexdigest(), content=content.hexdigest(), rows=rows, schema=revision, taken_at=tx.now)


class _Sink:
    """Passes bytes on and knows their digest."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self._file.write(data)

    def flush(self, *_: Any) -> None:
        self._file.flush()


def _lines(connection: Connection, table: sa.Table) -> Iterator[bytes]:
    columns = list(table.columns)
    yield _line({"table": table.name, "columns": [column.name for column in columns]})
    query = sa.select(*columns).order_by(*table.primary_key.columns)
    if table is schema.settings:
        query = query.where(table.c.name.not_in((marks.EPOCH, marks.TURN)))
    for row in connection.execution_options(yield_per=_ROWS).execute(query):
        yield _line([value.timestamp() if isinstance(value, datetime) else value for value in row])


def _line(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _revision(connection: Connection) -> str:
    return str(connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one())


# --- reading ------------------------------------------------------------------------------------------------------


def read_head(file: IO[bytes]) -> Head:
    """Read what a copy says of itself. Raises `Refused` when it is none, or of a later format."""
    return _head(next(_documents(file), None))


def load(ledger: Ledger, file: IO[bytes], *, install: str) -> tuple[Head, int]:
    """Make an empty database the ledger that a copy holds, and bring it to this version's schema.

    All or nothing; returns what the copy says of itself and the number of rows. Raises `Refused` when the database is
    not empty, or when the copy is damaged, of another install or of a later version; `LedgerUnavailable`.
    """
    migrate.make_file(ledger.engine)
    with ledger.write() as tx:
        connection = tx.connection
        _refuse_if_used(connection)
        lines = _documents(file)
        head = _head(next(lines, None))
        if head.install != install:
            raise Refused(
                "this is the ledger of another install",
                field="install",
                value=head.install,
                remedy=f"Set DAYWORK_INSTALL_ID to {head.install} if you want to be that install",
            )
        if not migrate.is_known(head.schema):
            raise Refused(
                "the copy is of a later version's schema",
                field="schema",
                value=head.schema,
                remedy="Install the version that took it, or a later one",
            )
        schema.metadata.drop_all(connection)
        connection.execute(sa.text("DROP TABLE IF EXISTS alembic_version"))
        migrate.bring(connection, head.schema)
        rows = _fill(connection, lines)
        migrate.bring(connection, "head")
        marks.note_restored(connection, taken_at=head.taken_at, now=tx.now)
    return head, rows


def _refuse_if_used(connection: Connection) -> None:
    there = set(sa.inspect(connection).get_table_names())
    for name in _TELLING:
        if name in there and connection.execute(sa.select(sa.text("1")).select_from(sa.text(name)).limit(1)).first():
            raise Refused(
                f"the ledger is not empty: it has {name.replace('_', ' ')}",
                field="DAYWORK_DATABASE_URL",
                remedy="Move it aside first (the file of SQLite, or another database of PostgreSQL)",
            )


def _fill(connection: Connection, lines: Iterator[Any]) -> int:
    tables = _reflected(connection)
    counts: dict[str, int] = {}
    for (name, columns), rows in groupby(_rows(lines, counts), key=lambda one: one[0]):
        if name not in tables:
            raise _damaged(f"it has a table {name!r} that its schema has not")
        insert = sa.insert(tables[name])
        batch: list[dict[str, Any]] = []
        for _, row in rows:
            batch.append(dict(zip(columns, row, strict=True)))
            if len(batch) == _ROWS:
                connection.execute(insert, batch)
                batch = []
        if batch:
            connection.execute(insert, batch)
    if connection.dialect.name == "postgresql":
        _count_on(connection)
    return sum(counts.values())


def _rows(lines: Iterator[Any], counts: dict[str, int]) -> Iterator[tuple[tuple[str, tuple[str, ...]], list[Any]]]:
    """Yield each row with its table and columns; `counts` has their numbers in the end. Raises `Refused`."""
    table: tuple[str, tuple[str, ...]] | None = None
    for line in lines:
        if isinstance(line, list) and table is not None and len(line) == len(table[1]):
            counts[table[0]] += 1
            yield table, line
        elif isinstance(line, dict) and "table" in line:
            table = str(line["table"]), tuple(line["columns"])
            counts[table[0]] = 0
        elif isinstance(line, dict) and line.get("end") == counts:
            # Only the very end of the stream proves its checksum.
            if next(lines, None) is not None:
                raise _damaged("something follows its end")
            return
        else:
            raise _damaged("a line of it does not fit")
    raise _damaged("its end is missing")


def _reflected(connection: Connection) -> dict[str, sa.Table]:
    """Return the tables as the copy's own revision has them."""
    found = sa.MetaData()

    @event.listens_for(found, "column_reflect")
    def _on_column(_inspector: Any, _table: Any, column: Any) -> None:
        if isinstance(column["type"], sa.JSON):
            # What is None was never set.
            column["type"] = sa.JSON(none_as_null=True)

    found.reflect(connection)
    return {name: table for name, table in found.tables.items() if name in schema.metadata.tables}


def _count_on(connection: Connection) -> None:
    """Have numbers that PostgreSQL gives by itself go on after the highest there is."""
    for table in schema.metadata.sorted_tables:
        column = table.autoincrement_column
        if column is None or column.autoincrement is not True:
            continue
        highest = sa.select(sa.func.max(column)).scalar_subquery()
        sequence = sa.cast(sa.func.pg_get_serial_sequence(table.name, column.name), REGCLASS)
        connection.execute(sa.select(sa.func.setval(sequence, sa.func.coalesce(highest, 1), highest.is_not(None))))


def _documents(file: IO[bytes]) -> Iterator[Any]:
    """Yield the lines of a copy. Raises `Refused` when it is damaged."""
    stream = zstandard.ZstdDecompressor().decompressobj()
    rest = b""
    try:
        while not stream.eof and (piece := file.read(_PIECE)):
            *lines, rest = (rest + stream.decompress(piece)).split(b"\n")
            for line in lines:
                yield json.loads(line)
    except (zstandard.ZstdError, ValueError) as error:
        raise _damaged("its bytes are not those that were written") from error
    if rest or not stream.eof or stream.unused_data:
        raise _damaged("its end is not the one that was written")


def _head(line: Any) -> Head:
    if not isinstance(line, dict) or "format" not in line:
        raise _damaged("it does not begin as a ledger's copy does")
    if line["format"] != FORMAT:
        raise Refused(
            "the copy is of another format",
            field="format",
            value=line["format"],
            remedy="Install the version that took it, or a later one",
        )
    return Head(
        install=str(line["install"]), schema=str(line["schema"]), taken_at=parse_time(line["takenAt"]).astimezone(UTC)
    )


def _damaged(why: str) -> Refused:
    return Refused(f"the copy of the ledger is damaged: {why}", field="backup", remedy=_ANOTHER)
