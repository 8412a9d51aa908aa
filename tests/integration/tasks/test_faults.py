"""What happens to a session when messages, processes and the broker fail."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from typing import Any

import psutil
import redis
import sqlalchemy as sa
from support.ledgers import request_of
from support.plain import submit
from support.servers import wait_for

from orchestrator.ledger import schema, sessions, work
from orchestrator.ledger.work import Place
from orchestrator.model.status import RESOURCE_STEPS, ResourceStatus, SessionStatus, Step
from orchestrator.model.work import SESSION, WorkKey
from orchestrator.reconcile import find_lost, reconcile
from tasks.canvas import publish, publish_session
from tasks.ids import group_id
from tasks.unacked import unacknowledged

QUEUES = ("daywork.steps", "daywork.control", "daywork.periodic")


def start_by_hand(plain: Any, session: str) -> list[Place]:
    """Carry the start out in this process; returns what its publisher has to publish."""
    from support.plain import STEPS

    from orchestrator.steps.carry import carry_out

    carry_out(plain.services, STEPS, WorkKey(session, SESSION), Step.START, 1)
    with plain.services.ledger.read() as tx:
        keys = [WorkKey(session, ordinal) for ordinal in work.ordinals(tx, session)]
        return work.places(tx, keys)


def ended_steps(plain: Any, session: str) -> dict[str, int]:
    """Count how many resources have each step behind them, as the ledger's own record has it."""
    table = schema.steps
    with plain.services.ledger.read() as tx:
        rows = tx.rows(
            sa.select(table.c.step, sa.func.count().label("number"))
            .where(table.c.session_id == session, table.c.ended_at.is_not(None))
            .group_by(table.c.step)
        )
    return {row.step: row.number for row in rows}


def running(plain: Any, session: str) -> int:
    """Count resources whose job is under way, that is parked."""
    with plain.services.ledger.read() as tx:
        return sessions.statuses(tx, session).get(ResourceStatus.RUNNING, 0)


def let_claims_run_out(plain: Any) -> None:
    """Make the ledger believe that all claims are old and that nothing has moved for long."""
    with plain.services.ledger.write() as tx:
        old = tx.now - 10 * work.GRACE
        tx.execute(schema.work.update().values(moved_at=old))
        tx.execute(schema.work.update().where(schema.work.c.claimed_until.is_not(None)).values(claimed_until=old))


def end_by_reconciling(plain: Any, session: str) -> None:
    """Wait for a session's end while the reconciler does what its beat would have it do."""

    def ended() -> bool:
        let_claims_run_out(plain)
        reconcile(plain.services)
        return bool(plain.status(session).is_final)

    wait_for(ended, seconds=60, every=1)


def waiting_messages(plain: Any) -> int:
    """Count messages in queues and unacknowledged ones."""
    client = redis.Redis.from_url(plain.environment["DAYWORK_BROKER_URL"])
    try:
        return sum(client.llen(queue) for queue in QUEUES) + client.hlen("unacked")
    finally:
        client.close()


def test_a_publisher_that_died_half_way_is_repeated(plain: Any) -> None:
    """The chord's size is there from the first message on; those who had ended by then are left alone."""
    session = submit(plain.services, 8)
    places = start_by_hand(plain, session)
    plain.app.backend.set_chord_size(group_id(session), len(places))
    for place in places[:3]:
        publish(plain.app, place)
    plain.start_worker()
    wait_for(lambda: ended_steps(plain, session).get(Step.TEARDOWN, 0) == 3, seconds=30)

    publish_session(plain.app, plain.services.ledger, session)

    assert plain.wait_until_final(session) is SessionStatus.SUCCESS
    assert ended_steps(plain, session) == {str(step): 8 for step in RESOURCE_STEPS}


def test_every_message_twice_is_every_step_once(plain: Any) -> None:
    """Copies find the step taken or past; the chord counts each resource once and the session ends once."""
    session = submit(plain.services, 6)
    places = start_by_hand(plain, session)
    for _ in range(2):
        publish_session(plain.app, plain.services.ledger, session)
        for place in places:
            publish(plain.app, place)

    plain.start_worker()

    assert plain.wait_until_final(session) is SessionStatus.SUCCESS
    wait_for(lambda: waiting_messages(plain) == 0, seconds=30)
    assert ended_steps(plain, session) == {str(step): 6 for step in RESOURCE_STEPS}
    with plain.services.ledger.read() as tx:
        assert sessions.get(tx, session).status is SessionStatus.SUCCESS


def test_a_message_of_an_earlier_step_only_leads_on(plain: Any) -> None:
    """A late copy of a chain whose resource is parked further on neither runs nor counts anything."""
    plain.start_worker()
    session = submit(plain.services, 2, park=True)
    plain.services.dispatch.drive([WorkKey(session, SESSION)])
    wait_for(lambda: running(plain, session) == 2, seconds=30)

    late = Place(key=WorkKey(session, 0), step=Step.ASSUME_ROLE, attempt=1, resource_id="i-0")
    publish(plain.app, late)
    wait_for(lambda: waiting_messages(plain) == 0, seconds=30)

    assert running(plain, session) + ended_steps(plain, session).get(Step.TEARDOWN, 0) == 2
    with plain.services.ledger.write() as tx:
        woken = work.signal_session(tx, session)
    plain.services.dispatch.drive(woken)
    assert plain.wait_until_final(session) is SessionStatus.SUCCESS


def test_killed_pool_children_are_replaced_and_the_session_ends(plain: Any) -> None:
    """Whatever they held is delivered again, or driven on by the reconciler when its claim has run out."""
    plain.start_worker()
    session = submit(plain.services, 60)
    plain.services.dispatch.drive([WorkKey(session, SESSION)])
    wait_for(lambda: ended_steps(plain, session).get(Step.ASSUME_ROLE, 0) >= 5, seconds=30)

    for child in psutil.Process(plain.worker.pid).children():
        os.kill(child.pid, signal.SIGKILL)

    end_by_reconciling(plain, session)
    assert plain.status(session) is SessionStatus.SUCCESS
    assert ended_steps(plain, session) == {str(step): 60 for step in RESOURCE_STEPS}


def test_a_killed_celery_worker_costs_time_alone(plain: Any) -> None:
    """Parent and children die in the middle; the next one and the reconciler bring the session to its end."""
    plain.start_worker()
    session = submit(plain.services, 60)
    plain.services.dispatch.drive([WorkKey(session, SESSION)])
    wait_for(lambda: ended_steps(plain, session).get(Step.ASSUME_ROLE, 0) >= 5, seconds=30)

    plain.kill_worker()
    plain.start_worker()

    end_by_reconciling(plain, session)
    assert plain.status(session) is SessionStatus.SUCCESS


def test_a_celery_worker_that_begins_nothing_ends_to_be_started_again(plain: Any) -> None:
    """Its children take no message any more, and the parent does not notice; the next life finishes the session."""
    plain.start_worker()
    first = submit(plain.services, 1)
    plain.services.dispatch.drive([WorkKey(first, SESSION)])
    wait_for(lambda: plain.status(first).is_final, seconds=60)
    for child in psutil.Process(plain.worker.pid).children():
        child.suspend()
    session = submit(plain.services, 4)
    plain.services.dispatch.drive([WorkKey(session, SESSION)])

    assert plain.worker.wait(60) == -signal.SIGKILL
    plain.start_worker()

    end_by_reconciling(plain, session)
    assert plain.status(session) is SessionStatus.SUCCESS


def test_a_revoked_step_is_driven_on(plain: Any) -> None:
    """A revoke, which hangs Celery's own chords, is one more message lost."""
    from tasks.ids import task_id

    plain.start_worker()
    session = submit(plain.services, 2, park=True)
    plain.services.dispatch.drive([WorkKey(session, SESSION)])
    wait_for(lambda: running(plain, session) == 2, seconds=30)
    plain.app.control.revoke(task_id(WorkKey(session, 0), 1, Step.RUN_JOB), reply=True, timeout=5)
    with plain.services.ledger.write() as tx:
        woken = work.signal_session(tx, session)
    plain.services.dispatch.drive(woken)
    wait_for(lambda: waiting_messages(plain) == 0, seconds=30)
    assert not plain.status(session).is_final

    # The Celery worker remembers what it was told to revoke, as long as it lives.
    plain.kill_worker()
    plain.start_worker()

    end_by_reconciling(plain, session)
    assert plain.status(session) is SessionStatus.SUCCESS


def test_two_reconcilers_at_once_are_harmless(plain: Any) -> None:
    """What one names the other does not, and a session that was never published gets under way."""
    session = submit(plain.services, 4)
    let_claims_run_out(plain)

    assert [reconcile(plain.services), reconcile(plain.services)] == [1, 0]

    plain.start_worker()
    assert plain.wait_until_final(session) is SessionStatus.SUCCESS


def test_a_celery_worker_that_is_killed_and_started_again_goes_on_by_itself(plain: Any) -> None:
    """Claims of its earlier life are taken over when it is ready, and lost messages once nothing waits any more."""
    plain.start_worker()
    session = submit(plain.services, 40)
    plain.services.dispatch.drive([WorkKey(session, SESSION)])
    wait_for(lambda: ended_steps(plain, session).get(Step.ASSUME_ROLE, 0) >= 5, seconds=30)

    plain.kill_worker()
    plain.start_worker()

    def ended() -> bool:
        plain.app.send_task("periodic.reconcile", queue="daywork.periodic")
        return bool(plain.status(session).is_final)

    wait_for(ended, seconds=60, every=1)
    assert plain.status(session) is SessionStatus.SUCCESS
    assert ended_steps(plain, session) == {str(step): 40 for step in RESOURCE_STEPS}


def test_a_ledger_that_is_away_holds_everything_up_and_loses_nothing(plain: Any) -> None:
    """No step runs without its row, a request is answered when it can be, and the reconciler drives the rest."""
    ledger = plain.directory / "ledger.sqlite3"
    away = ledger.with_suffix(".away")
    session = submit(plain.services, 6)
    places = start_by_hand(plain, session)
    plain.start_worker()
    wait_for(lambda: plain.app.control.ping(timeout=1), seconds=30)

    ledger.rename(away)
    for place in places:
        publish(plain.app, place)
    plain.app.signature("session.start", args=(session,), immutable=True).apply_async()
    request = request_of(1).model_dump(mode="json", by_alias=True, exclude_none=True)
    asked = plain.app.signature("daywork.submit", kwargs={"request": request}).apply_async()
    wait_for(lambda: asked.status == "RETRY" and waiting_messages(plain) == 1, seconds=30)
    away.rename(ledger)

    assert ended_steps(plain, session) == {}
    assert "refused" in asked.get(timeout=30)
    let_claims_run_out(plain)
    reconcile(plain.services)
    wait_for(lambda: ended_steps(plain, session) == {str(step): 6 for step in RESOURCE_STEPS}, seconds=30)
    let_claims_run_out(plain)
    reconcile(plain.services)
    assert plain.wait_until_final(session) is SessionStatus.SUCCESS


def test_a_message_in_dead_hands_is_missed_at_once(plain: Any) -> None:
    """It is not given back for minutes, but its work is claimed by nobody: the ledger's row is driven again."""
    session = submit(plain.services, 3)
    start_by_hand(plain, session)
    plain.app.backend.set_chord_size(group_id(session), 3)
    publish_session(plain.app, plain.services.ledger, session)
    with plain.app.connection_for_read() as connection:
        taken = connection.SimpleQueue("daywork.steps").get(timeout=5)
        wait_for(lambda: unacknowledged(plain.app) == [WorkKey(session, 0)], seconds=5)
        assert unacknowledged(plain.app, since=timedelta(minutes=1)) == []
        assert taken.headers["task"] == "worker.assume_role"
        plain.start_worker()
        assert plain.wait_until_final(session) is SessionStatus.SUCCESS


def test_a_message_in_living_hands_is_left_to_them(plain: Any) -> None:
    """Its work is claimed, or parked, or further on."""
    session = submit(plain.services, 2)
    places = start_by_hand(plain, session)
    held = [place.key for place in places]
    with plain.services.ledger.write() as tx:
        work.claim(tx, held[0], Step.ASSUME_ROLE, 1)
        tx.execute(schema.work.update().where(schema.work.c.ordinal == 1).values(parked=True))

    assert find_lost(plain.services, held, grace=timedelta(0)) == 0
