"""What the worker will read or fill, prepared before a worker is launched: snapshots.

Backup: one multi-volume snapshot of the instance, taken at one moment. CreateSnapshots has no idempotency token, so the
set is intended in the ledger first and, whenever it may have been made already, looked for by its tags.
Restore: one empty snapshot for each volume, started with a token from the row.
"""

from __future__ import annotations

from datetime import timedelta

from orchestrator.errors import Ambiguous, Permanent
from orchestrator.ledger import journal, things, work
from orchestrator.model.status import ResourceStatus
from orchestrator.model.work import Failed, Outcome, Park
from orchestrator.ports import Compute, SnapshotView
from orchestrator.services import Services
from orchestrator.steps.view import View, remember

#: A snapshot made a moment ago is not listed everywhere yet; until then its absence proves nothing.
VISIBLE_WITHIN = timedelta(minutes=2)
#: How long to wait before looking for what a call without an answer may have made.
_AFTER_SILENCE = timedelta(seconds=15)
_LOOK_AGAIN = timedelta(seconds=5)


def prepare(services: Services, view: View) -> Outcome | None:
    """Prepare the source. Returns None when it is ready, or what the step has to answer."""
    if view.session.operation == "ec2-backup":
        return _snapshots(services, view)
    return _empty_snapshots(services, view)


# --- backup -------------------------------------------------------------------------------------------------------


def _snapshots(services: Services, view: View) -> Outcome | None:
    compute = services.cloud.compute(view.plan.operation)
    taken: dict[str, str] | None = view.resource.state.get("snapshots")
    if taken is None:
        return _take(services, view, compute)
    return _readiness(services, view, taken, compute.snapshots(ids=list(taken.values())))


def _take(services: Services, view: View, compute: Compute) -> Outcome | None:
    """Have the snapshots taken, or find those that an earlier run has taken, and write them down."""
    now, name = services.clock.now(), f"snapshots-{view.label}"
    with services.ledger.write() as tx:
        work.hold(tx, view.held)
        known = things.find(tx, view.session.id, "launch", name)
        # The intent of a set is no thing of its own: it stands until its snapshots are written down.
        things.intend(tx, view.thing("launch", name))
    marks = view.tags(services.install.id)
    found = compute.snapshots(tags=marks) if known is not None else []
    fresh = not found
    if fresh:
        try:
            found = compute.make_snapshots(
                view.resource.resource_id,
                exclude_volumes=view.plan.details.get("excludeVolumes", ()),
                tags=marks,
                description=f"daywork {view.session.id}",
            )
        except Ambiguous as error:
            return Park("retry", now + _AFTER_SILENCE, status=ResourceStatus.WAITING_FOR_SOURCE, reason=error.reason)
        except Permanent:
            with services.ledger.write() as tx:
                things.removed(tx, view.session.id, "launch", name)
            raise
    chosen = _first_set(found)
    if missing := {volume.volume_id for volume in view.plan.volumes} - set(chosen):
        begun = known.intended_at if known is not None else None
        if not fresh and begun is not None and now - begun < VISIBLE_WITHIN:
            return Park("snapshot", now + _LOOK_AGAIN, status=ResourceStatus.WAITING_FOR_SOURCE)
        _enter(services, view, found, chosen)
        return Failed(
            f"volume {min(missing)} was not part of the snapshot",
            "It was detached meanwhile; start the backup again",
        )
    _enter(services, view, found, chosen)
    taken = {volume: one.snapshot_id for volume, one in chosen.items()}
    return _readiness(services, view, taken, list(chosen.values()))


def _first_set(found: list[SnapshotView]) -> dict[str, SnapshotView]:
    """Return the earliest snapshot of each volume: all of one set, should a lost answer have led to two sets."""
    chosen: dict[str, SnapshotView] = {}
    for one in sorted(found, key=lambda one: (one.started_at, one.snapshot_id)):
        chosen.setdefault(one.volume_id, one)
    return chosen


def _enter(services: Services, view: View, found: list[SnapshotView], chosen: dict[str, SnapshotView]) -> None:
    """Write down every snapshot there is, those of a second set too, and which ones the job shall read."""
    session = view.session.id
    with services.ledger.write() as tx:
        for one in found:
            things.intend(tx, view.thing("snapshot", one.snapshot_id))
            things.created(tx, session, "snapshot", one.snapshot_id, cloud_id=one.snapshot_id, volume=one.volume_id)
        things.removed(tx, session, "launch", f"snapshots-{view.label}")
        taken_at = min((one.started_at for one in chosen.values()), default=tx.now)
        remember(
            tx,
            view,
            snapshots={volume: one.snapshot_id for volume, one in chosen.items()},
            takenAt=taken_at.timestamp(),
            waitingSince=tx.now.timestamp(),
        )
        journal.write(tx, session, f"{len(chosen)} snapshots begun", ordinal=view.held.key.ordinal)


def _readiness(services: Services, view: View, taken: dict[str, str], seen: list[SnapshotView]) -> Outcome | None:
    """Return None when all snapshots can be read, or what the step has to answer."""
    if broken := [one for one in seen if one.state == "error"]:
        return Failed(
            f"snapshot {broken[0].snapshot_id} ended in an error: {broken[0].reason or 'EC2 gives no reason'}",
            "See the snapshot in EC2, and whether the role may use the key of the volume; start the backup again",
        )
    if len(seen) == len(taken) and all(one.state == "completed" for one in seen):
        return None
    now, span = services.clock.now(), services.install.deadlines.source
    since = view.moment("waitingSince") or now
    if now - since >= span:
        return Failed(f"the snapshots were not completed within {span}", "See the state of the snapshots in EC2")
    if lost := set(taken.values()) - {one.snapshot_id for one in seen}:
        if now - since >= VISIBLE_WITHIN:
            return Failed(
                f"snapshot {min(lost)} does not exist any more", "Somebody deleted it; start the backup again"
            )
        return Park("snapshot", now + _LOOK_AGAIN, status=ResourceStatus.WAITING_FOR_SOURCE)
    return Park("snapshot", since + span, status=ResourceStatus.WAITING_FOR_SOURCE)


# --- restore ------------------------------------------------------------------------------------------------------


def _empty_snapshots(services: Services, view: View) -> Outcome | None:
    if "snapshots" in view.resource.state:
        return None
    compute, session = services.cloud.compute(view.plan.operation), view.session.id
    wanted_key = view.plan.details.get("kmsKey")
    started: dict[str, str] = {}
    for volume in view.plan.volumes:
        token = f"{session}-{view.label}-{volume.volume_id}"[-64:]
        with services.ledger.write() as tx:
            work.hold(tx, view.held)
            things.intend(tx, view.thing("snapshot", token))
        try:
            made = compute.start_snapshot(
                token=token,
                size_gib=volume.size_gib,
                tags=view.tags(services.install.id),
                kms_key=wanted_key or (view.own_key(volume.kms_key) if volume.encrypted else None),
            )
        except Permanent:
            with services.ledger.write() as tx:
                things.removed(tx, session, "snapshot", token)
            raise
        started[volume.volume_id] = made.snapshot_id
        with services.ledger.write() as tx:
            things.created(tx, session, "snapshot", token, cloud_id=made.snapshot_id, volume=volume.volume_id)
    with services.ledger.write() as tx:
        remember(tx, view, snapshots=started)
    return None
