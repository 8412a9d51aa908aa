"""What the worker of a backup will read: one multi-volume snapshot of the instance, taken at one moment.

CreateSnapshots has no idempotency token, so the set is intended in the ledger first and, whenever it may have been made
already, looked for by its tags. Their tags name the restore point that they are for: some day its base
(`orchestrator.steps.jobs.bases`).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from ulid import ULID

from orchestrator import tags
from orchestrator.errors import Ambiguous, CloudError
from orchestrator.ledger import journal, things
from orchestrator.ledger.store import Transaction
from orchestrator.model.status import ResourceStatus
from orchestrator.model.work import Failed, Outcome, Park
from orchestrator.ports import Compute, SnapshotView, Tags
from orchestrator.services import Services
from orchestrator.steps.view import View, remember

#: How long to wait before looking for what a call without an answer may have made.
_AFTER_SILENCE = timedelta(seconds=15)
_LOOK_AGAIN = timedelta(seconds=15)
#: How often a set of snapshots is asked for while EC2 does not answer: each may have been made.
_MOST_SETS = 3


def prepare(services: Services, view: View) -> Outcome | None:
    """Have the snapshots taken. Returns None when all can be read, or what the step has to answer."""
    compute = services.cloud.compute(view.plan.operation)
    taken: dict[str, str] | None = view.resource.state.get("snapshots")
    if taken is None:
        return _take(services, view, compute)
    with services.ledger.read() as tx:
        made = things.of_session(tx, view.session.id, ordinal=view.held.key.ordinal, kinds=["snapshot"])
    shown = {one.cloud_id: one.shown for one in made}
    if all(shown.get(one) == "completed" for one in taken.values()):
        # `watch` has seen it, for all resources in a few calls.
        return None
    return _readiness(services, view, taken, compute.snapshots(ids=list(taken.values())))


def _take(services: Services, view: View, compute: Compute) -> Outcome | None:
    """Have the snapshots taken, or find those that an earlier run has taken, and write them down."""
    now, marks = services.clock.now(), view.tags(services.install.id)
    with services.ledger.read() as tx:
        silent = _unanswered(tx, view)
    asked = max((one.intended_at for one in silent if one.intended_at is not None), default=now)
    is_young = bool(silent) and now - asked < services.install.deadlines.visible
    found = compute.snapshots(tags=marks) if silent else []
    if not found:
        if is_young:
            return _look_again(now)
        made = _make_set(services, view, compute, marks)
        if not isinstance(made, list):
            return made
        found = made
    chosen = _first_set(found)
    if missing := {volume.volume_id for volume in view.plan.volumes} - set(chosen):
        if is_young:
            return _look_again(now)
        _enter(services, view, found, chosen)
        return Failed(
            f"volume {min(missing)} was not part of the snapshot",
            "It was detached meanwhile; start the backup again",
        )
    _enter(services, view, found, chosen)
    taken = {volume: one.snapshot_id for volume, one in chosen.items()}
    return _readiness(services, view, taken, list(chosen.values()))


def _unanswered(tx: Transaction, view: View) -> list[things.Thing]:
    """List the sets that were asked for and whose answer is not known."""
    present = things.of_session(tx, view.session.id, ordinal=view.held.key.ordinal, kinds=["launch"], present=True)
    return [one for one in present if one.name.startswith(f"snapshots-{view.label}-")]


def _make_set(services: Services, view: View, compute: Compute, marks: Tags) -> list[SnapshotView] | Outcome:
    """Ask for a set of snapshots under an intent of its own. A set asked for earlier that nobody sees was not made.

    It may show itself all the same, so from then on the teardown looks by tags.
    """
    session, number = view.session.id, int(view.resource.state.get("sets", 0)) + 1
    if number > _MOST_SETS:
        return Failed("EC2 did not say whether it made the snapshots", "Start the backup again when EC2 answers")
    name = f"snapshots-{view.label}-{number}"
    point = view.resource.state.get("restorePoint") or f"rp-{ULID()}"
    with services.ledger.write() as tx:
        remember(tx, view, sets=number, restorePoint=point, **({"unsure": True} if number > 1 else {}))
        for one in _unanswered(tx, view):
            things.removed(tx, session, "launch", one.name)
        # The intent of a set is no thing of its own: it stands until its snapshots are written down.
        things.intend(tx, view.thing("launch", name))
    try:
        return compute.make_snapshots(
            view.resource.resource_id,
            exclude_volumes=view.plan.details.get("excludeVolumes", ()),
            exclude_boot=view.plan.details.get("excludeBoot", False),
            tags={**marks, tags.POINT: point},
            description=f"daywork {session}",
        )
    except Ambiguous as error:
        until = services.clock.now() + _AFTER_SILENCE
        status = ResourceStatus.WAITING_FOR_SOURCE
        return Park("retry", until, status=status, reason=error.reason, is_retry=True)
    except CloudError:
        with services.ledger.write() as tx:
            remember(tx, view, sets=number - 1)
            things.removed(tx, session, "launch", name)
        raise


def _look_again(now: datetime) -> Park:
    return Park("snapshot", now + _LOOK_AGAIN, status=ResourceStatus.WAITING_FOR_SOURCE)


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
        for silent in _unanswered(tx, view):
            things.removed(tx, session, "launch", silent.name)
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
        if now - since >= services.install.deadlines.visible:
            return Failed(
                f"snapshot {min(lost)} does not exist any more", "Somebody deleted it; start the backup again"
            )
        return Park("snapshot", now + _LOOK_AGAIN, status=ResourceStatus.WAITING_FOR_SOURCE)
    return Park("snapshot", since + span, status=ResourceStatus.WAITING_FOR_SOURCE)
