"""Archived points: made by sessions of their own, retrieved before anything is launched that would read them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from support import install as values
from support.expectations import assert_nothing_left, record, statuses
from support.fakes.archives import PACKS
from support.install import HOME, A, B
from support.stage import Stage

from orchestrator import retry
from orchestrator.errors import AccessDenied, Ambiguous, Refused
from orchestrator.ledger import points
from orchestrator.services import Deadlines

ARCHIVE = "s3://daywork-vault/main"


@pytest.fixture
def stage(make_stage: Callable[..., Stage]) -> Stage:
    """Return an installation whose repository has an archive, which a role of its own lists."""
    document = values.document()
    document["repositories"][0] |= {
        "archive": {"url": ARCHIVE, "storageClass": "DEEP_ARCHIVE"},
        "reader": values.arn(HOME, "DayworkRepositoryReader"),
    }
    deadlines = Deadlines(retrieval=timedelta(hours=2))
    stage = make_stage(document=document, install=values.install(deadlines=deadlines))
    stage.world.add_role(HOME, "DayworkRepositoryReader")
    stage.baseline = stage.iam()
    return stage


def backed_up(stage: Stage) -> tuple[str, str]:
    """Back an instance of two volumes up; return it and the restore point."""
    source = stage.instance(A, 8, 20)
    session = stage.submit(source)
    stage.run(session)
    return source, str(record(stage, session)["resources"][0]["result"]["restorePoint"])


def archive(stage: Stage, point: str, **request: Any) -> str:
    """Archive a point; return the session."""
    return stage.submit(f"{HOME}/eu-west-1/{point}", operation="ec2-archive", mode="backup", **request)


def archived(stage: Stage) -> str:
    """Back an instance up and archive the point; return the copy."""
    _, point = backed_up(stage)
    session = archive(stage, point)
    stage.run(session)
    assert statuses(stage, session) == ["success"]
    return str(record(stage, session)["resources"][0]["result"]["restorePoint"])


def restore(stage: Stage, point: str, **options: Any) -> str:
    """Submit a restore of volumes into another account; return the session."""
    return stage.submit(f"{B}/eu-west-1/{point}", operation="ec2-restore-volume", mode="backup", options=options)


def calls(stage: Stage, operation: str) -> int:
    """Count the calls of an operation."""
    return sum(one.operation == operation for one in stage.world.script.calls)


def test_a_copy_is_listed_beside_the_chain_and_not_in_it(stage: Stage) -> None:
    """Of the original's moment and volumes; neither retention nor the next backup counts it."""
    source, point = backed_up(stage)
    account, region, instance = source.split("/")

    session = archive(stage, point)
    stage.run(session)

    result = record(stage, session)["resources"][0]["result"]
    with stage.ledger.read() as tx:
        (copy,) = points.copies(tx, account, region, instance)
        (original,) = points.of_resource(tx, account, region, instance)
    assert (copy.id, copy.kind, copy.status, copy.parent) == (result["restorePoint"], "archived", "complete", None)
    assert (copy.created_at, copy.record["volumes"]) == (original.created_at, original.record["volumes"])
    assert (original.id, copy.record["archive"]["of"]) == (point, point)
    assert copy.record["archive"]["url"] == ARCHIVE
    assert "packs" not in result, "where packs are is of no use to a person"
    assert_nothing_left(stage, session)


def test_a_point_is_archived_once(stage: Stage) -> None:
    """Asked again the session says which copy there is."""
    _, point = backed_up(stage)
    stage.run(archive(stage, point))

    again = archive(stage, point)
    stage.run(again)

    (resource,) = record(stage, again)["resources"]
    assert resource["status"] == "skipped"
    assert resource["reason"].startswith(f"restore point {point} is archived already, as rp-")


def test_another_attempt_goes_on_with_the_same_copy(stage: Stage) -> None:
    """What the first one has stored is used."""
    _, point = backed_up(stage)
    stage.agents.manners.dies_at_work = True

    session = archive(stage, point, retry={"attempts": 2, "delay": 60})
    stage.run_until(lambda: stage.resources(session)[0].attempt > 1)
    stage.agents.manners.dies_at_work = False
    stage.run(session)

    orders = [
        one.order.job["archivedPoint"]
        for one in stage.agents.lives.values()
        if one.order and "archivedPoint" in one.order.job
    ]
    assert len(orders) == 2
    assert len(set(orders)) == 1
    assert_nothing_left(stage, session)


def test_no_worker_is_launched_before_the_packs_can_be_read(stage: Stage) -> None:
    """It waits without one, and says for what and until when."""
    point = archived(stage)
    before = len(stage.world.instances)

    session = restore(stage, point)
    stage.run_until(lambda: stage.resources(session)[0].status == "waiting-for-source")

    (resource,) = record(stage, session)["resources"]
    assert resource["reason"].startswith("retrieving from the archive, expected by 20")
    assert len(stage.world.instances) == before
    began = stage.clock.now()
    stage.run(session)
    assert stage.clock.now() - began >= stage.world.timing.retrieval - timedelta(minutes=1)
    assert statuses(stage, session) == ["success"]
    assert calls(stage, "retrieve") == 1
    assert calls(stage, "list_packs") < 2 * 80, "the longer it waits the less often it looks"
    (order,) = [
        one.order for one in stage.agents.lives.values() if one.order and one.order.job_name == "ec2-restore-volume"
    ]
    assert order.job["repository"]["url"] == ARCHIVE
    assert_nothing_left(stage, session)


def test_only_the_packs_of_wanted_volumes_are_asked_for(stage: Stage) -> None:
    """What the restore does not need stays where it is cheap."""
    point = archived(stage)
    with stage.ledger.read() as tx:
        (wanted, packs), *_ = points.get(tx, point).record["archive"]["packs"].items()

    session = restore(stage, point, volumes=[wanted], retrieval="bulk")
    stage.run(session)

    asked = [one for one in stage.world.archives[ARCHIVE] if one.asked_at is not None]
    assert {one.owner for one in asked} == {packs["owner"]}
    assert len(asked) == PACKS
    assert statuses(stage, session) == ["success"]


def test_what_was_retrieved_already_is_not_waited_for(stage: Stage) -> None:
    """A second restore begins at once; what would run out under it is kept for longer."""
    point = archived(stage)
    stage.run(restore(stage, point))
    stage.clock.pass_by(timedelta(days=2, hours=12))

    session, before = restore(stage, point), stage.clock.now()
    stage.run(session)

    assert statuses(stage, session) == ["success"]
    assert stage.clock.now() - before < timedelta(minutes=20)
    assert calls(stage, "retrieve") == 2


def test_a_stop_while_it_waits_leaves_nothing_and_asks_nothing_more(stage: Stage) -> None:
    """The session ends at once."""
    point = archived(stage)
    session = restore(stage, point)
    stage.run_until(lambda: stage.resources(session)[0].status == "waiting-for-source")
    asked, before = calls(stage, "retrieve"), stage.clock.now()

    stage.stop(session)
    stage.run(session)

    assert statuses(stage, session) == ["stopped"]
    assert stage.clock.now() - before < timedelta(minutes=20)
    assert calls(stage, "retrieve") == asked
    assert_nothing_left(stage, session)


def test_a_restore_that_may_die_at_any_time_retrieves_and_reads(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every thirteenth transaction is the last of its process: what was asked for comes, and nothing is left."""
    monkeypatch.setattr(retry, "DEATHS", 1000)
    point = archived(stage)
    stage.dies_every = 13

    session = restore(stage, point)
    stage.run(session)

    assert statuses(stage, session) == ["success"]
    assert stage.deaths > 1
    assert_nothing_left(stage, session)


@pytest.mark.parametrize("after", [False, True])
def test_a_lost_answer_is_asked_again(stage: Stage, *, after: bool) -> None:
    """Asking twice is harmless, forgetting is not."""
    point = archived(stage)
    stage.world.script.fail("retrieve", Ambiguous("no answer"), after=after)

    session = restore(stage, point)
    stage.run(session)

    assert statuses(stage, session) == ["success"]
    assert_nothing_left(stage, session)


def test_packs_that_never_come_end_the_wait(stage: Stage) -> None:
    """With how many are missing."""
    point = archived(stage)
    stage.world.timing.retrieval = timedelta(days=400)

    session = restore(stage, point)
    stage.run(session)

    (resource,) = record(stage, session)["resources"]
    assert resource["status"] == "failed"
    assert resource["reason"].startswith(f"the archive has not given {2 * PACKS} of {2 * PACKS} packs within")
    assert_nothing_left(stage, session)


def test_packs_that_are_gone_are_told(stage: Stage) -> None:
    """Nothing is asked for of a point that cannot be whole."""
    point = archived(stage)
    del stage.world.archives[ARCHIVE][0]

    session = restore(stage, point)
    stage.run(session)

    (resource,) = record(stage, session)["resources"]
    assert f"{PACKS - 1} packs of vol-" in resource["reason"]
    assert calls(stage, "retrieve") == 0


def test_a_role_that_may_not_ask_fails_the_restore(stage: Stage) -> None:
    """With AWS's reason."""
    point = archived(stage)
    stage.world.script.fail("retrieve", AccessDenied("retrieve an archived pack: AccessDenied"), times=None)

    session = restore(stage, point)
    stage.run(session)

    (resource,) = record(stage, session)["resources"]
    assert (resource["status"], resource["reason"]) == ("failed", "retrieve an archived pack: AccessDenied")
    assert_nothing_left(stage, session)


@pytest.mark.parametrize(
    ("operation", "options", "said"),
    [
        ("ec2-archive", {}, "is an archived copy; ec2-archive does not take one"),
        ("ec2-restore-volume", {"retrieval": "expedited"}, "DEEP_ARCHIVE, which has no expedited retrieval"),
    ],
)
def test_what_an_archived_point_is_not_for_is_refused(
    stage: Stage, operation: str, options: dict[str, Any], said: str
) -> None:
    """When it is planned: nothing is made."""
    point = archived(stage)

    session = stage.submit(f"{B}/eu-west-1/{point}", operation=operation, mode="backup", options=options)
    stage.run(session)

    (resource,) = record(stage, session)["resources"]
    assert resource["status"] == "failed"
    assert said in resource["reason"]


def test_an_unknown_tier_is_refused_by_name(stage: Stage) -> None:
    """Before there is a session."""
    with pytest.raises(Refused, match="retrieval"):
        restore(stage, "rp-1", retrieval="at-once")
