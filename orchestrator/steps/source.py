"""What the worker will read or fill, prepared before a worker is launched: snapshots.

Backup: one multi-volume snapshot of the instance, taken at one moment. CreateSnapshots has no idempotency token, so the
set is intended in the ledger first and looked for by its tags before it is made.
Restore: one empty snapshot for each volume, started with a token from the row.
"""

from __future__ import annotations

from datetime import timedelta

from orchestrator.ledger import journal, things, work
from orchestrator.model.status import ResourceStatus
from orchestrator.model.work import Failed, Outcome, Park
from orchestrator.ports import SnapshotView
from orchestrator.services import Services
from orchestrator.steps.view import View, remember

_LOOK_AGAIN = timedelta(seconds=30)


def prepare(services: Services, view: View) -> Outcome | None:
    """Prepare the source. Returns None when it is ready, or what the step has to answer."""
    if view.session.operation == "ec2-backup":
        return _snapshots(services, view)
    return _empty_snapshots(services, view)


def _intend(services: Services, view: View, kind: str, name: str) -> things.Thing:
    place = view.plan.operation
    with services.ledger.write() as tx:
        work.hold(tx, view.held)
        return things.intend(
            tx,
            things.Thing(
                session=view.session.id,
                ordinal=view.held.key.ordinal,
                kind=kind,
                name=name,
                account=place.account,
                region=place.region,
                role=place.role,
            ),
        )


def _enter(services: Services, view: View, found: list[SnapshotView]) -> None:
    """Write the snapshots of a set down, and with them that the set exists."""
    place = view.plan.operation
    session = view.session.id
    with services.ledger.write() as tx:
        for one in found:
            things.intend(
                tx,
                things.Thing(
                    session=session,
                    ordinal=view.held.key.ordinal,
                    kind="snapshot",
                    name=one.snapshot_id,
                    account=place.account,
                    region=place.region,
                    role=place.role,
                ),
            )
            things.created(tx, session, "snapshot", one.snapshot_id, cloud_id=one.snapshot_id, volume=one.volume_id)
        things.removed(tx, session, "launch", f"snapshots-{view.label}")
        remember(
            tx,
            view,
            snapshots={one.volume_id: one.snapshot_id for one in found},
            takenAt=min(one.started_at for one in found).timestamp(),
        )
        journal.write(tx, session, f"{len(found)} snapshots begun", ordinal=view.held.key.ordinal)


def _snapshots(services: Services, view: View) -> Outcome | None:
    compute = services.cloud.compute(view.plan.operation)
    taken: dict[str, str] = view.resource.state.get("snapshots", {})
    if not taken:
        # The intent of a set is no thing of its own: it stands until its snapshots are written down.
        _intend(services, view, "launch", f"snapshots-{view.label}")
        marks = view.tags(services.install.id)
        found = compute.snapshots(tags=marks) or compute.make_snapshots(
            view.resource.resource_id,
            exclude_volumes=view.plan.details.get("excludeVolumes", ()),
            tags=marks,
            description=f"daywork {view.session.id}",
        )
        _enter(services, view, found)
        taken = {one.volume_id: one.snapshot_id for one in found}
        if missing := {volume.volume_id for volume in view.plan.volumes} - set(taken):
            return Failed(
                f"volume {min(missing)} was not part of the snapshot",
                "It was detached meanwhile; start the backup again",
            )
    states = compute.snapshots(ids=list(taken.values()))
    if broken := [one for one in states if one.state == "error"]:
        return Failed(f"snapshot {broken[0].snapshot_id} ended in an error: {broken[0].reason or 'no reason given'}")
    if len(states) == len(taken) and all(one.state == "completed" for one in states):
        return None
    begun = view.resource.state.get("takenAt")
    if (
        begun is not None
        and services.clock.now().timestamp() - begun > services.install.deadlines.source.total_seconds()
    ):
        return Failed("the snapshots were not completed in time", "See the state of the snapshots in EC2")
    return Park("snapshot", services.clock.now() + _LOOK_AGAIN, status=ResourceStatus.WAITING_FOR_SOURCE)


def _empty_snapshots(services: Services, view: View) -> Outcome | None:
    if "snapshots" in view.resource.state:
        return None
    compute = services.cloud.compute(view.plan.operation)
    started: dict[str, str] = {}
    for volume in view.plan.volumes:
        token = f"{view.session.id}-{view.label}-{volume.volume_id}"[-64:]
        _intend(services, view, "snapshot", token)
        made = compute.start_snapshot(
            token=token,
            size_gib=volume.size_gib,
            tags=view.tags(services.install.id),
            kms_key=view.plan.details.get("kmsKey") or (volume.kms_key if volume.encrypted else None),
        )
        started[volume.volume_id] = made.snapshot_id
        with services.ledger.write() as tx:
            things.created(tx, view.session.id, "snapshot", token, cloud_id=made.snapshot_id, volume=volume.volume_id)
    with services.ledger.write() as tx:
        remember(tx, view, snapshots=started)
    return None
