"""Claims, fences, parking and signals."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta

import pytest
import sqlalchemy as sa
from support.clock import FakeClock
from support.ledgers import claimed, settled, under_way

from orchestrator.errors import Fenced
from orchestrator.ledger import schema, work
from orchestrator.ledger.holders import Holder
from orchestrator.ledger.store import Ledger
from orchestrator.ledger.work import CLAIM, GRACE, GRACE_WHEN_IDLE, Refusal, Settled
from orchestrator.model.status import Step
from orchestrator.model.work import SESSION, Again, Claim, Done, Failed, Park, Stopped, WorkKey

HOUR = timedelta(hours=1)


def place(ledger: Ledger, key: WorkKey) -> work.Place:
    """Return where a unit stands."""
    with ledger.read() as tx:
        return work.places(tx, [key])[0]


def park(ledger: Ledger, clock: FakeClock, key: WorkKey, what: str = "worker") -> None:
    """Park a resource's first step."""
    assert settled(ledger, claimed(ledger, key), Park(what, clock.now() + HOUR)) is Settled.PARKED


def test_a_claim_is_given_once_until_it_is_settled(ledger: Ledger) -> None:
    """A second copy of the same message finds the step taken."""
    key = WorkKey(under_way(ledger, 1), 0)

    claimed(ledger, key)

    with ledger.write() as tx:
        assert work.claim(tx, key, Step.ASSUME_ROLE, 1) is Refusal.TAKEN


def test_a_claim_that_ran_out_is_taken_over_under_a_higher_fence(ledger: Ledger, clock: FakeClock) -> None:
    """Whoever held it before may write nothing any more."""
    key = WorkKey(under_way(ledger, 1), 0)
    first = claimed(ledger, key)

    clock.pass_by(CLAIM)
    second = claimed(ledger, key)

    assert second.fence > first.fence
    assert (first.tries, second.tries) == (1, 2)
    with pytest.raises(Fenced):
        settled(ledger, first, Done())
    with pytest.raises(Fenced), ledger.write() as tx:
        work.hold(tx, first)
    with pytest.raises(Fenced), ledger.write() as tx:
        work.release_claim(tx, first)
    assert settled(ledger, second, Done()) is Settled.MOVED


@pytest.mark.parametrize(
    ("outcome", "step", "word"),
    [
        (Done(), Step.LAUNCH_WORKER, "success"),
        (Failed("no role", "make one"), Step.TEARDOWN, "failed"),
        (Stopped(), Step.TEARDOWN, "stopped"),
    ],
)
def test_an_answer_moves_the_chain_and_ends_the_step(
    ledger: Ledger, clock: FakeClock, outcome: Done | Failed | Stopped, step: Step, word: str
) -> None:
    """Done goes on, Failed and Stopped go to teardown; the step's record tells since when and how."""
    key = WorkKey(under_way(ledger, 1), 0)
    began = clock.now()
    held = claimed(ledger, key)
    ended = clock.pass_by(timedelta(seconds=3))

    assert settled(ledger, held, outcome) is Settled.MOVED

    assert place(ledger, key).step is step
    with ledger.read() as tx:
        assert [(row.step, row.started_at, row.ended_at, row.outcome) for row in tx.rows(sa.select(schema.steps))] == [
            (Step.ASSUME_ROLE, began, ended, word)
        ]


def test_a_step_that_is_past_lets_the_chain_go_on(ledger: Ledger) -> None:
    """A repeat of a done step is told apart from one that comes too early or of an older attempt."""
    key = WorkKey(under_way(ledger, 1), 0)
    settled(ledger, claimed(ledger, key), Done())

    with ledger.write() as tx:
        assert work.claim(tx, key, Step.ASSUME_ROLE, 1) is Refusal.PAST
        assert work.claim(tx, key, Step.RUN_JOB, 1) is Refusal.TAKEN
        assert work.claim(tx, key, Step.LAUNCH_WORKER, 2) is Refusal.TAKEN
        assert work.claim(tx, WorkKey(key.session, 7), Step.LAUNCH_WORKER, 1) is Refusal.TAKEN


def test_a_chain_ends_done(ledger: Ledger) -> None:
    """After teardown nothing is left to claim."""
    key = WorkKey(under_way(ledger, 1), 0)

    for step in (Step.ASSUME_ROLE, Step.LAUNCH_WORKER, Step.RUN_JOB, Step.TEARDOWN):
        settled(ledger, claimed(ledger, key, step), Done())

    assert place(ledger, key).step is Step.DONE
    with ledger.write() as tx:
        assert work.unfinished(tx, key.session) == 0
        assert work.claim(tx, key, Step.TEARDOWN, 1) is Refusal.PAST
        assert work.signal(tx, [key]) == []


def test_a_signal_wakes_parked_work_once(ledger: Ledger, clock: FakeClock) -> None:
    """Parking first: the signal names what must be driven, a second one does not."""
    key = WorkKey(under_way(ledger, 2), 0)
    park(ledger, clock, key)

    with ledger.write() as tx:
        assert work.signal(tx, [key, WorkKey(key.session, 1)]) == [key]
        assert work.signal(tx, [key]) == []

    assert claimed(ledger, key).signals == 2


def test_a_signal_that_comes_first_forbids_parking(ledger: Ledger, clock: FakeClock) -> None:
    """The signal first: the step has to look again, and parks when nothing more came."""
    key = WorkKey(under_way(ledger, 1), 0)
    held = claimed(ledger, key)
    with ledger.write() as tx:
        assert work.signal(tx, [key]) == []

    assert settled(ledger, held, Park("worker", clock.now() + HOUR)) is Settled.AGAIN

    park(ledger, clock, key)


def test_parking_writes_the_step_down_once(ledger: Ledger, clock: FakeClock) -> None:
    """A step that parks and is woken began when it was first claimed, and has no end yet."""
    key = WorkKey(under_way(ledger, 1), 0)
    began = clock.now()
    park(ledger, clock, key)
    clock.pass_by(HOUR / 2)
    with ledger.write() as tx:
        work.signal(tx, [key])

    park(ledger, clock, key)

    with ledger.read() as tx:
        rows = tx.rows(sa.select(schema.steps.c.started_at, schema.steps.c.ended_at))
    assert [tuple(row) for row in rows] == [(began, None)]


def test_only_a_retry_counts_on(ledger: Ledger, clock: FakeClock) -> None:
    """Waiting for something is progress; waiting after an error is not."""
    key = WorkKey(under_way(ledger, 1), 0)

    def tries_after(*, is_retry: bool) -> int:
        held = claimed(ledger, key)
        settled(ledger, held, Park("retry", clock.now() + HOUR, is_retry=is_retry))
        return held.tries

    assert [tries_after(is_retry=True), tries_after(is_retry=True), tries_after(is_retry=False)] == [1, 2, 3]
    assert claimed(ledger, key).tries == 1


def test_another_attempt_waits_at_the_first_step(ledger: Ledger, clock: FakeClock) -> None:
    """Again parks the next attempt; nothing may follow from messages of the one before; its delay wakes it."""
    key = WorkKey(under_way(ledger, 1), 0)
    settled(ledger, claimed(ledger, key), Failed("no"))
    held = claimed(ledger, key, Step.TEARDOWN)

    assert settled(ledger, held, Again(clock.now() + HOUR)) is Settled.PARKED

    assert (place(ledger, key).step, place(ledger, key).attempt) == (Step.ASSUME_ROLE, 2)
    with ledger.write() as tx:
        assert work.claim(tx, key, Step.TEARDOWN, 1) is Refusal.TAKEN
        assert work.signal_expired(tx) == []
    clock.pass_by(HOUR)
    with ledger.write() as tx:
        assert work.signal_expired(tx) == [key]
    assert claimed(ledger, key, Step.ASSUME_ROLE, 2).attempt == 2


def test_another_attempt_does_not_wait_for_what_it_has_not_seen(ledger: Ledger, clock: FakeClock) -> None:
    """A stop that comes while the attempt is torn down is seen at once, not after the delay."""
    key = WorkKey(under_way(ledger, 1), 0)
    settled(ledger, claimed(ledger, key), Failed("no"))
    held = claimed(ledger, key, Step.TEARDOWN)
    with ledger.write() as tx:
        work.signal(tx, [key])

    settled(ledger, held, Again(clock.now() + HOUR))

    with ledger.write() as tx:
        assert work.signal_expired(tx) == [key]


def test_waiting_work_is_signalled_by_what_it_waits_for(ledger: Ledger, clock: FakeClock) -> None:
    """By the word, and in one session only when one is named."""
    one, other = under_way(ledger, 3), under_way(ledger, 1, name="other")
    park(ledger, clock, WorkKey(one, 0), "chain:a")
    park(ledger, clock, WorkKey(one, 1), "chain:b")
    park(ledger, clock, WorkKey(other, 0), "chain:a")

    with ledger.write() as tx:
        assert work.signal_waiting(tx, "chain:a", session=other) == [WorkKey(other, 0)]
        assert work.signal_waiting(tx, "chain:a") == [WorkKey(one, 0)]
        assert work.signal_waiting(tx, "chain:a") == []


def test_signalling_a_session_reaches_all_of_it(ledger: Ledger, clock: FakeClock) -> None:
    """Resources, parked or not, and the session's own release that rests."""
    session = under_way(ledger, 1200)
    for ordinal in (0, 700, 1199):
        park(ledger, clock, WorkKey(session, ordinal))

    with ledger.write() as tx:
        woken = work.signal_session(tx, session)

    assert woken == [WorkKey(session, ordinal) for ordinal in (SESSION, 0, 700, 1199)]


def test_expired_waiting_is_signalled_when_its_time_has_come(ledger: Ledger, clock: FakeClock) -> None:
    """The earliest first, as many as asked for, none before its time."""
    session = under_way(ledger, 3)
    for ordinal in range(3):
        held = claimed(ledger, WorkKey(session, ordinal))
        settled(ledger, held, Park("worker", clock.now() + timedelta(minutes=3 - ordinal)))

    clock.pass_by(timedelta(minutes=2))

    with ledger.write() as tx:
        assert work.signal_expired(tx, limit=1) == [WorkKey(session, 2)]
        assert work.signal_expired(tx) == [WorkKey(session, 1)]
        assert work.signal_expired(tx) == []


def test_work_that_stands_still_is_named_with_doubling_patience(ledger: Ledger, clock: FakeClock) -> None:
    """After the grace, then after twice the grace, then four times; never while it is claimed or parked."""
    session = under_way(ledger, 3)
    free, held, parked = (WorkKey(session, ordinal) for ordinal in range(3))
    park(ledger, clock, parked)
    clock.pass_by(GRACE)
    claimed(ledger, held)

    def named() -> list[WorkKey]:
        with ledger.write() as tx:
            return work.overdue(tx)

    assert named() == [free]
    clock.pass_by(GRACE)
    assert named() == []
    clock.pass_by(GRACE)
    assert named() == [free]
    clock.pass_by(3 * GRACE)
    assert named() == [held]
    clock.pass_by(GRACE)
    assert named() == [free]


def test_progress_ends_the_doubling(ledger: Ledger, clock: FakeClock) -> None:
    """A unit that has moved is given the plain grace again."""
    key = WorkKey(under_way(ledger, 1), 0)
    for patience in (GRACE, 2 * GRACE):
        clock.pass_by(patience)
        with ledger.write() as tx:
            assert work.overdue(tx) == [key]

    settled(ledger, claimed(ledger, key), Done())
    clock.pass_by(GRACE)

    with ledger.write() as tx:
        assert work.overdue(tx) == [key]


def test_woken_work_that_nobody_published_is_named(ledger: Ledger, clock: FakeClock) -> None:
    """A process that dies between the signal's commit and the publish loses nothing."""
    key = WorkKey(under_way(ledger, 1), 0)
    park(ledger, clock, key)
    clock.pass_by(HOUR)
    with ledger.write() as tx:
        work.signal(tx, [key])

    clock.pass_by(GRACE)

    with ledger.write() as tx:
        assert work.overdue(tx) == [key]


def test_a_release_rests_until_every_chain_has_ended(ledger: Ledger, clock: FakeClock) -> None:
    """It is not overdue, and it is named as soon as the last resource is through."""
    session = under_way(ledger, 2)

    def releasable() -> list[WorkKey]:
        with ledger.read() as tx:
            return work.releasable(tx)

    for ordinal in range(2):
        assert releasable() == []
        for step in (Step.ASSUME_ROLE, Step.LAUNCH_WORKER, Step.RUN_JOB, Step.TEARDOWN):
            settled(ledger, claimed(ledger, WorkKey(session, ordinal), step), Done())

    assert releasable() == [WorkKey(session, SESSION)]
    clock.pass_by(HOUR)
    with ledger.write() as tx:
        assert work.overdue(tx) == []
        assert isinstance(work.claim(tx, WorkKey(session, SESSION), Step.RELEASE, 1), Claim)
    assert releasable() == []


def test_enrolling_twice_leaves_work_where_it_stands(ledger: Ledger) -> None:
    """A start that runs again does not throw anybody back."""
    session = under_way(ledger, 2)
    settled(ledger, claimed(ledger, WorkKey(session, 0)), Done())

    with ledger.write() as tx:
        work.enrol(tx, session, range(3), Step.ASSUME_ROLE)

    assert [place(ledger, WorkKey(session, number)).step for number in range(3)] == [
        Step.LAUNCH_WORKER,
        Step.ASSUME_ROLE,
        Step.ASSUME_ROLE,
    ]


def test_a_claim_given_back_can_be_had_at_once(ledger: Ledger) -> None:
    """Under a new fence."""
    key = WorkKey(under_way(ledger, 1), 0)
    held = claimed(ledger, key)

    with ledger.write() as tx:
        work.release_claim(tx, held)

    assert claimed(ledger, key).fence > held.fence


def test_a_deadline_comes_forward_and_never_goes_back(ledger: Ledger, clock: FakeClock) -> None:
    """Only of work that is parked."""
    key = WorkKey(under_way(ledger, 1), 0)
    park(ledger, clock, key)

    with ledger.write() as tx:
        work.give_deadline(tx, key, clock.now() + timedelta(minutes=5))
        work.give_deadline(tx, key, clock.now() + timedelta(minutes=50))
    clock.pass_by(timedelta(minutes=5))

    with ledger.write() as tx:
        assert work.signal_expired(tx) == [key]


def dead_pid() -> int:
    """Return the id of a process that has just ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def hold_as(ledger: Ledger, key: WorkKey, name: str) -> None:
    """Claim as a process of another name."""
    claimed(ledger, key)
    with ledger.write() as tx:
        tx.execute(schema.work.update().where(schema.work.c.ordinal == key.ordinal).values(holder=name))


def test_what_a_dead_process_held_is_taken_over_at_once(ledger: Ledger) -> None:
    """Of this Celery worker's own processes alone: of others nobody here knows whether they live."""
    session = under_way(ledger, 4)
    mine = Holder("celery@here", "life-2")
    names = [f"celery@here/life-2/{dead_pid()}", "celery@here/life-1/1", f"celery@here/life-2/{os.getpid()}", "b@x/1/1"]
    for ordinal, name in enumerate(names):
        hold_as(ledger, WorkKey(session, ordinal), name)

    with ledger.write() as tx:
        answers = [work.claim(tx, WorkKey(session, n), Step.ASSUME_ROLE, 1, holder=mine) for n in range(4)]

    assert [isinstance(answer, Claim) for answer in answers] == [True, True, False, False]
    assert isinstance(answers[0], Claim)
    assert answers[0].fence > 1


def test_a_celery_worker_that_starts_again_goes_on_with_what_it_held(ledger: Ledger, clock: FakeClock) -> None:
    """Its earlier lives' claims are given back and named; its own and those of others are left alone."""
    session = under_way(ledger, 4)
    mine = Holder("celery@here", "life-2")
    names = ["celery@here/life-1/1", mine.name, "celery@hereafter/life-1/1", "celery@here/life-0/77"]
    for ordinal, name in enumerate(names):
        hold_as(ledger, WorkKey(session, ordinal), name)

    with ledger.write() as tx:
        assert work.left_behind(tx, mine) == [WorkKey(session, 0), WorkKey(session, 3)]
        assert work.left_behind(tx, mine) == []

    claimed(ledger, WorkKey(session, 0))


def test_deaths_are_counted_until_the_step_answers(ledger: Ledger, clock: FakeClock) -> None:
    """A claim that ran out, and one of a process known to be dead; one that was given back is no death."""
    key = WorkKey(under_way(ledger, 1), 0)
    assert claimed(ledger, key).deaths == 0
    clock.pass_by(CLAIM)
    assert claimed(ledger, key).deaths == 1
    clock.pass_by(CLAIM)
    hold_as(ledger, key, f"celery@here/life-2/{dead_pid()}")
    with ledger.write() as tx:
        third = work.claim(tx, key, Step.ASSUME_ROLE, 1, holder=Holder("celery@here", "life-2"))
    assert isinstance(third, Claim)
    assert third.deaths == 3

    with ledger.write() as tx:
        work.release_claim(tx, third)
    fourth = claimed(ledger, key)
    assert fourth.deaths == 3

    assert settled(ledger, fourth, Park("retry", clock.now() + HOUR, is_retry=True)) is Settled.PARKED
    clock.pass_by(HOUR)
    with ledger.write() as tx:
        work.signal_expired(tx)
    assert claimed(ledger, key).deaths == 0


def test_patience_is_short_when_no_message_waits(ledger: Ledger, clock: FakeClock) -> None:
    """Then what stands still has lost its message; it doubles all the same."""
    key = WorkKey(under_way(ledger, 1), 0)
    clock.pass_by(GRACE_WHEN_IDLE)

    with ledger.write() as tx:
        assert work.overdue(tx) == []
        assert work.overdue(tx, grace=GRACE_WHEN_IDLE) == [key]
        assert work.overdue(tx, grace=GRACE_WHEN_IDLE) == []
