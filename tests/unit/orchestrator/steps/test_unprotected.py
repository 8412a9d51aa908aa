"""What nobody protects: no policy, no good point, too old a one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from support.install import A, B, arn
from support.scenarios import restore_point
from support.stage import Stage

from orchestrator import tags
from orchestrator.ledger import schedules
from orchestrator.unprotected import Answer, unprotected

DAY = timedelta(hours=26)
DAILY: list[dict[str, Any]] = [{"account": "*", "region": "*", "tags": {"backup": "daily"}}]


def policy(stage: Stage, name: str, *, is_enabled: bool = True, **document: Any) -> None:
    """Enter a policy that backs up every night."""
    body = {"name": name, "operation": "ec2-backup", "select": DAILY, "schedule": {"cron": "0 2 * * *"}, **document}
    with stage.ledger.write() as tx:
        schedules.put(tx, name, body, next_at=None, by="test")
        if not is_enabled:
            schedules.disable(tx, name)


def look(stage: Stage, *accounts: str) -> Answer:
    """Ask."""
    return unprotected(stage.services, DAY, accounts)


def reasons(answer: Answer) -> dict[str, str]:
    """Return the reason for each instance found."""
    return {one.resource_id: one.reason for one in answer.found}


def name(resource: str) -> str:
    """Return a resource's own id."""
    return resource.split("/")[2]


def test_an_instance_with_a_policy_and_a_young_good_point_is_protected(stage: Stage) -> None:
    """By any policy, in any account; workers of ours are nobody's instances."""
    policy(stage, "nightly")
    for account in (A, B):
        restore_point(stage, stage.instance(account, tags={"backup": "daily"}))
    stage.instance(A, tags={tags.INSTALL: "test", tags.SESSION: "s-1"})

    answer = look(stage)

    assert (answer.found, answer.seen, answer.failures) == ((), 2, ())


def test_each_lack_is_told_apart(stage: Stage) -> None:
    """No policy; no point; too old a point, which is named."""
    policy(stage, "nightly")
    old = stage.instance(A, tags={"backup": "daily", "Name": "shop"})
    point = restore_point(stage, old)
    stage.clock.pass_by(DAY + timedelta(seconds=1))
    bare = stage.instance(A, tags={"backup": "never"})
    restore_point(stage, bare)
    new = stage.instance(B, tags={"backup": "daily"})
    damaged = stage.instance(B, tags={"backup": "daily"})
    restore_point(stage, damaged, status="damaged")

    answer = look(stage)

    assert reasons(answer) == {
        name(old): "its newest good restore point is too old",
        name(bare): "no enabled policy with a schedule covers it",
        name(new): "it has no good restore point yet",
        name(damaged): "it has no good restore point yet",
    }
    (told,) = [one for one in answer.found if one.resource_id == name(old)]
    assert (told.policies, told.restore_point, told.name) == (("nightly",), point, "shop")
    assert {one.account for one in look(stage, B).found} == {B}


def test_a_policy_that_does_not_run_protects_nothing(stage: Stage) -> None:
    """Disabled, without a schedule, of another operation, or with the instance excluded."""
    instance = stage.instance(A, tags={"backup": "daily"})
    restore_point(stage, instance)
    policy(stage, "off", is_enabled=False)
    policy(stage, "by-hand", schedule=None)
    policy(stage, "drill", operation="ec2-restore-volume")
    policy(stage, "without", exclude=[{"account": "*", "region": "*", "id": name(instance)}])

    assert reasons(look(stage)) == {name(instance): "no enabled policy with a schedule covers it"}


def test_an_account_that_cannot_be_looked_at_is_told_and_the_others_are(stage: Stage) -> None:
    """One role that is not trusted any more."""
    stage.instance(B)
    stage.world.roles[A, "DayworkBackup"].is_trusting = False

    answer = look(stage)

    assert [one.account for one in answer.found] == [B]
    assert len(answer.failures) == 2  # two Regions
    assert all(arn(A, "DayworkBackup") in one for one in answer.failures)
