"""The auditor complains when something is wrong, and about that alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from support import invariants
from support.lookalikes import Lookalike, Planted
from support.scenarios import begin
from support.stage import Stage

from orchestrator.ledger import journal, schema, things, workers
from orchestrator.ledger.store import Transaction

OURS = "arn:aws:sts::222222222222:assumed-role/DayworkBackup/daywork-local"
PLANTED = Planted((Lookalike(kind="instance", account="2" * 12, name="i-theirs", look="running"),))


def call(operation: str, *targets: str, at: float = 0.0, status: int = 200, principal: str = OURS) -> dict[str, Any]:
    """Return an entry of the cloud's journal."""
    outcome = {"status": status, "time": at, "seconds": 0.0}
    return {"operation": operation, "targets": targets, "principal": principal, **outcome}


def complaints(stage: Stage, session: str, calls: list[dict[str, Any]]) -> list[str]:
    """Return what an auditor says of the ledger and a journal."""
    with stage.ledger.read() as tx:
        return [
            *invariants._lost(tx, {("test", "1"): session}),
            *invariants._ending(tx, session),
            *invariants._fences(tx, session),
            *invariants._effects(tx, session),
            *invariants._release(tx, session, calls),
            *invariants._strangers(tx, calls, PLANTED),
            *invariants._bounds(tx, calls, 40, 8),
        ]


def life_of_the_role(stage: Stage, session: str) -> list[dict[str, Any]]:
    """Return the journal of a temporary role that is deleted an hour from now."""
    with stage.ledger.read() as tx:
        role = things.of_session(tx, session, kinds=["role"])[0].name
    end = stage.clock.now().timestamp() + 3600
    return [call("iam:CreateRole", role), call("iam:DeleteRole", role, at=end)]


def test_nothing_is_wrong_with_a_session_that_nobody_has_disturbed(stage: Stage) -> None:
    """In either direction of the data."""
    for scenario in ("backup-backup", "backup-restore"):
        session = begin(stage, scenario)
        stage.run(session)

        assert complaints(stage, session, life_of_the_role(stage, session)) == []


def unfinished(tx: Transaction, session: str) -> None:
    """A resource is still running."""
    tx.execute(sa.update(schema.resources).where(schema.resources.c.ordinal == 0).values(status="running"))


def wrong_sum(tx: Transaction, session: str) -> None:
    """The session's status does not follow from its resources'."""
    tx.execute(sa.update(schema.sessions).where(schema.sessions.c.id == session).values(status="failed"))


def held_lease(tx: Transaction, session: str) -> None:
    """A lease has not been given back."""
    tx.execute(
        sa.insert(schema.leases).values(name="chain:x", owner=f"{session}/0", fence=1, until=tx.now + timedelta(days=1))
    )


def second_worker(tx: Transaction, session: str) -> None:
    """One attempt was given two workers."""
    row = tx.rows(sa.select(schema.workers).where(schema.workers.c.session_id == session))[0]
    tx.execute(sa.insert(schema.workers).values(**{**row._mapping, "instance_id": "i-second"}))


def lost_point(tx: Transaction, session: str) -> None:
    """A backup that succeeded is not listed."""
    tx.execute(sa.delete(schema.restore_points).where(schema.restore_points.c.session_id == session))


def ended_twice(tx: Transaction, session: str) -> None:
    """The release had its effect again."""
    journal.write(tx, session, "session ended: success")


def early_role(tx: Transaction, session: str) -> None:
    """A worker ended later than the journal says that its role was deleted."""
    late = sa.literal(tx.now + timedelta(days=1), schema.Moment())
    tx.execute(sa.update(schema.workers).where(schema.workers.c.state == workers.TERMINATED).values(terminated_at=late))


@pytest.mark.parametrize(
    ("harm", "number"),
    [
        (unfinished, "I1"),
        (wrong_sum, "I1"),
        (held_lease, "I1"),
        (second_worker, "I3"),
        (lost_point, "I4"),
        (ended_twice, "I5"),
        (early_role, "I6"),
    ],
)
def test_harm_done_to_the_ledger_is_seen(stage: Stage, harm: Callable[[Transaction, str], None], number: str) -> None:
    """Each is told under the number of its invariant."""
    session = begin(stage, "backup-backup")
    stage.run(session)
    calls = life_of_the_role(stage, session)

    with stage.ledger.write() as tx:
        harm(tx, session)

    found = complaints(stage, session, calls)
    assert found
    assert {one.partition(":")[0] for one in found} == {number}


def test_a_lost_session_is_seen(stage: Stage) -> None:
    """What was accepted is not in the ledger."""
    with stage.ledger.read() as tx:
        assert list(invariants._lost(tx, {("test", "1"): "s-lost"})) == [
            "I7: s-lost was accepted (('test', '1')) and the ledger does not know it"
        ]


def test_one_request_that_became_two_sessions_is_seen() -> None:
    """Two acknowledgements of one request name two sessions."""
    auditor = invariants.Auditor(None, None, (), Planted(()), Planted(()))  # type: ignore[arg-type]  # nothing is asked
    auditor.accepted("s-1", source="a", request="1")
    auditor.accepted("s-1", source="a", request="1")
    assert auditor.complaints == []

    auditor.accepted("s-2", source="a", request="1")

    assert auditor.complaints == ["I8: request ('a', '1') became s-1 and s-2"]


@pytest.mark.parametrize(
    ("calls", "number"),
    [
        ([call("ec2:TerminateInstances", "i-unknown")], "I2"),
        ([call("ec2:TerminateInstances", "i-theirs", status=403)], "I2"),
        ([call("ec2:DeleteSnapshot", "snap-unknown")], "I2"),
        ([call("ec2:RunInstances", f"token-{number}") for number in range(17)], "I9"),
        ([call("ec2:CreateTags", "i-1", status=503)] * 200, "I9"),
    ],
)
def test_calls_that_should_not_have_been_made_are_seen(stage: Stage, calls: list[dict[str, Any]], number: str) -> None:
    """Removing what nobody wrote down or what is another's, and asking without end."""
    session = begin(stage, "backup-backup")
    stage.run(session)

    found = complaints(stage, session, [*life_of_the_role(stage, session), *calls])

    assert {one.partition(":")[0] for one in found} == {number}


def test_what_others_do_is_their_own_business(stage: Stage) -> None:
    """Administrators may remove what they like, and may be refused."""
    session = begin(stage, "backup-backup")
    stage.run(session)
    admin = "arn:aws:iam::222222222222:user/daywork-administrator"
    calls = [
        call("ec2:TerminateInstances", "i-theirs", principal=admin),
        call("ec2:TerminateInstances", "i-unknown", status=403),
    ]

    assert complaints(stage, session, [*life_of_the_role(stage, session), *calls]) == []
