"""Launch requests and batches, workers and their reports."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.clock import FakeClock
from support.ledgers import claimed, settled, under_way

from agent.protocol import JobResult, Report, format_time
from orchestrator.ledger import batches, launches, things, work, workers
from orchestrator.ledger.batches import Batch
from orchestrator.ledger.launches import LaunchSpec
from orchestrator.ledger.store import Ledger
from orchestrator.model.plan import Access
from orchestrator.model.work import Park, WorkKey
from orchestrator.ports import InstanceView

PLACE = ("1" * 12, "eu-west-1")
MINUTE = timedelta(minutes=1)
PATIENCE = timedelta(minutes=30)


def spec(image: str = "ami-1") -> LaunchSpec:
    """Return what a worker is launched with: a ladder of four rungs."""
    return LaunchSpec(
        access=Access(account=PLACE[0], region=PLACE[1], role="arn:aws:iam::111111111111:role/deploy"),
        instance_types=("c5.large", "c5a.large"),
        image=image,
        subnets=("subnet-a", "subnet-b"),
        security_groups=("sg-1",),
        profile="daywork-x",
        user_data="#!/bin/sh",
        tags={"session": "x"},
    )


def instances(count: int, first: int = 0) -> list[InstanceView]:
    """Return what RunInstances answers."""
    return [
        InstanceView(
            instance_id=f"i-{number}", state="pending", instance_type="c5.large", availability_zone="eu-west-1a"
        )
        for number in range(first, first + count)
    ]


@pytest.fixture
def session(ledger: Ledger, clock: FakeClock) -> str:
    """A session whose three resources have filed a request and parked."""
    made = under_way(ledger, 3)
    for ordinal in range(3):
        file(ledger, made, ordinal)
        held = claimed(ledger, WorkKey(made, ordinal))
        settled(ledger, held, Park("worker", clock.now() + timedelta(hours=1)))
    return made


def file(ledger: Ledger, session: str, ordinal: int, image: str = "ami-1") -> launches.LaunchRequest:
    """File one resource's request."""
    with ledger.write() as tx:
        return launches.file(tx, WorkKey(session, ordinal), 1, spec(image))


def gather(ledger: Ledger, most: int = 1000) -> list[Batch]:
    """Admit who waits, and write down that what is due is called."""
    with ledger.write() as tx:
        for one in launches.waiting(tx, *PLACE):
            batches.admit(tx, *PLACE, one.session, one.digest, min(most, one.count), patience=PATIENCE)
        return [batches.called(tx, one, rung=one.rung, count=one.count) for one in batches.due(tx, *PLACE)]


def states(ledger: Ledger, session: str) -> list[str]:
    """Return the requests' states by ordinal."""
    with ledger.read() as tx:
        found = [launches.request(tx, WorkKey(session, ordinal), 1) for ordinal in range(3)]
    return [one.state for one in found if one is not None]


def test_filing_again_is_the_same_request(ledger: Ledger, session: str) -> None:
    """One request for each attempt."""
    assert file(ledger, session, 0) == file(ledger, session, 0)

    with ledger.write() as tx:
        second = launches.file(tx, WorkKey(session, 0), 2, spec())
    assert second.attempt == 2


def test_equal_specs_share_a_batch_and_others_do_not(ledger: Ledger, session: str) -> None:
    """A batch is open until its answer is known: it is due again, with the same token."""
    other = under_way(ledger, 1, name="other")
    file(ledger, other, 0, image="ami-2")

    first, again = gather(ledger), gather(ledger)

    assert sorted(batch.count for batch in first) == [1, 3]
    assert [(batch.id, batch.token) for batch in first] == [(batch.id, batch.token) for batch in again]
    assert {batch.tries for batch in again} == {2}
    with ledger.read() as tx:
        assert launches.places(tx) == [PLACE]


def test_large_sessions_are_launched_in_batches_of_a_hundred(ledger: Ledger) -> None:
    """As AWS asks."""
    session = under_way(ledger, 230)
    for ordinal in range(230):
        file(ledger, session, ordinal)

    assert [batch.count for batch in gather(ledger)] == [100, 100, 30]


def test_instances_are_handed_out_in_order_and_wake_their_resources(ledger: Ledger, session: str) -> None:
    """An answer that is written twice hands out nothing twice."""
    (batch,) = gather(ledger)

    with ledger.write() as tx:
        woken, spare = batches.resolve(tx, batch, instances(3))
    with ledger.write() as tx:
        assert batches.resolve(tx, batch, instances(3)) == ([], [])

    assert (woken, spare) == ([WorkKey(session, ordinal) for ordinal in range(3)], [])
    assert states(ledger, session) == [launches.ASSIGNED] * 3
    with ledger.read() as tx:
        assert [(one.instance_id, one.ordinal) for one in workers.of_session(tx, session)] == [
            (f"i-{number}", number) for number in range(3)
        ]
        assert things.find(tx, session, "launch", batch.token).state == things.REMOVED  # type: ignore[union-attr]
        assert {one.state for one in things.of_session(tx, session, kinds=["instance"])} == {things.CREATED}
        assert batches.open_of_session(tx, session) == []


def test_fewer_instances_leave_the_rest_queued(ledger: Ledger, session: str) -> None:
    """They are gathered into a batch of their own."""
    (batch,) = gather(ledger)

    with ledger.write() as tx:
        woken, _ = batches.resolve(tx, batch, instances(2))

    assert woken == [WorkKey(session, 0), WorkKey(session, 1)]
    assert states(ledger, session) == [launches.ASSIGNED, launches.ASSIGNED, launches.QUEUED]
    (rest,) = gather(ledger)
    assert (rest.count, rest.id != batch.id) == (1, True)


def test_an_instance_of_a_withdrawn_request_belongs_to_nobody(ledger: Ledger, session: str) -> None:
    """It is written down and handed back to be terminated."""
    (batch,) = gather(ledger)
    with ledger.write() as tx:
        launches.cancel(tx, WorkKey(session, 1), 1)

    with ledger.write() as tx:
        woken, spare = batches.resolve(tx, batch, instances(3))

    assert (woken, spare) == ([WorkKey(session, 0), WorkKey(session, 2)], ["i-2"])
    with ledger.read() as tx:
        nobody = workers.get(tx, "i-2")
        assert nobody is not None
        assert nobody.ordinal is None
        assert things.find(tx, session, "instance", "i-2") is not None


def test_a_request_is_not_withdrawn_once_it_has_its_worker(ledger: Ledger, session: str) -> None:
    """Then the worker is torn down like any other."""
    (batch,) = gather(ledger)
    with ledger.write() as tx:
        batches.resolve(tx, batch, instances(3))
        launches.cancel(tx, WorkKey(session, 0), 1)

    assert states(ledger, session) == [launches.ASSIGNED] * 3


def test_a_postponed_batch_waits_and_keeps_its_token(ledger: Ledger, session: str, clock: FakeClock) -> None:
    """The same call may have happened: only once it is known to have made nothing, another one may be made."""
    (batch,) = gather(ledger)
    with ledger.write() as tx:
        batches.postpone(tx, batch, until=clock.now() + MINUTE, error="no answer")
    assert gather(ledger) == []
    clock.pass_by(MINUTE)
    (same,) = gather(ledger)

    with ledger.write() as tx, pytest.raises(LookupError):
        batches.called(tx, same, rung=1, count=3)
    with ledger.write() as tx:
        batches.refused(tx, same)
        (known,) = batches.due(tx, *PLACE)
        other = batches.called(tx, known, rung=1, count=2)

    assert same.token == batch.token
    assert (other.id, other.rung, other.count) == (batch.id, 1, 2)
    assert other.token != batch.token
    with ledger.read() as tx:
        assert [one.state for one in things.of_session(tx, session, kinds=["launch"])] == [
            things.REMOVED,
            things.INTENDED,
        ]


def test_a_dissolved_batch_gives_its_requests_their_place_back(ledger: Ledger, session: str, clock: FakeClock) -> None:
    """They go on waiting for as long as they were given, or as if they had never been admitted."""
    begun = clock.now()
    (batch,) = gather(ledger)
    clock.pass_by(MINUTE)
    with ledger.write() as tx:
        batches.dissolve(tx, batch, why="no capacity")
        (waiting,) = launches.waiting(tx, *PLACE)
    (again,) = gather(ledger)

    with ledger.write() as tx:
        kept = launches.request(tx, WorkKey(session, 0), 1)
        batches.dissolve(tx, again, why="at quota", keeps_waiting=True)
        fresh = launches.request(tx, WorkKey(session, 0), 1)

    assert (waiting.session, waiting.count, waiting.since) == (session, 3, begun)
    assert kept is not None
    assert (kept.admitted_at, kept.reason) == (begun, "no capacity")
    assert fresh is not None
    assert (fresh.state, fresh.admitted_at, fresh.reason) == (launches.QUEUED, None, "at quota")


def test_only_as_many_are_admitted_as_there_is_room_for(ledger: Ledger, session: str) -> None:
    """First come, first served; whoever is admitted counts as busy until its worker has ended."""
    (batch,) = gather(ledger, most=2)
    with ledger.write() as tx:
        asked = launches.busy(tx, *PLACE)
        batches.resolve(tx, batch, instances(2))
        alive = launches.busy(tx, *PLACE)
        workers.seen(tx, "i-0", "shutting-down")
        fewer = launches.busy(tx, *PLACE)

    assert states(ledger, session) == [launches.ASSIGNED, launches.ASSIGNED, launches.QUEUED]
    assert (asked, alive, fewer) == ({session: 2}, {session: 2}, {session: 1})


def test_a_batch_given_up_tells_everybody_why(ledger: Ledger, session: str) -> None:
    """Once; those who were withdrawn before stay withdrawn."""
    (batch,) = gather(ledger)
    with ledger.write() as tx:
        launches.cancel(tx, WorkKey(session, 2), 1)

    with ledger.write() as tx:
        woken = batches.fail(tx, batch, reason="wrong subnet", remedy="name another")
    with ledger.write() as tx:
        assert batches.fail(tx, batch, reason="again", remedy="") == []

    assert woken == [WorkKey(session, 0), WorkKey(session, 1)]
    assert states(ledger, session) == [launches.FAILED, launches.FAILED, launches.CANCELLED]
    with ledger.read() as tx:
        told = launches.request(tx, WorkKey(session, 0), 1)
        assert told is not None
        assert (told.reason, told.remedy) == ("wrong subnet", "name another")


# --- workers ------------------------------------------------------------------------------------------------------


def report(session: str, sequence: int, kind: str = "progress", **more: object) -> Report:
    """Return a report of the first instance."""
    return Report(
        kind=kind,  # type: ignore[arg-type]
        session=session,
        instance_id="i-0",
        user_id="AROA:i-0",
        sequence=sequence,
        sent_at=format_time(FakeClock().now()),
        **more,  # type: ignore[arg-type]
    )


@pytest.fixture
def launched(ledger: Ledger, session: str) -> str:
    """The session with its three workers."""
    (batch,) = gather(ledger)
    with ledger.write() as tx:
        batches.resolve(tx, batch, instances(3))
    return session


def test_reports_are_news_once_and_in_order(ledger: Ledger, launched: str, clock: FakeClock) -> None:
    """Old ones, repeats, and those of nobody or of another session are not."""
    clock.pass_by(MINUTE)

    def heard(sequence: int, session: str = launched) -> bool:
        with ledger.write() as tx:
            return bool(workers.hear(tx, [report(session, sequence)]))

    assert [heard(2), heard(2), heard(1), heard(3), heard(9, "s-other")] == [True, False, False, True, False]
    with ledger.read() as tx:
        worker = workers.get(tx, "i-0")
        assert workers.get(tx, "i-9") is None
    assert worker is not None
    assert (worker.sequence, worker.heard_at, worker.ready_at) == (3, clock.now(), clock.now())


def test_the_first_result_stays(ledger: Ledger, launched: str) -> None:
    """Also when another one comes later, from the queue or beside the order."""
    first = report(launched, 1, "result", result=JobResult(outcome="success", detail={"blocksRead": 1}))
    later = report(launched, 2, "result", result=JobResult(outcome="failed"))

    with ledger.write() as tx:
        workers.hear(tx, [first, later])
        workers.learn_result(tx, later)
        worker = workers.get(tx, "i-0")

    assert worker is not None
    assert worker.report == first.to_dict()


def test_a_terminated_worker_stays_terminated(ledger: Ledger, launched: str, clock: FakeClock) -> None:
    """EC2's list may lag; whoever is alive is grouped by who may describe it."""
    with ledger.write() as tx:
        assert workers.seen(tx, "i-0", "running")
        assert not workers.seen(tx, "i-0", "running")
        assert workers.seen(tx, "i-0", workers.TERMINATED)
        assert not workers.seen(tx, "i-0", "running")
        alive = workers.alive(tx, launched)
        places = workers.places(tx)

    assert [one.instance_id for one in alive] == ["i-1", "i-2"]
    assert places == [(*PLACE, "arn:aws:iam::111111111111:role/deploy", ["i-1", "i-2"])]


def test_what_a_launch_wakes_is_driven_even_when_its_process_dies(
    ledger: Ledger, launched: str, clock: FakeClock
) -> None:
    """Woken and never published: overdue after the grace."""
    clock.pass_by(work.GRACE)

    with ledger.write() as tx:
        assert {key.ordinal for key in work.overdue(tx)} == {0, 1, 2}
