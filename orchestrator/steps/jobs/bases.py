"""What an incremental compares with: the snapshots of a chain's newest restore point, its **base**.

A base is kept when its point is listed, and removed when a newer point of the same resource in the same repository is.
Its snapshots carry their point's id (`orchestrator.tags.POINT`) since they were made: by that the sweeper tells a base
that is needed from one that is not, and a worker's role those that it may compare with. Sessions that fail or are
stopped list no point, so the base stays what it was.

A volume is read whole, and the session's log says why, when there is no base or it is of no use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator import tags
from orchestrator.errors import CloudError
from orchestrator.ledger import journal, points, things, work
from orchestrator.ledger.points import RestorePoint
from orchestrator.ledger.store import Transaction
from orchestrator.model.plan import SourceVolume
from orchestrator.planner.recorded import is_good
from orchestrator.ports import SnapshotView
from orchestrator.services import Services
from orchestrator.steps.view import View


@dataclass(frozen=True, kw_only=True)
class Base:
    """What a backup compares with: `parent` is the restore point, `snapshots` its snapshot of each volume.

    What is in none of `snapshots` is read whole; `whole` says why, where there is something to say. `older` are all
    snapshots that the newest point has kept, whether they are of use or not.
    """

    parent: str | None = None
    snapshots: Mapping[str, str]
    whole: Mapping[str, str]
    older: Sequence[str] = ()


def find(services: Services, view: View) -> Base:
    """Look for what this attempt can compare with. The caller holds the chain, and writes down what it has found."""
    place = view.plan.operation
    with services.ledger.read() as tx:
        newest = points.newest(
            tx, place.account, place.region, view.resource.resource_id, repository=view.shared.repository or ""
        )
    kept: dict[str, str] = {} if newest is None else dict(newest.record.get("snapshots") or {})
    is_wanted = newest is not None and is_good(newest) and not view.plan.details.get("full", False)
    seen = services.cloud.compute(place).snapshots(ids=sorted(kept.values())) if kept and is_wanted else []
    ours = {one.snapshot_id: one for one in seen if tags.carries(one.tags, {tags.INSTALL: services.install.id})}
    whole = {one.volume_id: _why_whole(view, newest, kept, ours, one) for one in view.plan.volumes}
    compared = {volume: kept[volume] for volume, why in whole.items() if why is None}
    return Base(
        parent=newest.id if compared and newest is not None else None,
        snapshots=compared,
        whole={volume: why for volume, why in whole.items() if why},
        older=sorted(kept.values()),
    )


def tell(tx: Transaction, view: View, whole: Mapping[str, str]) -> None:
    """Say in the session's log which volumes are read whole, and why."""
    for volume, why in sorted(whole.items()):
        journal.write(tx, view.session.id, f"volume {volume} is read whole: {why}", ordinal=view.held.key.ordinal)


def _why_whole(
    view: View,
    newest: RestorePoint | None,
    kept: Mapping[str, str],
    seen: Mapping[str, SnapshotView],
    volume: SourceVolume,
) -> str | None:
    """Return why a volume is read whole; empty when there is nothing to be said, None when it need not be."""
    if newest is None:
        return ""
    if view.plan.details.get("full", False):
        return "a full backup was asked for"
    if not is_good(newest):
        return f"restore point {newest.id} is {newest.status}"
    if volume.volume_id not in kept:
        return f"it is not part of restore point {newest.id}" if kept else f"{newest.id} has kept no snapshots"
    name = kept[volume.volume_id]
    base = seen.get(name)
    if base is None or base.volume_id != volume.volume_id:
        return f"snapshot {name} of restore point {newest.id} does not exist any more"
    if base.state != "completed":
        return f"snapshot {name} of restore point {newest.id} is {base.state}"
    if base.size_gib != volume.size_gib:
        return f"its size has changed from {base.size_gib} to {volume.size_gib} GiB"
    return None


def keep(tx: Transaction, view: View) -> None:
    """Keep the snapshots that were read, in the transaction that lists their point."""
    for name in view.resource.state["snapshots"].values():
        things.keep(tx, view.session.id, "snapshot", name)


def drop_older(services: Services, view: View) -> None:
    """Remove the base that a listed point has made needless. What AWS will not remove is left to the sweeper."""
    state, compute = view.resource.state, services.cloud.compute(view.plan.operation)
    for name in set(state["base"]["older"]) - set(state["snapshots"].values()):
        try:
            compute.absent_snapshot(name)
        except CloudError as error:
            said = f"the older snapshot {name} is not removed yet: {error.reason}"
            with services.ledger.write() as tx:
                journal.write(tx, view.session.id, said, ordinal=view.held.key.ordinal, level="warning")
            continue
        with services.ledger.write() as tx:
            work.hold(tx, view.held)
            for thing in things.called(tx, "snapshot", name):
                things.removed(tx, thing.session, thing.kind, thing.name)
