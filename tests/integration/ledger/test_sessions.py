"""Sessions: accepted once, moved by the rules, stopped at any time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.clock import FakeClock
from support.ledgers import claimed, request_of, settled, submit, under_way

from orchestrator.errors import Conflict, IllegalTransition, NotFound
from orchestrator.ledger import journal, sessions, work
from orchestrator.ledger.store import Ledger, Transaction
from orchestrator.model.status import DeploymentMode, ResourceStatus, SessionStatus
from orchestrator.model.work import SESSION, Park, WorkKey


def test_the_same_request_twice_is_one_session(ledger: Ledger) -> None:
    """Source and id are the idempotency key."""
    first = submit(ledger, 2)

    with ledger.write() as tx:
        again = sessions.submit(tx, request_of(2), mode=DeploymentMode.BACKUP, resources=[])

    assert again == (first, False)
    with ledger.read() as tx:
        assert [one.id for one in sessions.recent(tx)] == [first]


def test_another_request_under_the_same_key_is_refused(ledger: Ledger) -> None:
    """The refusal names the session that has the key, and nothing is made."""
    first = submit(ledger, 2)

    with pytest.raises(Conflict) as refused, ledger.write() as tx:
        sessions.submit(tx, request_of(3), mode=DeploymentMode.BACKUP, resources=[])

    assert refused.value.field == "id"
    assert first in refused.value.reason
    with ledger.read() as tx:
        assert len(sessions.recent(tx)) == 1


def test_a_session_knows_its_request_and_its_resources(ledger: Ledger, clock: FakeClock) -> None:
    """The request comes back whole but for the resources, which are rows of their own."""
    session = submit(ledger, 3, options={"full": True}, retry={"attempts": 3, "delay": 5})

    with ledger.read() as tx:
        found, resources = sessions.get(tx, session), sessions.resources(tx, session)
        line = journal.read(tx, session)[0]

    assert found.request.options == {"full": True}
    assert found.request.retry.attempts == 3
    assert found.request.resources == ()
    assert (found.status, found.created_at, found.plan) == (SessionStatus.PENDING, clock.now(), None)
    assert [(one.ordinal, one.status) for one in resources] == [(n, ResourceStatus.PENDING) for n in range(3)]
    assert line.text.startswith("session accepted")


def test_resources_are_added_once(ledger: Ledger) -> None:
    """A selection that is made again adds what is new and numbers it on."""
    session = submit(ledger, 2)
    wanted = [sessions.Wanted(account="1" * 12, region="eu-west-1", resource_id=f"i-{n:017x}") for n in (1, 5)]

    for _ in range(2):
        with ledger.write() as tx:
            sessions.add_resources(tx, session, wanted)

    with ledger.read() as tx:
        assert [one.resource_id[-1] for one in sessions.resources(tx, session)] == ["0", "1", "5"]


def test_unknown_sessions_and_resources_are_named(ledger: Ledger) -> None:
    """Not found says what was looked for."""
    with ledger.read() as tx:
        with pytest.raises(NotFound, match="s-none"):
            sessions.get(tx, "s-none")
        with pytest.raises(NotFound, match="s-none/0"):
            sessions.resource(tx, WorkKey("s-none", 0))


def test_nothing_follows_a_final_status(ledger: Ledger, clock: FakeClock) -> None:
    """Neither of a session nor of a resource; the end is stamped once."""
    session = submit(ledger, 1)
    key = WorkKey(session, 0)
    ended = clock.now()
    with ledger.write() as tx:
        sessions.move_resource(tx, key, ResourceStatus.FAILED, reason="no")
        sessions.move(tx, session, SessionStatus.FAILED)
    clock.pass_by(timedelta(minutes=1))

    with pytest.raises(IllegalTransition), ledger.write() as tx:
        sessions.move(tx, session, SessionStatus.RUNNING)
    with pytest.raises(IllegalTransition), ledger.write() as tx:
        sessions.move_resource(tx, key, ResourceStatus.RUNNING)
    with ledger.write() as tx:
        sessions.move_resource(tx, key, ResourceStatus.FAILED)

    with ledger.read() as tx:
        assert sessions.get(tx, session).ended_at == ended
        assert sessions.resource(tx, key).ended_at == ended
        assert sessions.statuses(tx, session) == {ResourceStatus.FAILED: 1}


def test_a_refused_change_leaves_nothing_of_its_transaction(ledger: Ledger) -> None:
    """All or nothing."""
    session = submit(ledger, 1)
    with ledger.write() as tx:
        sessions.move(tx, session, SessionStatus.STOPPED)

    def change(tx: Transaction) -> None:
        journal.write(tx, session, "never seen")
        sessions.move(tx, session, SessionStatus.RUNNING)

    with pytest.raises(IllegalTransition):
        ledger.run(change)

    with ledger.read() as tx:
        assert all(line.text != "never seen" for line in journal.read(tx, session))


def test_what_steps_remember_comes_back(ledger: Ledger) -> None:
    """State, figures, result and reason."""
    key = WorkKey(submit(ledger, 1), 0)

    with ledger.write() as tx:
        sessions.remember(
            tx, key, state={"snapshots": {"vol-1": "snap-1"}}, done=5, total=2**40, result={"kind": "full"}
        )
        sessions.remember(tx, key, outcome="warning", reason="a little late")

    with ledger.read() as tx:
        found = sessions.resource(tx, key)
    assert found.state == {"snapshots": {"vol-1": "snap-1"}}
    assert (found.done, found.total, found.result) == (5, 2**40, {"kind": "full"})
    assert (found.outcome, found.reason) == ("warning", "a little late")


def test_a_stop_is_noted_once_and_wakes_everybody(ledger: Ledger, clock: FakeClock) -> None:
    """Repeating it changes nothing but wakes again; after the end it does nothing."""
    session = under_way(ledger, 2)
    settled(ledger, claimed(ledger, WorkKey(session, 1)), Park("worker", clock.now() + timedelta(hours=1)))
    asked = clock.now()

    with ledger.write() as tx:
        assert sessions.request_stop(tx, session) == [WorkKey(session, SESSION), WorkKey(session, 1)]
    clock.pass_by(timedelta(minutes=1))
    with ledger.write() as tx:
        assert sessions.request_stop(tx, session) == []

    with ledger.read() as tx:
        found = sessions.get(tx, session)
        lines = [line.text for line in journal.read(tx, session)]
    assert (found.status, found.stop_at, found.is_stopping) == (SessionStatus.STOPPING, asked, True)
    assert lines.count("stop requested") == 1
    with ledger.write() as tx:
        sessions.move(tx, session, SessionStatus.STOPPED)
        assert sessions.request_stop(tx, session) == []


def test_the_log_goes_on_after_a_line(ledger: Ledger) -> None:
    """Lines in order, those after an id only, long ones shortened."""
    session = submit(ledger, 1)
    with ledger.write() as tx:
        for number in range(5):
            journal.write(tx, session, f"line {number}", ordinal=0, level="warning")
        journal.write(tx, session, "x" * 5000)

    with ledger.read() as tx:
        lines = journal.read(tx, session)
        rest = journal.read(tx, session, after=lines[2].id, limit=2)

    assert [line.text for line in rest] == ["line 2", "line 3"]
    assert (rest[0].ordinal, rest[0].level) == (0, "warning")
    assert len(lines[-1].text) == 2000


def test_work_of_a_session_is_counted(ledger: Ledger) -> None:
    """Those that have a chain, whether it has ended or not."""
    session = under_way(ledger, 3)

    with ledger.read() as tx:
        assert work.ordinals(tx, session) == [0, 1, 2]
        assert work.unfinished(tx, session) == 3
