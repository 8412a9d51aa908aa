"""A copy of a ledger is whole, the same from every database, and made into a ledger again on every database."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import zstandard
from support.clock import FakeClock
from support.ledgers import KINDS, Databases, claimed, open_ledger, submit, under_way

from orchestrator.errors import Refused
from orchestrator.ledger import dump, journal, leases, marks, migrate, schema, sessions, work
from orchestrator.ledger.store import Ledger
from orchestrator.model.work import WorkKey
from orchestrator.sweeper import turn

INSTALL = "test"


@pytest.fixture(params=KINDS)
def target(request: pytest.FixtureRequest, all_databases: Databases, clock: FakeClock) -> Iterator[Ledger]:
    """A ledger on a database without any table."""
    with all_databases.empty(request.param) as url, open_ledger(url, clock) as opened:
        yield opened


@pytest.fixture
def other(full: Ledger, all_databases: Databases, clock: FakeClock) -> Iterator[Ledger]:
    """A ledger on a database of the other kind, without any table."""
    kind = next(one for one in KINDS if one != full.engine.dialect.name)
    with all_databases.empty(kind) as url, open_ledger(url, clock) as opened:
        yield opened


@pytest.fixture
def full(ledger: Ledger) -> Ledger:
    """A ledger with sessions that stand at different points, a lease, log lines, a mark and an epoch."""
    session = under_way(ledger, 3)
    submit(ledger, 700, name="large")
    claimed(ledger, WorkKey(session, 1))
    with ledger.write() as tx:
        leases.acquire(tx, "chain/1", session, work.GRACE)
        for number in range(5):
            journal.write(tx, session, f"line {number} \N{SNOWMAN}")
        marks.replace(tx, [marks.Mark("role", "1" * 12, "eu-west-1", "dw-x")], [])
        marks.epoch(tx)
        marks.advance_epoch(tx)
    return ledger


@pytest.fixture(scope="module")
def sample(all_databases: Databases) -> bytes:
    """A copy of a small ledger."""
    with all_databases.migrated("sqlite") as url, open_ledger(url, FakeClock()) as opened:
        submit(opened, 20)
        return copy_of(opened)[0].getvalue()


def copy_of(ledger: Ledger) -> tuple[io.BytesIO, dump.Copy]:
    """Return a copy and what was told of it."""
    file = io.BytesIO()
    made = dump.write(ledger, file, install=INSTALL)
    file.seek(0)
    return file, made


def rewritten(file: io.BytesIO, change: dict[str, Any]) -> io.BytesIO:
    """Return a copy with another head."""
    head, rest = zstandard.ZstdDecompressor().stream_reader(file).read().split(b"\n", 1)
    plain = json.dumps({**json.loads(head), **change}).encode() + b"\n" + rest
    return io.BytesIO(zstandard.ZstdCompressor().compress(plain))


def rows(ledger: Ledger, table: sa.Table) -> list[Any]:
    """Return a table's rows."""
    with ledger.read() as tx:
        return tx.rows(sa.select(table).order_by(*table.primary_key.columns))


def test_a_ledger_made_from_a_copy_is_the_same(full: Ledger, other: Ledger) -> None:
    """Row for row, from either database to the other; what was never set stays so."""
    file, made = copy_of(full)

    head, count = dump.load(other, file, install=INSTALL)

    assert (head.install, head.schema, count) == (INSTALL, made.schema, made.rows)
    for table in (schema.sessions, schema.resources, schema.work, schema.leases, schema.log_lines, schema.steps):
        assert rows(other, table) == rows(full, table)
    never_planned = sa.select(sa.func.count()).where(schema.sessions.c.plan.is_(sa.null()))
    with other.read() as tx, full.read() as before:
        assert tx.execute(never_planned).scalar_one() == before.execute(never_planned).scalar_one() > 0
    there, wanted = migrate.revisions(other.engine)
    assert there == wanted


def test_a_ledger_made_from_a_copy_can_be_worked_with(full: Ledger, other: Ledger) -> None:
    """Numbers that the database gives by itself go on; claims hold; new sessions are taken."""
    file, _ = copy_of(full)
    dump.load(other, file, install=INSTALL)

    session = submit(other, 1, name="after")

    with other.write() as tx:
        journal.write(tx, session, "after")
        assert len(sessions.recent(tx)) == 3
    assert rows(other, schema.log_lines)[-1].text == "after"


def test_to_the_cloud_a_restored_ledger_is_a_new_one(full: Ledger, other: Ledger) -> None:
    """Another epoch that has swept nothing, no marks, and a note of when its copy was taken."""
    file, made = copy_of(full)
    dump.load(other, file, install=INSTALL)

    with other.write() as tx, full.write() as before:
        assert marks.epoch(tx).name != marks.epoch(before).name
        assert marks.epoch(tx).passes == 0
        assert marks.restored_from(tx) == made.taken_at
        assert marks.restored_from(before) is None
    assert rows(other, schema.sweep_marks) == []


def test_equal_rows_have_an_equal_digest(full: Ledger, clock: FakeClock) -> None:
    """Whenever they are copied, and however often the sweeper has passed meanwhile."""
    _, first = copy_of(full)
    clock.pass_by(timedelta(minutes=1))
    with full.write() as tx:
        marks.advance_epoch(tx)
        turn.take(tx, [], 1)
    _, second = copy_of(full)
    submit(full, 1, name="another")
    _, third = copy_of(full)

    assert first.content == second.content != third.content
    assert second.taken_at > first.taken_at


def test_a_copy_shows_one_moment(full: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is committed while it is being written is in none of its tables."""
    _, before = copy_of(full)
    lines = dump._lines

    def and_somebody_writes(connection: sa.Connection, table: sa.Table) -> Iterator[bytes]:
        if table is schema.log_lines:
            submit(full, 1, name="meanwhile")
        yield from lines(connection, table)

    monkeypatch.setattr(dump, "_lines", and_somebody_writes)
    _, during = copy_of(full)

    assert during.content == before.content


#: What may become of a copy on its way.
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "half": lambda data: data[: len(data) // 2],
    "tail": lambda data: data[:-3],
    "bit": lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:],
    "empty": lambda _: b"",
    "other": lambda _: b"this is no copy",
    "foreign": lambda _: zstandard.ZstdCompressor().compress(b'["not", "ours"]\n'),
    "more": lambda data: zstandard.ZstdCompressor().compress(
        zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read() + b"{}\n"
    ),
}


def test_a_damaged_copy_changes_nothing(sample: bytes, target: Ledger) -> None:
    """It is refused as that, and the database is as empty as before."""
    for name, damage in DAMAGES.items():
        with pytest.raises(Refused, match="is damaged"):
            dump.load(target, io.BytesIO(damage(sample)), install=INSTALL)
        assert sa.inspect(target.engine).get_table_names() == [], name


def test_a_copy_of_something_else_is_refused_by_field(sample: bytes, target: Ledger) -> None:
    """Another install's, a later schema's, another format's."""
    for change in ({"install": "other"}, {"schema": "9999"}, {"format": 2}):
        with pytest.raises(Refused) as caught:
            dump.load(target, rewritten(io.BytesIO(sample), change), install=INSTALL)

        assert [caught.value.field] == list(change)
        assert caught.value.remedy
        assert sa.inspect(target.engine).get_table_names() == []


def test_a_ledger_in_use_is_never_overwritten(full: Ledger) -> None:
    """Not even by its own copy."""
    file, made = copy_of(full)

    with pytest.raises(Refused, match="not empty"):
        dump.load(full, file, install=INSTALL)

    assert copy_of(full)[1].content == made.content


def test_an_empty_ledger_may_be_filled(
    full: Ledger, ledger: Ledger, all_databases: Databases, clock: FakeClock
) -> None:
    """Somebody may have made it already, and the sweeper may have looked at it."""
    file, made = copy_of(full)
    with all_databases.migrated(full.engine.dialect.name) as url, open_ledger(url, clock) as fresh:
        with fresh.write() as tx:
            marks.epoch(tx)

        _, count = dump.load(fresh, file, install=INSTALL)

    assert count == made.rows


def test_a_copy_of_an_earlier_schema_is_brought_up(target: Ledger) -> None:
    """Its tables are made as they were, filled, and migrated."""
    lines: list[Any] = [
        {"format": 1, "install": INSTALL, "schema": "0003", "takenAt": "2026-11-23T02:00:00.000Z"},
        {"table": "accounts", "columns": ["id", "name", "document", "version", "applied_at"]},
        ["1" * 12, "backup", {"id": "1" * 12}, 1, 5.0],
        {"end": {"accounts": 1}},
    ]
    plain = b"".join(json.dumps(one).encode() + b"\n" for one in lines)

    dump.load(target, io.BytesIO(zstandard.ZstdCompressor().compress(plain)), install=INSTALL)

    assert [row.name for row in rows(target, schema.accounts)] == ["backup"]
    assert rows(target, schema.schedules) == []
    there, wanted = migrate.revisions(target.engine)
    assert there == wanted
