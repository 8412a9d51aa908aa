"""A step's answer is one change: where the work stands, the step's record, what people see of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from support.clock import FakeClock
from support.ledgers import claimed, submit, under_way
from support.plain import plain_services

from orchestrator.errors import Fenced, IllegalTransition
from orchestrator.ledger import journal, schema, sessions, settling, work
from orchestrator.ledger.settling import Shown
from orchestrator.ledger.store import Ledger
from orchestrator.model.status import ResourceStatus, SessionStatus, Step
from orchestrator.model.work import SESSION, Again, Claim, Done, Failed, Outcome, Park, Stopped, WorkKey
from orchestrator.steps.carry import carry_out

LATER = timedelta(hours=1)


@dataclass
class Silent:
    """A dispatch that publishes nothing."""

    driven: list[WorkKey] = field(default_factory=list)

    def drive(self, keys: Any) -> None:
        """Remember."""
        self.driven += keys


def carried(ledger: Ledger, key: WorkKey, step: Step, outcome: Outcome, attempt: int = 1) -> str:
    """Carry out a step that answers so; returns its words."""
    services = plain_services(None, lambda _: Silent(), ledger=ledger)
    return carry_out(services, {step: lambda _services, _held: outcome}, key, step, attempt).words


def brought_to(ledger: Ledger, step: Step) -> WorkKey:
    """Return a resource that stands at a step."""
    key = WorkKey(under_way(ledger, 1), 0)
    for earlier in (Step.ASSUME_ROLE, Step.LAUNCH_WORKER, Step.RUN_JOB, Step.TEARDOWN):
        if earlier is step:
            break
        carried(ledger, key, earlier, Done())
    return key


def seen(ledger: Ledger, key: WorkKey) -> tuple[sessions.Resource, Step, dict[str, str | None], list[tuple[str, str]]]:
    """Return the resource, where its work stands, how its steps ended, and the log's lines of it."""
    with ledger.read() as tx:
        (place,) = work.places(tx, [key])
        ended = {row.step: row.outcome for row in tx.rows(sa.select(schema.steps))}
        lines = [(one.level, one.text) for one in journal.read(tx, key.session) if one.ordinal == key.ordinal]
        return sessions.resource(tx, key), place.step, ended, lines


@pytest.mark.parametrize(
    ("step", "outcome", "shown", "stands_at", "word", "lines"),
    [
        (Step.ASSUME_ROLE, Done(), "assuming-role", "launch_worker", "success", []),
        (Step.RUN_JOB, Done(), "tearing-down", "teardown", "success", []),
        (Step.TEARDOWN, Done(ResourceStatus.SUCCESS), "success", "done", "success", [("info", "ended: success")]),
        (Step.TEARDOWN, Done(ResourceStatus.WARNING), "warning", "done", "success", [("info", "ended: warning")]),
        (Step.LAUNCH_WORKER, Failed("no"), "tearing-down: no", "teardown", "failed", [("error", "failed: no")]),
        (Step.RUN_JOB, Stopped("halt"), "tearing-down: halt", "teardown", "stopped", [("info", "halt")]),
    ],
)
def test_an_answer_is_written_whole(
    ledger: Ledger,
    step: Step,
    outcome: Outcome,
    shown: str,
    stands_at: str,
    word: str,
    lines: list[tuple[str, str]],
) -> None:
    """The status that follows, the reason, the step's record and the log's line."""
    key = brought_to(ledger, step)

    carried(ledger, key, step, outcome)

    resource, place, ended, told = seen(ledger, key)
    assert f"{resource.status}: {resource.reason}" == (shown if ":" in shown else f"{shown}: None")
    assert (str(place), ended[step]) == (stands_at, word)
    assert told == lines
    assert (resource.ended_at is not None) == resource.status.is_final
    assert resource.started_at is not None


def test_a_failure_keeps_its_remedy_and_how_the_resource_ended(ledger: Ledger) -> None:
    """Teardown and the record read both."""
    key = brought_to(ledger, Step.LAUNCH_WORKER)

    carried(ledger, key, Step.LAUNCH_WORKER, Failed("no", "do"))

    resource = seen(ledger, key)[0]
    assert (resource.outcome, resource.reason, resource.remedy) == ("failed", "no", "do")


def test_a_wait_shows_its_status_and_reason_and_an_open_step(ledger: Ledger, clock: FakeClock) -> None:
    """Asked again it waits again, with one record of the step."""
    key = brought_to(ledger, Step.LAUNCH_WORKER)
    waits = Park("worker", clock.now() + LATER, status=ResourceStatus.LAUNCHING, reason="no capacity")

    for _ in range(2):
        assert carried(ledger, key, Step.LAUNCH_WORKER, waits) == "parked: worker"

    resource, place, ended, told = seen(ledger, key)
    assert (resource.status, resource.reason, place) == ("launching", "no capacity", Step.LAUNCH_WORKER)
    assert ended[Step.LAUNCH_WORKER] is None
    assert told == [("info", "waiting: no capacity")] * 2


def test_what_a_teardown_waits_for_does_not_hide_the_reason(ledger: Ledger, clock: FakeClock) -> None:
    """Shown stays why the job ended."""
    key = brought_to(ledger, Step.RUN_JOB)
    carried(ledger, key, Step.RUN_JOB, Failed("the job failed"))

    carried(ledger, key, Step.TEARDOWN, Park("terminated", clock.now() + LATER, reason="still running"))

    assert seen(ledger, key)[0].reason == "the job failed"


def test_the_next_attempt_forgets_everything_but_how_the_last_one_ended(ledger: Ledger, clock: FakeClock) -> None:
    """Its chain begins anew."""
    key = brought_to(ledger, Step.RUN_JOB)
    carried(ledger, key, Step.RUN_JOB, Failed("the job failed", "look"))

    carried(ledger, key, Step.TEARDOWN, Again(clock.now() + LATER))

    resource, place, _, _ = seen(ledger, key)
    assert (resource.status, resource.attempt, resource.outcome) == ("pending", 2, None)
    (earlier,) = resource.state["earlier"]
    assert (earlier["attempt"], earlier["reason"], earlier["remedy"]) == (1, "the job failed", "look")
    assert place is Step.ASSUME_ROLE
    assert carried(ledger, key, Step.ASSUME_ROLE, Done(), attempt=2) == "done"


def test_the_sessions_own_wait_is_told_in_its_log(ledger: Ledger, clock: FakeClock) -> None:
    """It has no resource and no record of steps."""
    session = submit(ledger, 1)

    carried(ledger, WorkKey(session, SESSION), Step.START, Park("retry", clock.now() + LATER, reason="throttled"))

    with ledger.read() as tx:
        assert [one.text for one in journal.read(tx, session)][-1] == "start: throttled"
        assert sessions.get(tx, session).status is SessionStatus.PENDING
        assert tx.rows(sa.select(schema.steps)) == []


def test_nothing_of_an_answer_under_an_old_fence_is_written(ledger: Ledger, clock: FakeClock) -> None:
    """Neither the move nor what people would see of it."""
    key = brought_to(ledger, Step.TEARDOWN)
    old = claimed(ledger, key, Step.TEARDOWN)
    clock.pass_by(work.CLAIM + timedelta(seconds=1))
    claimed(ledger, key, Step.TEARDOWN)
    before = seen(ledger, key)

    with pytest.raises(Fenced):
        settled(ledger, old, Shown(resource={"status": ResourceStatus.SUCCESS}, line="ended: success"))

    assert seen(ledger, key) == before


def test_nothing_of_an_answer_about_a_final_resource_is_written(ledger: Ledger) -> None:
    """A final status stays, and the work stays where it stood."""
    key = brought_to(ledger, Step.TEARDOWN)
    held = claimed(ledger, key, Step.TEARDOWN)
    with ledger.write() as tx:
        sessions.move_resource(tx, key, ResourceStatus.STOPPED)
    before = seen(ledger, key)

    with pytest.raises(IllegalTransition):
        settled(ledger, held, Shown(resource={"status": ResourceStatus.SUCCESS}, line="ended: success"))

    assert seen(ledger, key) == before


def settled(ledger: Ledger, held: Claim, shown: Shown) -> None:
    """Settle as `carry_out` does on this database."""
    ledger.run(
        lambda tx: settling.settle(tx, held, Done(ResourceStatus.SUCCESS), shown),
        single=settling.at_once(ledger.engine),
    )
