"""What follows a policy's session: made with its end, once, of what it has made, on the days that the policy says."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from support.clock import FakeClock

from orchestrator.errors import Refused
from orchestrator.ledger import journal, points, registry, schedules, sessions
from orchestrator.ledger.store import Ledger, Transaction
from orchestrator.model.account import Registry
from orchestrator.model.request import read_request
from orchestrator.model.status import DeploymentMode, ResourceStatus, SessionStatus
from orchestrator.model.work import SESSION, WorkKey
from orchestrator.scheduler import asking
from orchestrator.scheduler.following import follow
from orchestrator.scheduler.policy import read_policy

ACCOUNT, REGION = "1" * 12, "eu-west-1"
NAMES = ("i-0a1b2c3d4e5f60718", "i-0a1b2c3d4e5f60719")
SUNDAY, MONDAY = datetime(2026, 11, 22, 23, 30, tzinfo=UTC), datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
BY_ITSELF = {"operation": "ec2-retention", "options": {"keep": {"last": 1}}}
EVERYTHING = ["ec2-retention", {"operation": "ec2-health-check", "on": "monday"}, "ec2-archive"]


@pytest.fixture(autouse=True)
def registered(ledger: Ledger) -> None:
    """One account and one repository with an archive."""
    document = {
        "accounts": [{"id": ACCOUNT, "name": "production-a", "regions": [REGION]}],
        "repositories": [
            {
                "name": "main", "url": "s3://bucket/prefix", "region": REGION, "account": ACCOUNT,
                "key": {"kms": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1"}, "archive": {"url": "s3://vault/prefix"},
            }
        ],
    }  # fmt: skip
    with ledger.write() as tx:
        registry.apply(tx, Registry.model_validate(document))


def policy(**changes: Any) -> dict[str, Any]:
    """Return a policy that is followed by everything."""
    return {
        "name": "nightly",
        "operation": "ec2-backup",
        "resources": [{"account": "production-a", "region": REGION, "id": name} for name in NAMES],
        "repository": "main",
        "schedule": {"cron": "0 2 * * *", "timezone": "Europe/Berlin"},
        "retention": {"keep": {"last": 7}},
        "retry": {"attempts": 3, "delay": 5},
        "then": EVERYTHING,
        **changes,
    }


def apply(ledger: Ledger, document: dict[str, Any]) -> None:
    """Apply a policy."""
    asking.apply(ledger, [read_policy(document)])


def ended(
    tx: Transaction, run: str, *, good: Iterable[str] = NAMES, status: SessionStatus = SessionStatus.SUCCESS
) -> str:
    """Let a session of the policy end whose `good` resources have written restore points; return it."""
    document = schedules.get(tx, "nightly").document
    request = read_request(read_policy(document).request(run))
    wanted = [sessions.Wanted(account=ACCOUNT, region=REGION, resource_id=name) for name in NAMES]
    session, _ = sessions.submit(tx, request, mode=DeploymentMode.BACKUP, resources=wanted, policy="nightly")
    for one in sessions.resources(tx, session):
        is_good = one.resource_id in good
        result = {"restorePoint": f"rp-{run}-{one.resource_id[-1]}"} if is_good else None
        ends = ResourceStatus.SUCCESS if is_good else ResourceStatus.FAILED
        sessions.move_resource(tx, one.key, ends, result=result)
        if result is not None:
            points.add(
                tx,
                points.RestorePoint(
                    id=result["restorePoint"], account=ACCOUNT, region=REGION, resource_id=one.resource_id,
                    repository="main", session=session, kind="full", status="complete", parent=None, record={},
                    created_at=tx.now,
                ),
            )  # fmt: skip
    sessions.move(tx, session, status)
    return session


def made(ledger: Ledger) -> dict[str, sessions.Session]:
    """Return the sessions that followed, by their operation."""
    with ledger.read() as tx:
        return {one.operation: one for one in sessions.recent(tx) if one.policy is None}


def named(ledger: Ledger, session: sessions.Session) -> list[str]:
    """Return the ids of a session's resources."""
    with ledger.read() as tx:
        return [one.resource_id for one in sessions.resources(tx, session.id)]


def test_everything_follows_in_the_transaction_in_which_a_session_ends(ledger: Ledger, clock: FakeClock) -> None:
    """Retention of what the policy backs up, the others of the points written; days are those of the schedule."""
    clock.set(SUNDAY)
    apply(ledger, policy())

    with ledger.write() as tx:
        woken = follow(tx, ended(tx, "a"))

    found = made(ledger)
    assert set(found) == {"ec2-retention", "ec2-health-check", "ec2-archive"}, "it is Monday in Berlin"
    assert sorted(woken) == sorted(WorkKey(one.id, SESSION) for one in found.values())
    assert named(ledger, found["ec2-retention"]) == list(NAMES)
    assert found["ec2-retention"].request.options == {"keep": {"last": 7}}
    assert named(ledger, found["ec2-archive"]) == ["rp-a-8", "rp-a-9"]
    assert found["ec2-archive"].request.retry.attempts == 3
    assert {one.source for one in found.values()} == {"daywork.policy/nightly/then"}


def test_a_session_is_followed_once(ledger: Ledger, clock: FakeClock) -> None:
    """Also when its end is carried out again; the next session is followed anew."""
    clock.set(MONDAY)
    apply(ledger, policy(then=["ec2-archive"], retention=None))

    with ledger.write() as tx:
        session = ended(tx, "a")
        first, again = follow(tx, session), follow(tx, session)
    with ledger.write() as tx:
        second = follow(tx, ended(tx, "b"))

    assert (len(first), again, len(second)) == (1, [], 1)


def test_an_end_that_is_rolled_back_is_followed_by_nothing(ledger: Ledger, clock: FakeClock) -> None:
    """A process that dies before it commits has done neither."""
    clock.set(MONDAY)
    apply(ledger, policy())

    def die() -> None:
        with ledger.write() as tx:
            follow(tx, ended(tx, "a"))
            raise KeyError

    with pytest.raises(KeyError):
        die()

    assert made(ledger) == {}


def test_retention_needs_no_follow_up_of_its_own(ledger: Ledger, clock: FakeClock) -> None:
    """A rule without days is applied after every session; one with days on these alone."""
    clock.set(MONDAY)
    apply(ledger, policy(then=[]))
    with ledger.write() as tx:
        assert len(follow(tx, ended(tx, "a"))) == 1
    apply(ledger, policy(then=[{"operation": "ec2-retention", "on": ["friday", "sunday"]}]))
    with ledger.write() as tx:
        assert follow(tx, ended(tx, "b")) == []


def test_retention_goes_over_what_is_not_selected_any_more(ledger: Ledger, clock: FakeClock) -> None:
    """An instance that is gone has restore points all the same."""
    clock.set(MONDAY)
    apply(ledger, policy(then=[]))
    with ledger.write() as tx:
        ended(tx, "a")
    apply(ledger, policy(then=[], resources=[{"account": "production-a", "region": REGION, "id": NAMES[0]}]))

    with ledger.write() as tx:
        follow(tx, ended(tx, "b", good=NAMES[:1]))

    assert named(ledger, made(ledger)["ec2-retention"]) == list(NAMES)


@pytest.mark.parametrize("status", [SessionStatus.FAILED, SessionStatus.STOPPED])
def test_nothing_follows_a_session_of_a_bad_end(ledger: Ledger, clock: FakeClock, status: SessionStatus) -> None:
    """The next one will be followed."""
    clock.set(MONDAY)
    apply(ledger, policy())

    with ledger.write() as tx:
        assert follow(tx, ended(tx, "a", good=(), status=status)) == []


def test_only_what_was_written_is_worked_on(ledger: Ledger, clock: FakeClock) -> None:
    """A session of a warning has points of some of its resources."""
    clock.set(MONDAY)
    apply(ledger, policy(then=["ec2-health-check"], retention=None))

    with ledger.write() as tx:
        follow(tx, ended(tx, "a", good=NAMES[1:], status=SessionStatus.WARNING))

    assert named(ledger, made(ledger)["ec2-health-check"]) == ["rp-a-9"]


def test_what_cannot_follow_is_told_and_holds_nothing_up(ledger: Ledger, clock: FakeClock) -> None:
    """The account was taken out of the registry meanwhile: the session ends, its log says why nothing follows."""
    clock.set(MONDAY)
    apply(ledger, policy(then=["ec2-archive"], retention=None))
    with ledger.write() as tx:
        document = registry.load(tx).model_dump(by_alias=True, mode="json", exclude_none=True)
        document["accounts"][0] |= {"regions": ["eu-central-1"]}
        registry.apply(tx, Registry.model_validate(document))

    with ledger.write() as tx:
        session = ended(tx, "a")
        assert follow(tx, session) == []

    with ledger.read() as tx:
        lines = [one.text for one in journal.read(tx, session)]
    assert any(one.startswith("ec2-archive does not follow: resources[0].region") for one in lines)


def test_a_policy_that_is_gone_is_followed_by_nothing(ledger: Ledger, clock: FakeClock) -> None:
    """Its session ends as any other."""
    clock.set(MONDAY)
    apply(ledger, policy())

    with ledger.write() as tx:
        session = ended(tx, "a")
        schedules.delete(tx, "nightly")
        assert follow(tx, session) == []


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"then": ["rds-archive"]}, "then[0].operation", "cannot carry the job of this operation out yet"),
        ({"then": ["ec2-retention"], "retention": None}, "then[0].operation", "ec2-retention has no rule"),
        ({"repository": "plain", "then": ["ec2-archive"]}, "then[0].operation", "has no archive to write to"),
        (
            {
                "operation": "ec2-retention",
                "options": {"keep": {"last": 1}},
                "then": ["ec2-archive"],
                "retention": None,
            },
            "then[0].operation",
            "ec2-archive does not follow ec2-retention",
        ),
        ({**BY_ITSELF, "then": []}, "retention", "makes no restore points"),
    ],
)
def test_what_could_not_follow_is_refused_when_the_policy_is_applied(
    ledger: Ledger, changes: dict[str, Any], field: str, said: str
) -> None:
    """By its place in the document, with the remedy."""
    with ledger.write() as tx:
        document = registry.load(tx).model_dump(by_alias=True, mode="json", exclude_none=True)
        plain = {name: value for name, value in document["repositories"][0].items() if name != "archive"}
        document["repositories"].append(plain | {"name": "plain"})
        registry.apply(tx, Registry.model_validate(document))

    with pytest.raises(Refused, match=said) as caught:
        apply(ledger, policy(**changes))

    assert caught.value.field == field
    assert caught.value.remedy
