"""Policies on a whole installation: what a tick finds in the cloud is what its session works on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from support.expectations import assert_nothing_left
from support.install import OTHER_REGION, REGION, A, B
from support.scenarios import hurry
from support.stage import Stage

from orchestrator.ledger import pausing, sessions
from orchestrator.model.status import ResourceStatus, SessionStatus
from orchestrator.scheduler import asking
from orchestrator.scheduler.policy import read_policy
from orchestrator.scheduler.tick import tick

DAILY = {"backup": "daily"}
HOUR = timedelta(hours=1)


def begin(stage: Stage, **more: Any) -> None:
    """Apply a policy of every hour over both accounts and both Regions."""
    hurry(stage)
    stage.clock.set(datetime(2026, 11, 23, 1, 30, tzinfo=UTC))
    document = {
        "name": "nightly",
        "operation": "ec2-backup",
        "select": [
            {"account": account, "region": region, "tags": DAILY}
            for account in ("production-a", "production-b")
            for region in (REGION, OTHER_REGION)
        ],
        "schedule": {"cron": "0 * * * *"},
        **more,
    }
    asking.apply(stage.ledger, [read_policy(document)])


def run_at(stage: Stage, hour: int) -> tuple[str, set[str]]:
    """Look at a full hour and let the session come to its end; returns its id and the resources it had."""
    stage.clock.set(datetime(2026, 11, 23, hour, tzinfo=UTC))
    assert tick(stage.ledger, dispatch=stage.dispatch) == 1
    with stage.ledger.read() as tx:
        session = sessions.recent(tx, limit=1)[0].id
    stage.run(session)
    return session, {one.resource_id for one in stage.resources(session)}


def instance(stage: Stage, account: str, region: str, **tags: str) -> str:
    """Make an instance; returns its id."""
    made = stage.world.add_instance(account, region, 8, tags=tags)
    stage.foreign |= {one.volume_id for one in made.volumes}
    return made.id


def test_each_tick_finds_what_carries_the_tags_then_in_every_account_and_region(stage: Stage) -> None:
    """Instances come and go between two ticks; nobody touches the policy."""
    begin(stage)
    first = {instance(stage, account, region, **DAILY) for account in (A, B) for region in (REGION, OTHER_REGION)}
    instance(stage, A, REGION, backup="weekly")

    session, found = run_at(stage, 2)
    late = instance(stage, B, OTHER_REGION, **DAILY)
    gone = min(first)
    stage.world.instances[gone].tags.clear()
    again, found_again = run_at(stage, 3)

    assert found == first
    assert found_again == (first | {late}) - {gone}
    assert {stage.session(one).status for one in (session, again)} == {SessionStatus.SUCCESS}
    assert_nothing_left(stage, session)
    assert_nothing_left(stage, again)


def test_everything_everywhere_but_what_is_excluded(stage: Stage) -> None:
    """One selector for all registered accounts and Regions; left out by id and by tags, as they are at each tick."""
    begin(
        stage,
        select=[{"account": "*", "region": "*", "tags": DAILY}],
        exclude=[{"tags": {"backup-hold": "yes"}}],
    )
    taken = {instance(stage, account, region, **DAILY) for account in (A, B) for region in (REGION, OTHER_REGION)}
    held = instance(stage, B, OTHER_REGION, **{"backup-hold": "yes", **DAILY})

    first, _ = run_at(stage, 2)
    stage.world.instances[held].tags.pop("backup-hold")
    second, _ = run_at(stage, 3)

    assert done(stage, first) == taken
    assert done(stage, second) == taken | {held}
    assert {stage.session(one).status for one in (first, second)} == {SessionStatus.SUCCESS}


def done(stage: Stage, session: str) -> set[str]:
    """Return the resources of a session that were backed up."""
    return {one.resource_id for one in stage.resources(session) if one.status is ResourceStatus.SUCCESS}


def test_a_tick_that_finds_nothing_is_a_warning(stage: Stage) -> None:
    """A policy that protects nothing must not look like one that does."""
    begin(stage)

    session, found = run_at(stage, 2)

    assert found == set()
    assert stage.session(session).status is SessionStatus.WARNING


def test_the_policys_own_retry_is_that_of_its_sessions(stage: Stage) -> None:
    """Two attempts, as the policy says."""
    begin(stage, retry={"attempts": 2, "delay": 30})
    instance(stage, A, REGION, **DAILY)
    stage.agents.manners.outcome = "failed"

    session, _ = run_at(stage, 2)

    assert [one.attempt for one in stage.resources(session)] == [2]
    assert stage.session(session).status is SessionStatus.FAILED


def test_a_pause_holds_new_sessions_back_and_lets_running_ones_end(stage: Stage) -> None:
    """One runs, one is submitted, one is due: the first ends, the others start when it is over."""
    begin(stage)
    resource = f"{A}/{REGION}/{instance(stage, A, REGION, **DAILY)}"
    running = stage.submit(resource)
    stage.run_until(lambda: bool(list(stage.world.alive(daywork_session=running))))
    with stage.ledger.write() as tx:
        pausing.pause(tx, by="ada", reason="upgrade")
    waiting = stage.submit(f"{B}/{REGION}/{instance(stage, B, REGION, **DAILY)}")

    stage.run(running)
    stage.clock.set(datetime(2026, 11, 23, 2, 0, 30, tzinfo=UTC))
    made = tick(stage.ledger, dispatch=stage.dispatch)
    stage.elapse(HOUR / 60)

    assert stage.session(running).status is SessionStatus.SUCCESS
    assert (made, stage.session(waiting).status) == (0, SessionStatus.PENDING)
    assert not list(stage.world.alive(daywork_session=waiting))

    with stage.ledger.write() as tx:
        woken = pausing.resume(tx)
    stage.dispatch.drive(woken)
    stage.run(waiting)

    assert stage.session(waiting).status is SessionStatus.SUCCESS
    assert tick(stage.ledger, dispatch=stage.dispatch) == 1
    assert_nothing_left(stage, running)
    assert_nothing_left(stage, waiting)
