"""A session as a chord of chains: the promises of Celery's pinned version that `tasks.canvas` relies on."""

from __future__ import annotations

from typing import Any

import redis
from support.plain import submit
from support.servers import wait_for

from orchestrator.ledger import sessions, work
from orchestrator.model.status import ResourceStatus, SessionStatus
from orchestrator.model.work import SESSION, WorkKey
from orchestrator.reconcile import reconcile


def test_a_session_ends_through_its_chord(plain: Any) -> None:
    """All four steps run for each resource and the callback releases the session."""
    plain.start_worker()
    session = submit(plain.services, 20)

    plain.services.dispatch.drive([WorkKey(session, SESSION)])

    assert plain.wait_until_final(session) is SessionStatus.SUCCESS


def test_a_failed_resource_reaches_teardown_and_the_others_go_on(plain: Any) -> None:
    """A failure is written to the ledger, never raised through the chain."""
    plain.start_worker()
    session = submit(plain.services, 9, fail=3)

    plain.services.dispatch.drive([WorkKey(session, SESSION)])

    assert plain.wait_until_final(session) is SessionStatus.WARNING
    with plain.services.ledger.read() as tx:
        counts = sessions.statuses(tx, session)
    assert counts == {ResourceStatus.FAILED: 3, ResourceStatus.SUCCESS: 6}


def test_parked_resources_hold_no_message_and_go_on_when_signalled(plain: Any) -> None:
    """1000 parked resources: no message in any queue, nothing unacknowledged; a signal completes the chord."""
    plain.start_worker()
    session = submit(plain.services, 1000, park=True)
    plain.services.dispatch.drive([WorkKey(session, SESSION)])

    def parked() -> int:
        with plain.services.ledger.read() as tx:
            return sessions.statuses(tx, session).get(ResourceStatus.RUNNING, 0)

    wait_for(lambda: parked() == 1000, seconds=90)
    client = redis.Redis.from_url(plain.environment["DAYWORK_BROKER_URL"])
    wait_for(lambda: client.hlen("unacked") == 0, seconds=10)
    assert [client.llen(queue) for queue in ("daywork.steps", "daywork.control", "daywork.periodic")] == [0, 0, 0]
    client.close()

    with plain.services.ledger.write() as tx:
        woken = work.signal_session(tx, session)
    plain.services.dispatch.drive(woken)

    assert len(woken) >= 1000
    assert plain.wait_until_final(session, seconds=120) is SessionStatus.SUCCESS


def test_a_session_survives_the_loss_of_everything_in_the_broker(plain: Any) -> None:
    """What was accepted is in the ledger: an emptied broker costs time and nothing else."""
    session = submit(plain.services, 5)
    plain.services.dispatch.drive([WorkKey(session, SESSION)])
    client = redis.Redis.from_url(plain.environment["DAYWORK_BROKER_URL"])
    client.flushall()
    client.close()
    with plain.services.ledger.write() as tx:
        tx.execute(work.schema.work.update().values(moved_at=tx.now - 10 * work.GRACE))
    plain.start_worker()

    assert reconcile(plain.services) == 1

    assert plain.wait_until_final(session) is SessionStatus.SUCCESS


def test_a_chord_that_died_is_released_from_the_ledger(plain: Any) -> None:
    """The chord's keys are lost in mid-session: the reconciler finds all resources final and releases."""
    plain.start_worker()
    session = submit(plain.services, 3, park=True)
    plain.services.dispatch.drive([WorkKey(session, SESSION)])

    def all_parked() -> bool:
        with plain.services.ledger.read() as tx:
            return sessions.statuses(tx, session).get(ResourceStatus.RUNNING, 0) == 3

    wait_for(all_parked, seconds=30)
    client = redis.Redis.from_url(plain.environment["DAYWORK_BROKER_URL"])
    client.flushall()
    client.close()
    with plain.services.ledger.write() as tx:
        woken = work.signal_session(tx, session)
    plain.services.dispatch.drive(woken)

    def released() -> bool:
        reconcile(plain.services)
        return plain.status(session).is_final

    wait_for(released, seconds=60, every=0.5)
    assert plain.status(session) is SessionStatus.SUCCESS
