"""What must hold at the end of every session, whatever happened in it (OPERATIONS section 6)."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from orchestrator import records, tags
from orchestrator.ledger import batches, schema, things
from orchestrator.model.status import ResourceStatus, SessionStatus, Step, session_outcome
from support.fakes.world import FakeInstance
from support.install import EXTERNAL_IDS, INSTALL
from support.stage import Stage


def record(stage: Stage, session: str) -> dict[str, Any]:
    """Return the session's whole record."""
    with stage.ledger.read() as tx:
        return records.session_record(tx, session)


def statuses(stage: Stage, session: str) -> list[str]:
    """Return the status of each resource."""
    return [str(one.status) for one in stage.resources(session)]


def assert_nothing_left(stage: Stage, *wanted: str) -> None:
    """Look at the cloud and at the ledger: nothing of these sessions is there but what their receipts say is kept."""
    stage.elapse_quietly()
    for session in wanted:
        _assert_ended(stage, session)
        _assert_cloud_is_clean(stage, session)
        _assert_ledger_is_quiet(stage, session)
    _assert_others_untouched(stage)
    _assert_no_secret(stage)


def _assert_ended(stage: Stage, session: str) -> None:
    shown = record(stage, session)
    final = [ResourceStatus(one["status"]) for one in shown["resources"]]
    assert all(status.is_final for status in final), shown["resources"]
    assert SessionStatus(shown["status"]) == session_outcome(final), (shown["status"], final)
    assert shown["receipt"]["remaining"] == []
    for one in shown["resources"]:
        if one["status"] == ResourceStatus.SUCCESS:
            assert one["reason"] is None, one["reason"]
        else:
            assert one["reason"], one
    assert shown["endedAt"] is not None


def _assert_cloud_is_clean(stage: Stage, session: str) -> None:
    world, kept = stage.world, {one["id"] for one in record(stage, session)["receipt"]["kept"]}
    mine = {tags.INSTALL: INSTALL, tags.SESSION: session}
    assert not [
        one.id for one in world.instances.values() if _carries(one, mine) and world.state_of(one) != "terminated"
    ]
    there = {one.id for one in [*world.snapshots.values(), *world.volumes.values()] if _carries(one, mine)}
    restored = {one.id for one in _restored(stage, session)}
    assert there | restored == kept
    assert not [one.id for one in world.images.values() if _carries(one.asked, mine)]
    half_made = [*world.instances.values(), *world.volumes.values()]
    assert not [
        one.id
        for one in half_made
        if _carries(one, {tags.RESTORING: INSTALL, tags.SESSION: session})
        and not (isinstance(one, FakeInstance) and world.state_of(one) == "terminated")
    ]
    assert not [key for key in world.bucket if f"/{session}/" in key]
    path = tags.path_of(INSTALL)
    assert not [one.arn for one in world.roles.values() if one.path == path and one.tags.get(tags.SESSION) == session]


def _restored(stage: Stage, session: str) -> list[FakeInstance]:
    """Return the session's restored instances that are there."""
    world = stage.world
    return [
        one
        for one in world.instances.values()
        if one.tags.get(tags.SESSION) == session
        and tags.INSTALL not in one.tags
        and world.state_of(one) != "terminated"
    ]


def _carries(thing: Any, wanted: dict[str, str]) -> bool:
    return bool(wanted.items() <= thing.tags.items())


def _assert_ledger_is_quiet(stage: Stage, session: str) -> None:
    with stage.ledger.read() as tx:
        assert not batches.open_of_session(tx, session)
        open_work = tx.rows(
            sa.select(schema.work).where(schema.work.c.session_id == session, schema.work.c.step != Step.DONE)
        )
        held = tx.rows(
            sa.select(schema.leases.c.name).where(
                schema.leases.c.owner.like(f"{session}/%"), schema.leases.c.until > tx.now
            )
        )
        living = tx.rows(
            sa.select(schema.workers.c.instance_id).where(
                schema.workers.c.session_id == session, schema.workers.c.state != "terminated"
            )
        )
        made = things.of_session(tx, session)
    assert not open_work, open_work
    assert not held, held
    assert not living, living
    known = {one.cloud_id for one in made if one.kind == "instance"}
    launched = {
        one.id
        for one in stage.world.instances.values()
        if one.tags.get(tags.SESSION) == session and tags.INSTALL in one.tags
    }
    assert known == launched, "the receipt names every worker there was"


def _assert_others_untouched(stage: Stage) -> None:
    if stage.has_running():
        return
    assert stage.iam() == stage.baseline
    world = stage.world
    for one in world.instances.values():
        if tags.INSTALL not in one.tags and tags.SESSION not in one.tags:
            assert world.state_of(one) == "running", f"{one.id} is not ours"
    assert stage.foreign <= set(world.volumes) | set(world.snapshots)


def _assert_no_secret(stage: Stage) -> None:
    with stage.ledger.read() as tx:
        for table in schema.metadata.sorted_tables:
            text = json.dumps([[str(value) for value in row] for row in tx.rows(sa.select(table))])
            assert not [secret for secret in EXTERNAL_IDS.values() if secret in text], table.name
