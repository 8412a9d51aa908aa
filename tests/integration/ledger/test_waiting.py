"""What waits costs nothing: looks read as much as they may be about, whatever waits in all."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from threading import Barrier
from typing import Any, cast

import pytest
import sqlalchemy as sa
from support.clock import FakeClock
from support.ledgers import under_way
from support.simulated import INSTALL

from agent.protocol import Progress, Report, format_time
from orchestrator.fleet import heartbeats
from orchestrator.fleet.watch import watch
from orchestrator.ledger import schema, things, waiting, work, workers
from orchestrator.ledger.holders import Holder
from orchestrator.ledger.store import Ledger, Transaction
from orchestrator.model.plan import Access
from orchestrator.model.work import WorkKey
from orchestrator.ports import InstanceView
from orchestrator.services import Deadlines, Services

PLACE = ("222222222222", "eu-west-1")
ROLE = "arn:aws:iam::222222222222:role/deploy"
DEADLINES = Deadlines()
FEW, MANY = 30, 300


@dataclass
class Counted:
    """How many statements were run, and how many rows they gave."""

    statements: int = 0
    rows: int = 0


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counted]:
    """Count what transactions do. A statement that is run for many rows at once is one."""
    found = Counted()
    real = Transaction.execute, Transaction.row, Transaction.rows

    def execute(tx: Transaction, statement: sa.Executable, parameters: Any = None) -> Any:
        found.statements += 1
        return real[0](tx, statement, parameters)

    def row(tx: Transaction, statement: sa.Executable, parameters: Any = None) -> Any:
        found.statements += 1
        found.rows += 1
        return real[1](tx, statement, parameters)

    def rows(tx: Transaction, statement: sa.Executable, parameters: Any = None) -> Any:
        found.statements += 1
        answer = real[2](tx, statement, parameters)
        found.rows += len(answer)
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(Transaction, "execute", execute)
        patch.setattr(Transaction, "row", row)
        patch.setattr(Transaction, "rows", rows)
        yield found


def at_work(ledger: Ledger, count: int, wait_for: str = heartbeats.RESULT) -> str:
    """Return a session whose resources all have a worker and wait, each with a snapshot of its own."""
    session = under_way(ledger, count, name=f"over {count}")
    with ledger.write() as tx:
        until = tx.now + DEADLINES.heartbeat
        deadline = format_time(tx.now + DEADLINES.job)
        for ordinal in range(count):
            name, instance = f"{session}-{ordinal}", f"i-{secrets.token_hex(8)}0"
            workers.enter(
                tx, instance_id=instance, account=PLACE[0], region=PLACE[1], session=session,
                ordinal=ordinal, attempt=1, role=ROLE, state="running", instance_type="c5.large",
                availability_zone="eu-west-1a",
            )  # fmt: skip
            things.intend(tx, things.Thing(session=session, ordinal=ordinal, kind="snapshot", name=name,
                                           account=PLACE[0], region=PLACE[1], role=ROLE))  # fmt: skip
            things.created(tx, session, "snapshot", name, cloud_id=f"snap-{ordinal}")
            tx.execute(
                sa.update(schema.resources)
                .where(schema.resources.c.session_id == session, schema.resources.c.ordinal == ordinal)
                .values(instance_id=instance, state={"deadline": deadline})
            )
            tx.execute(
                sa.update(schema.work)
                .where(schema.work.c.session_id == session, schema.work.c.ordinal == ordinal)
                .values(parked=True, wait_for=wait_for, wait_until=until)
            )
    return session


def reports(ledger: Ledger, session: str, sequence: int = 1) -> list[Report]:
    """Return a heartbeat of each of a session's workers."""
    with ledger.read() as tx:
        found = workers.alive(tx, session)
    return [
        Report(
            kind="progress", session=session, instance_id=one.instance_id, user_id=f"AROA:{one.instance_id}",
            sequence=sequence, sent_at=format_time(one.launched_at), progress=Progress(done=1, total=2),
        )
        for one in found
    ]  # fmt: skip


def test_heartbeats_of_a_whole_fleet_are_a_handful_of_statements(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One transaction reads and writes them page by page; who said nothing is not looked at."""
    session = at_work(ledger, MANY)
    spoken = reports(ledger, session)

    with counted(monkeypatch) as found, ledger.write() as tx:
        news = workers.hear(tx, spoken)

    assert len(news) == MANY
    assert all(one.is_first for one in news)
    assert found == Counted(statements=2, rows=MANY)
    with ledger.write() as tx:
        assert workers.hear(tx, spoken) == []


def test_jobs_that_are_heard_of_go_on_waiting_and_nobody_runs_a_step(
    ledger: Ledger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that fell silent are woken, those that were asked to stop too; for the others it costs two statements."""
    session = at_work(ledger, MANY)
    silent, stopping = WorkKey(session, 3), WorkKey(session, 5)
    clock.pass_by(DEADLINES.heartbeat - timedelta(seconds=10))
    with ledger.write() as tx:
        spoken = reports(ledger, session)
        worker = workers.of_unit(tx, silent)[0].instance_id
        workers.hear(tx, [one for one in spoken if one.instance_id != worker])
        tx.execute(
            sa.update(schema.resources)
            .where(schema.resources.c.session_id == session, schema.resources.c.ordinal == stopping.ordinal)
            .values(state={"stopAskedAt": 1.0})
        )
    clock.pass_by(timedelta(seconds=10))

    with counted(monkeypatch) as found, ledger.write() as tx:
        woken = heartbeats.signal_expired(tx, DEADLINES)

    assert woken == [silent, stopping]
    assert found.statements <= 6
    with ledger.write() as tx:
        assert heartbeats.signal_expired(tx, DEADLINES) == []
    clock.pass_by(DEADLINES.heartbeat)
    with ledger.write() as tx:
        assert len(heartbeats.signal_expired(tx, DEADLINES)) == MANY - 2


def test_a_job_whose_time_is_over_is_woken_however_much_it_says(ledger: Ledger, clock: FakeClock) -> None:
    """The order's own deadline is not put off."""
    session = at_work(ledger, 1)
    clock.pass_by(DEADLINES.job + DEADLINES.stop)
    with ledger.write() as tx:
        workers.hear(tx, reports(ledger, session))

    with ledger.write() as tx:
        assert heartbeats.signal_expired(tx, DEADLINES) == [WorkKey(session, 0)]


def test_looks_read_as_much_as_they_may_be_about(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times as many wait, and a look runs the same statements and reads as many rows."""
    costs: list[Counted] = []
    for count in (FEW, MANY):
        at_work(ledger, count, "snapshot")
        with counted(monkeypatch) as found, ledger.write() as tx:
            places = workers.places(tx, 20)
            snapshots = waiting.for_things(tx, "snapshot", most=20)
            heartbeats.signal_expired(tx, DEADLINES)
            work.overdue(tx)
            work.releasable(tx)
        costs.append(found)
        assert [len(ids) for *_, ids in places] == [20]
        (waits,) = snapshots.values()
        assert all(len(names) == 1 for names in waits.values())
        with ledger.write() as tx:
            tx.execute(sa.update(schema.work).values(parked=False, wait_for=None, step="done"))
            tx.execute(sa.update(schema.workers).values(state=workers.TERMINATED))

    assert costs[0].rows == costs[1].rows
    # A draw that begins near the end goes on at the beginning.
    assert all(9 <= one.statements <= 11 for one in costs)


def test_everybody_is_looked_at_in_the_end(ledger: Ledger) -> None:
    """Who is left out of one look is drawn by another."""
    session = at_work(ledger, FEW, "snapshot")
    drawn: set[WorkKey] = set()
    seen: set[str] = set()

    for _ in range(400):
        with ledger.read() as tx:
            ((*_, ids),) = workers.places(tx, 10)
            (waits,) = waiting.for_things(tx, "snapshot", most=10).values()
        assert (len(set(ids)), len(waits)) == (10, 10)
        seen.update(ids)
        drawn.update(waits)

    assert len(seen) == FEW
    assert drawn == {WorkKey(session, ordinal) for ordinal in range(FEW)}


def test_looks_never_read_a_whole_table(ledger: Ledger) -> None:
    """What is done stands in none of the indexes that they use, and what waits in none of those for what moves."""
    at_work(ledger, FEW)
    if ledger.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL chooses by the number of rows, and there are few")

    plans: list[str] = []

    def explain(connection: sa.Connection, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            rows = connection.connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.extend(row[3] for row in rows.fetchall())

    sa.event.listen(ledger.engine, "before_cursor_execute", explain)
    try:
        with ledger.write() as tx:
            work.overdue(tx)
            work.releasable(tx)
            work.left_behind(tx, Holder("steps@here"))
            work.signal_waiting(tx, "chain:1")
            heartbeats.signal_expired(tx, DEADLINES)
            waiting.for_things(tx, "snapshot", most=10)
            workers.places(tx, 10)
    finally:
        sa.event.remove(ledger.engine, "before_cursor_execute", explain)

    assert len(plans) >= 7
    assert [plan for plan in plans if plan.startswith("SCAN") and " ix_" not in plan] == []


class Slow:
    """EC2 that answers when four looks are under way: fewer at once would wait for ever."""

    def __init__(self) -> None:
        """Nobody has looked."""
        self.looked: list[str] = []
        self._together = Barrier(4, timeout=30)

    def compute(self, access: Access, *, yields: bool = False) -> Slow:
        """See `orchestrator.ports.Cloud`."""
        assert yields, "a look that is repeated leaves the last of AWS's rate to others"
        self.looked.append(access.account)
        return self

    def workers(self, *, ids: Sequence[str]) -> list[InstanceView]:
        """See the port."""
        self._together.wait()
        return [
            InstanceView(instance_id=name, state="running", instance_type="c5.large", availability_zone="eu-west-1a")
            for name in ids
        ]


def test_many_accounts_are_looked_at_at_the_same_time(ledger: Ledger) -> None:
    """One by one, hundreds of them would hold up the ticks of policies for a minute."""
    session = under_way(ledger, 8)
    with ledger.write() as tx:
        for ordinal in range(8):
            workers.enter(
                tx, instance_id=f"i-{ordinal:017x}", account=f"{ordinal:012}", region=PLACE[1], session=session,
                ordinal=ordinal, attempt=1, role=ROLE, state="pending", instance_type="c5.large",
                availability_zone="eu-west-1a",
            )  # fmt: skip
    cloud, woken = Slow(), Woken()
    services = Services(
        ledger=ledger, cloud=cast("Any", cloud), dispatch=cast("Any", woken), limiter=cast("Any", None),
        clock=ledger.clock, install=INSTALL,
    )  # fmt: skip

    watch(services)

    assert sorted(cloud.looked) == [f"{ordinal:012}" for ordinal in range(8)]
    with ledger.read() as tx:
        assert {one.state for one in workers.alive(tx)} == {"running"}


class Woken:
    """Publishes nothing (`orchestrator.ports.Dispatch`)."""

    def drive(self, keys: object) -> None:
        """See the port."""

    def terminate(self, account: str, region: str) -> None:
        """See the port."""
