"""What stands in the broker's queues, and what the reconciler concludes from it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import redis
from support.plain import submit

from orchestrator.ledger import schema, work
from orchestrator.model.status import Step
from orchestrator.model.work import SESSION, WorkKey
from orchestrator.reconcile import patience, reconcile
from orchestrator.steps.carry import carry_out
from tasks.canvas import publish_session
from tasks.messages import oldest

AGE = timedelta(minutes=3)


def in_a_long_queue(plain: Any, count: int) -> str:
    """Publish a session that nobody carries out, and let its messages have waited for long."""
    from support.plain import STEPS

    session = submit(plain.services, count)
    carry_out(plain.services, STEPS, WorkKey(session, SESSION), Step.START, 1)
    publish_session(plain.app, plain.services.ledger, session)
    with plain.services.ledger.write() as tx:
        tx.execute(schema.work.update().values(moved_at=tx.now - AGE))
    return session


def waiting(plain: Any) -> int:
    """Count the messages of steps."""
    with redis.Redis.from_url(plain.environment["DAYWORK_BROKER_URL"]) as client:
        return int(client.llen("daywork.steps"))  # type: ignore[arg-type]


def test_a_long_queue_is_not_filled_with_repeats_of_what_it_holds(plain: Any) -> None:
    """Nobody has waited longer than the oldest message; who has stood still for longer has lost its own."""
    session = in_a_long_queue(plain, 30)
    assert oldest(plain.app)[-1] == WorkKey(session, 0), "the oldest is the last"

    grace = patience(plain.services, oldest(plain.app))
    assert work.GRACE + AGE <= grace < work.GRACE + 2 * AGE
    assert reconcile(plain.services, grace=grace) == 0
    with plain.services.ledger.write() as tx:
        lost = schema.work.update().where(schema.work.c.session_id == session, schema.work.c.ordinal == 25)
        tx.execute(lost.values(moved_at=tx.now - 3 * AGE))

    assert reconcile(plain.services, grace=grace) == 1
    assert waiting(plain) == 31


def test_a_queue_without_steps_is_looked_at_as_ever(plain: Any) -> None:
    """Messages that are no step of ours say nothing."""
    plain.app.send_task("periodic.tick", queue="daywork.steps")
    with redis.Redis.from_url(plain.environment["DAYWORK_BROKER_URL"]) as client:
        client.rpush("daywork.steps", '{"headers": {}, "properties": {}, "body": "?"}')

    assert oldest(plain.app) == []
    assert patience(plain.services, oldest(plain.app)) == work.GRACE


def test_what_has_parked_meanwhile_makes_nobody_wait(plain: Any) -> None:
    """A message that came twice may be about work that has moved on: its age is not the queue's."""
    in_a_long_queue(plain, 3)
    with plain.services.ledger.write() as tx:
        tx.execute(schema.work.update().values(parked=True, wait_for="worker"))

    assert patience(plain.services, oldest(plain.app)) == work.GRACE
