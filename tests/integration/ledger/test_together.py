"""Many at once: threads and processes on one ledger."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import TypeVar

from support.clock import FakeClock
from support.ledgers import claimed, request_of, settled, submit, under_way

from orchestrator.errors import Conflict, DayworkError
from orchestrator.ledger import batches, journal, launches, leases, registry, sessions, settling, things, work
from orchestrator.ledger.store import Ledger, Transaction
from orchestrator.model.account import Registry
from orchestrator.model.plan import Access
from orchestrator.model.status import DeploymentMode, Step
from orchestrator.model.work import Claim, Done, Park, WorkKey

T = TypeVar("T")
MANY = 6
MINUTE = timedelta(minutes=1)


def together(ledger: Ledger, *works: Callable[[Transaction], T]) -> list[T | DayworkError]:
    """Run each in a transaction and a thread of its own, all begun at the same moment; returns answers or errors."""
    gate = Barrier(len(works))

    def one(work: Callable[[Transaction], T]) -> T | DayworkError:
        gate.wait()
        try:
            return ledger.run(work)
        except DayworkError as error:
            return error

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(one, works))


def test_of_many_claimers_one_wins(ledger: Ledger) -> None:
    """As many copies of a message as there may be."""
    key = WorkKey(under_way(ledger, 1), 0)

    answers = together(ledger, *[lambda tx: work.claim(tx, key, Step.ASSUME_ROLE, 1)] * MANY)

    assert sum(isinstance(answer, Claim) for answer in answers) == 1


def test_of_two_processes_one_claims_each_unit(ledger: Ledger, database: str) -> None:
    """Engines made after the fork, locks held by the database."""
    session = under_way(ledger, 40)
    program = (
        "import sys\n"
        "from support.clock import FakeClock\n"
        "from orchestrator.ledger import work\n"
        "from orchestrator.ledger.store import Ledger, make_engine\n"
        "from orchestrator.model.status import Step\n"
        "from orchestrator.model.work import Claim, WorkKey\n"
        "ledger = Ledger(make_engine(sys.argv[1]), FakeClock())\n"
        "won = [n for n in range(40) if isinstance(ledger.run("
        "lambda tx: work.claim(tx, WorkKey(sys.argv[2], n), Step.ASSUME_ROLE, 1), single=True), Claim)]\n"
        "ledger.close()\n"
        "print(*won)\n"
    )
    root = Path(__file__).parents[3]

    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, database, session],
            cwd=root,
            env={"PYTHONPATH": f"{root}:{root / 'tests'}"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    won = [[int(word) for word in one.communicate(timeout=60)[0].split()] for one in running]

    assert sorted(won[0] + won[1]) == list(range(40))
    assert [one.returncode for one in running] == [0, 0]


def test_of_many_submitters_of_one_request_all_get_its_session(ledger: Ledger) -> None:
    """And exactly one of them made it."""

    def send(tx: Transaction) -> tuple[str, bool]:
        wanted = [sessions.Wanted(account="1" * 12, region="eu-west-1", resource_id="i-1")]
        return sessions.submit(tx, request_of(1), mode=DeploymentMode.BACKUP, resources=wanted)

    answers = together(ledger, *[send] * MANY)

    made = [answer for answer in answers if not isinstance(answer, DayworkError)]
    assert len(made) == MANY
    assert len({session for session, _ in made}) == 1
    assert sum(created for _, created in made) == 1
    with ledger.read() as tx:
        assert len(sessions.resources(tx, made[0][0])) == 1


def test_of_many_different_requests_under_one_key_one_is_accepted(ledger: Ledger) -> None:
    """The others are refused with its id."""

    def send(count: int) -> Callable[[Transaction], tuple[str, bool]]:
        return lambda tx: sessions.submit(tx, request_of(count), mode=DeploymentMode.BACKUP, resources=[])

    answers = together(ledger, *[send(count) for count in range(1, MANY)])

    accepted = [answer for answer in answers if not isinstance(answer, DayworkError)]
    assert len(accepted) == 1
    refused = [answer for answer in answers if isinstance(answer, Conflict)]
    assert len(refused) == MANY - 2
    assert all(accepted[0][0] in answer.reason for answer in refused)


def test_a_lease_asked_for_by_many_has_one_holder(ledger: Ledger, clock: FakeClock) -> None:
    """The first time, and again when it has run out."""
    for fence in (1, 2):
        asks = [lambda tx, owner=owner: leases.acquire(tx, "chain", owner, MINUTE) for owner in "abcdef"]

        answers = together(ledger, *asks)

        assert [answer for answer in answers if answer is not None] == [fence]
        clock.pass_by(MINUTE)


def test_parking_and_a_signal_at_the_same_moment_lose_nothing(ledger: Ledger, clock: FakeClock) -> None:
    """Either the step may not park, or the signal wakes it."""
    session = under_way(ledger, 20)
    for ordinal in range(20):
        key = WorkKey(session, ordinal)
        held = claimed(ledger, key)

        answers = together(
            ledger,
            lambda tx, held=held: settling.settle(tx, held, Park("worker", clock.now() + MINUTE)),  # type: ignore[misc]
            lambda tx, key=key: work.signal(tx, [key]),  # type: ignore[misc]
        )

        assert answers in ([work.Settled.PARKED, [key]], [work.Settled.AGAIN, []])


def test_requests_are_admitted_by_one(ledger: Ledger) -> None:
    """No request is launched twice, whoever looks at the same time."""
    session = under_way(ledger, 30)
    spec = launches.LaunchSpec(
        access=Access(account="1" * 12, region="r", role=None), instance_types=("t",), image="i", subnets=("s",),
        security_groups=("g",), profile="p", user_data="",
    )  # fmt: skip
    for ordinal in range(30):
        with ledger.write() as tx:
            launches.file(tx, WorkKey(session, ordinal), 1, spec)

    def admit(tx: Transaction) -> int:
        return batches.admit(tx, "1" * 12, "r", session, spec.digest(), 30, patience=MINUTE)

    assert sum(together(ledger, *[admit] * MANY)) == 30

    with ledger.read() as tx:
        assert sum(batch.count for batch in batches.open_of_session(tx, session)) == 30


def test_the_same_rows_may_be_written_by_many(ledger: Ledger) -> None:
    """Intents, registry documents and log lines: nobody fails because somebody else was quicker."""
    session = submit(ledger, 1)
    document = Registry.model_validate({"accounts": [{"id": "1" * 12, "name": "a", "regions": ["eu-west-1"]}]})

    def write(tx: Transaction) -> None:
        things.intend(tx, things.Thing(session=session, kind="role", name="r", account="1" * 12, region="r"))
        registry.apply(tx, document)
        journal.write(tx, session, "written")

    answers = together(ledger, *[write] * MANY)

    assert answers == [None] * MANY
    with ledger.read() as tx:
        assert len(things.of_session(tx, session)) == 1
        assert [line.text for line in journal.read(tx, session)].count("written") == MANY


def test_those_who_signal_many_and_those_who_settle_do_not_stop_each_other(ledger: Ledger, clock: FakeClock) -> None:
    """A stop, expiries, reports and the steps themselves, all at once: no deadlock, and every unit moves on."""
    session = under_way(ledger, 60)
    keys = [WorkKey(session, ordinal) for ordinal in range(60)]

    def walk(mine: list[WorkKey]) -> Callable[[Transaction], None]:
        def go(tx: Transaction) -> None:
            for key in mine:
                held = work.claim(tx, key, Step.ASSUME_ROLE, 1)
                if isinstance(held, Claim):
                    settling.settle(tx, held, Done())

        return go

    answers = together(
        ledger,
        walk(keys[:30]),
        walk(keys[30:]),
        lambda tx: sessions.request_stop(tx, session),
        lambda tx: work.signal(tx, list(reversed(keys))),
        lambda tx: work.signal_session(tx, session),
        work.overdue,
    )

    assert [answer for answer in answers if isinstance(answer, DayworkError)] == []
    with ledger.read() as tx:
        assert {place.step for place in work.places(tx, keys)} == {Step.LAUNCH_WORKER}
    assert settled(ledger, claimed(ledger, keys[0], Step.LAUNCH_WORKER), Done()) is work.Settled.MOVED
