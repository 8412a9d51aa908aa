"""Policies become sessions: once for each tick, with any number of beats, through outages and pauses."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
import sqlalchemy as sa
from support.clock import FakeClock
from support.ledgers import claimed, settled, submit

from orchestrator.errors import Conflict, NotFound, Refused
from orchestrator.ledger import pausing, registry, schedules, schema, sessions, work
from orchestrator.ledger.store import Ledger
from orchestrator.model.account import Registry
from orchestrator.model.status import SessionStatus, Step
from orchestrator.model.work import SESSION, Park, WorkKey
from orchestrator.scheduler import asking
from orchestrator.scheduler.policy import Schedule, read_policy
from orchestrator.scheduler.tick import tick
from orchestrator.scheduler.ticks import Followed, follow

HOUR = timedelta(hours=1)


class Sent:
    """Remembers what was driven (`orchestrator.ports.Dispatch`)."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.keys: list[WorkKey] = []

    def drive(self, keys: Iterable[WorkKey]) -> None:
        """See the port."""
        self.keys += keys

    def launch(self, account: str, region: str, *, after: timedelta = timedelta()) -> None:
        """See the port."""
        raise AssertionError(f"a policy launches nothing itself: {account} {region} {after}")


@pytest.fixture
def sent() -> Sent:
    """What was driven."""
    return Sent()


@pytest.fixture(autouse=True)
def registered(ledger: Ledger) -> None:
    """One account and one repository."""
    document = {
        "accounts": [{"id": "1" * 12, "name": "production-a", "regions": ["eu-west-1"]}],
        "repositories": [
            {
                "name": "main", "url": "s3://bucket/prefix", "region": "eu-west-1", "account": "1" * 12,
                "key": {"kms": "arn:aws:kms:eu-west-1:111111111111:key/1"},
            }
        ],
    }  # fmt: skip
    with ledger.write() as tx:
        registry.apply(tx, Registry.model_validate(document))


def policy(**schedule: Any) -> dict[str, Any]:
    """Return a policy that is due at every full hour."""
    return {
        "name": "nightly",
        "operation": "ec2-backup",
        "select": [{"account": "production-a", "region": "eu-west-1", "tags": {"backup": "daily"}}],
        "schedule": {"cron": "0 * * * *", **schedule},
    }


def apply(ledger: Ledger, *documents: dict[str, Any]) -> list[str]:
    """Apply policies; returns what became of each."""
    return [one.change for one in asking.apply(ledger, [read_policy(one) for one in documents], by="tests")]


def made(ledger: Ledger) -> list[tuple[str, SessionStatus]]:
    """Return the ids of requests and the statuses of sessions, the oldest first."""
    with ledger.read() as tx:
        found = [(one.request_id, one.status) for one in sessions.recent(tx)]
    return sorted(found)


def end(ledger: Ledger) -> None:
    """End all sessions."""
    with ledger.write() as tx:
        for one in sessions.recent(tx):
            if not one.status.is_final:
                sessions.move(tx, one.id, SessionStatus.SUCCESS)


def test_a_due_policy_is_one_session(ledger: Ledger, clock: FakeClock, sent: Sent) -> None:
    """Not before its time, once at its time, driven as any other, and named after its policy."""
    clock.set(datetime(2026, 11, 23, 1, 30, tzinfo=UTC))
    apply(ledger, policy())
    assert tick(ledger, dispatch=sent) == 0

    clock.pass_by(HOUR / 2)

    assert [tick(ledger, dispatch=sent), tick(ledger, dispatch=sent)] == [1, 0]
    with ledger.read() as tx:
        (session,) = sessions.recent(tx)
        entry = schedules.get(tx, "nightly")
    assert (session.policy, session.source, session.request_id) == (
        "nightly",
        "daywork.policy/nightly",
        "2026-11-23T02:00:00.000Z",
    )
    assert [key.session for key in sent.keys] == [session.id]
    assert (entry.seen_at, entry.next_at) == (clock.now(), clock.now() + HOUR)


def test_many_beats_at_once_make_one_session(ledger: Ledger, clock: FakeClock, sent: Sent) -> None:
    """Every tick of a day, with four beats that look at the same moment."""
    apply(ledger, policy())

    for _ in range(5):
        clock.pass_by(HOUR)
        gate = Barrier(4)

        def beat(gate: Barrier = gate) -> None:
            gate.wait()
            tick(ledger, dispatch=sent)

        beats = [Thread(target=beat) for _ in range(4)]
        for one in beats:
            one.start()
        for one in beats:
            one.join(timeout=30)
        end(ledger)

    assert [name for name, _ in made(ledger)] == [f"2026-11-23T{hour:02}:00:00.000Z" for hour in range(3, 8)]


def test_a_crash_after_the_session_makes_no_second_one(
    ledger: Ledger, clock: FakeClock, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The note is lost, the session is there: the next look finds it, running or ended."""
    apply(ledger, policy())
    clock.pass_by(HOUR)
    with monkeypatch.context() as patched:
        patched.setattr(schedules, "follow", lambda *_args, **_values: True)
        assert tick(ledger, dispatch=sent) == 1

    assert tick(ledger, dispatch=sent) == 0
    assert len(made(ledger)) == 1
    with ledger.read() as tx:
        assert schedules.get(tx, "nightly").seen_at == clock.now()


def test_a_crash_before_the_commit_leaves_neither_session_nor_note(
    ledger: Ledger, clock: FakeClock, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next look makes both."""
    apply(ledger, policy())
    clock.pass_by(HOUR)
    with monkeypatch.context() as patched:
        patched.setattr(schedules, "follow", _dies)
        with pytest.raises(KeyboardInterrupt):
            tick(ledger, dispatch=sent)

    assert made(ledger) == []
    assert tick(ledger, dispatch=sent) == 1


def _dies(*_args: Any, **_values: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("missed", "hours", "passes"),
    [("skip", [], 1), ("run-once", [8], 1), ("run-all", [3, 4, 5, 6, 7, 8], 6)],
)
def test_an_outage_is_made_up_for_by_the_policys_own_rule(
    ledger: Ledger, clock: FakeClock, sent: Sent, missed: str, hours: list[int], passes: int
) -> None:
    """Nobody looked from 02:00 to 08:30."""
    apply(ledger, policy(missed=missed))
    clock.pass_by(6.5 * HOUR)

    for _ in range(passes):
        tick(ledger, dispatch=sent)
        end(ledger)
        clock.pass_by(timedelta(seconds=6))

    assert [name for name, _ in made(ledger)] == [f"2026-11-23T{hour:02}:00:00.000Z" for hour in hours]
    assert tick(ledger, dispatch=sent) == 0
    clock.set(datetime(2026, 11, 23, 9, 0, tzinfo=UTC))
    assert tick(ledger, dispatch=sent) == 1


def test_a_tick_that_finds_its_policy_running_is_left_out(ledger: Ledger, clock: FakeClock, sent: Sent) -> None:
    """Its note says so; the next one runs again."""
    apply(ledger, policy(overlap="skip"))
    clock.pass_by(HOUR)
    tick(ledger, dispatch=sent)
    clock.pass_by(HOUR)

    assert tick(ledger, dispatch=sent) == 0

    with ledger.read() as tx:
        note = schedules.get(tx, "nightly").note
    assert note is not None
    assert "left out" in note
    end(ledger)
    clock.pass_by(HOUR)
    assert tick(ledger, dispatch=sent) == 1
    assert [name[11:13] for name, _ in made(ledger)] == ["03", "05"]


def test_a_tick_that_finds_its_policy_running_waits(ledger: Ledger, clock: FakeClock, sent: Sent) -> None:
    """Queued: one run follows when the session has ended, however many ticks have passed."""
    apply(ledger, policy(overlap="queue"))
    clock.pass_by(HOUR)
    tick(ledger, dispatch=sent)
    for _ in range(3):
        clock.pass_by(HOUR)
        assert tick(ledger, dispatch=sent) == 0

    end(ledger)
    clock.pass_by(timedelta(seconds=5))

    assert tick(ledger, dispatch=sent) == 1
    end(ledger)
    assert tick(ledger, dispatch=sent) == 0
    assert [name[11:13] for name, _ in made(ledger)] == ["03", "06"]


def test_a_pause_lets_nothing_start(ledger: Ledger, clock: FakeClock, sent: Sent) -> None:
    """What was missed meanwhile is made up for by the policy's rule when it ends."""
    apply(ledger, policy())
    with ledger.write() as tx:
        pausing.pause(tx, by="ada", reason="upgrade")
        since = clock.now()
    clock.pass_by(3 * HOUR)
    with ledger.write() as tx:
        pausing.pause(tx, by="bob")

    assert tick(ledger, dispatch=sent) == 0
    with ledger.write() as tx:
        assert pausing.paused(tx) == pausing.Pause(since=since, by="ada", reason="upgrade")
        assert pausing.resume(tx) == []
        assert pausing.resume(tx) == []
        assert pausing.paused(tx) is None

    assert tick(ledger, dispatch=sent) == 1


def test_a_resume_is_seen_by_a_start_that_is_about_to_park(ledger: Ledger, clock: FakeClock) -> None:
    """And wakes those that have parked."""
    parks, parked = submit(ledger, 1, name="parks"), submit(ledger, 1, name="parked")
    with ledger.write() as tx:
        pausing.pause(tx, by="bob")
    waiting = Park(pausing.RESUME, clock.now() + HOUR)
    held = claimed(ledger, WorkKey(parks, SESSION), Step.START)
    settled(ledger, claimed(ledger, WorkKey(parked, SESSION), Step.START), waiting)

    with ledger.write() as tx:
        assert pausing.resume(tx) == [WorkKey(parked, SESSION)]

    assert settled(ledger, held, waiting) is work.Settled.AGAIN


def test_policies_are_switched_off_on_changed_and_forgotten(ledger: Ledger, clock: FakeClock, sent: Sent) -> None:
    """What passed while one was off is not made up for."""
    apply(ledger, policy())
    with ledger.write() as tx:
        schedules.disable(tx, "nightly")
    clock.pass_by(3 * HOUR)
    assert tick(ledger, dispatch=sent) == 0
    asking.enable(ledger, "nightly")
    assert tick(ledger, dispatch=sent) == 0

    apply(ledger, policy())
    apply(ledger, policy(cron="30 * * * *"))
    clock.pass_by(HOUR / 2)

    assert tick(ledger, dispatch=sent) == 1
    with ledger.write() as tx:
        assert schedules.get(tx, "nightly").version == 2
        schedules.delete(tx, "nightly")
        with pytest.raises(NotFound, match="nightly"):
            schedules.get(tx, "nightly")
    assert len(made(ledger)) == 1


def test_a_policy_run_by_hand_is_refused_while_it_runs(ledger: Ledger, sent: Sent) -> None:
    """With the running session's id."""
    apply(ledger, {**policy(), "schedule": None})
    first = asking.run(ledger, "nightly", dispatch=sent)

    with pytest.raises(Conflict) as refused:
        asking.run(ledger, "nightly", dispatch=sent)

    assert refused.value.value == first.session_id
    end(ledger)
    assert asking.run(ledger, "nightly", dispatch=sent).created


def test_a_policy_that_is_refused_says_so_and_goes_on(ledger: Ledger, clock: FakeClock, sent: Sent) -> None:
    """Its account is not registered for its Region any more."""
    apply(ledger, policy())
    with ledger.write() as tx:
        known = registry.account(tx, "production-a")
        registry.apply(tx, Registry(accounts=(known.model_copy(update={"regions": ("us-east-1",)}),)))
    clock.pass_by(HOUR)

    assert tick(ledger, dispatch=sent) == 0

    with ledger.read() as tx:
        entry = schedules.get(tx, "nightly")
    assert entry.note is not None
    assert "eu-west-1" in entry.note
    assert entry.next_at == clock.now() + HOUR


def test_a_policy_that_cannot_be_looked_at_does_not_hold_up_the_others(
    ledger: Ledger, clock: FakeClock, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that this version cannot read is not looked at again; one that meets a mistake of ours is, in a second."""
    apply(ledger, policy(), {**policy(), "name": "later"}, {**policy(), "name": "unlucky"})
    with ledger.write() as tx:
        values = {**schedules.get(tx, "later").document, "colour": "red"}
        tx.execute(sa.update(schema.schedules).where(schema.schedules.c.name == "later").values(document=values))
    clock.pass_by(HOUR)
    with monkeypatch.context() as patched:
        patched.setattr("orchestrator.scheduler.tick.follow", _unlucky)
        assert tick(ledger, dispatch=sent) == 1

    assert tick(ledger, dispatch=sent) == 1
    with ledger.read() as tx:
        found = schedules.get(tx, "later")
        assert {one.policy for one in sessions.recent(tx)} == {"nightly", "unlucky"}
    assert found.next_at is None
    assert "colour" in (found.note or "")


def _unlucky(schedule: Schedule, name: str, *args: Any, **values: Any) -> Followed:
    if name == "unlucky":
        raise ZeroDivisionError
    return follow(schedule, name, *args, **values)


def test_of_policies_that_are_due_together_the_highest_priority_comes_first(
    ledger: Ledger, clock: FakeClock, sent: Sent
) -> None:
    """Among equals the earlier name; whoever looks at what collides finds them in this order."""
    ranks = {"a": 0, "b": 10, "c": 10, "d": -1}
    for name, priority in ranks.items():
        apply(ledger, {**policy(), "name": name, "priority": priority})
    clock.pass_by(HOUR)

    assert tick(ledger, dispatch=sent) == 4

    with ledger.read() as tx:
        order = [sessions.get(tx, key.session).policy for key in sent.keys]
    assert order == ["b", "c", "a", "d"]


def test_the_coming_runs_are_listed(ledger: Ledger, clock: FakeClock) -> None:
    """The soonest first; those that are switched off are not."""
    apply(ledger, policy())
    apply(ledger, {**policy(cron="30 3 * * *"), "name": "other"})

    coming = asking.upcoming(ledger, count=4)

    assert [(name, moment.day, moment.hour, moment.minute) for name, moment in coming] == [
        ("nightly", 23, 3, 0),
        ("other", 23, 3, 30),
        ("nightly", 23, 4, 0),
        ("nightly", 23, 5, 0),
    ]
    assert asking.upcoming(ledger, count=2, name="other")[1][1].day == 24
    with ledger.write() as tx:
        schedules.disable(tx, "nightly")
    assert [name for name, _ in asking.upcoming(ledger, count=1)] == ["other"]


def test_a_bad_policy_is_refused_by_name(ledger: Ledger) -> None:
    """Every mistake at once, nothing stored."""
    with pytest.raises(Refused) as refused:
        apply(ledger, policy(cron="0 25 * * *", timezone="Mars/Olympus", missed="maybe"))

    assert {one.field for one in refused.value.problems} == {
        "schedule.cron",
        "schedule.timezone",
        "schedule.missed",
    }
    with ledger.read() as tx:
        assert schedules.everyone(tx) == []
