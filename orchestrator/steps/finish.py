"""What only the control plane does after a job: enter the restore point, make volumes of filled snapshots."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from agent.protocol import JobResult
from orchestrator.ledger import journal, points, sessions, things, work
from orchestrator.model.plan import Access, SourceVolume
from orchestrator.model.work import Done, Failed, Outcome, Park
from orchestrator.ports import NewVolume, VolumeView
from orchestrator.services import Services
from orchestrator.steps.view import View

_LOOK_AGAIN = timedelta(seconds=30)


def finish(services: Services, view: View, result: JobResult) -> Outcome:
    """Finish a job that ended well. May park; asked again it goes on from where it was."""
    return _FINISHERS[view.session.operation](services, view, result)


def _outcome(result: JobResult, detail: dict[str, Any], total: int) -> dict[str, Any]:
    return {
        "outcome": result.outcome,
        "result": detail,
        "reason": result.reason,
        "remedy": result.remedy,
        "done": total,
        "total": total,
    }


def _backup(services: Services, view: View, result: JobResult) -> Outcome:
    state, place = view.resource.state, view.plan.operation
    point = points.RestorePoint(
        id=state["restorePoint"],
        account=place.account,
        region=place.region,
        resource_id=view.resource.resource_id,
        repository=view.shared.repository or "",
        session=view.session.id,
        kind=str(result.detail.get("kind", "full")),
        status="complete",
        parent=result.detail.get("parent"),
        created_at=datetime.fromtimestamp(state["takenAt"], UTC),
        record={
            "volumes": [
                volume.model_dump(mode="json", by_alias=True, exclude_none=True) for volume in view.plan.volumes
            ],
            "configuration": view.plan.details.get("configuration", {}),
            "consistency": "crash",
            "figures": result.detail,
        },
    )
    done = max(int(result.detail.get("bytesRead", 0)), view.resource.done)
    with services.ledger.write() as tx:
        work.hold(tx, view.held)
        points.add(tx, point)
        sessions.remember(tx, view.held.key, **_outcome(result, result.detail, done))
        journal.write(tx, view.session.id, f"restore point {point.id} written", ordinal=view.held.key.ordinal)
    return Done()


def _restore_volume(services: Services, view: View, result: JobResult) -> Outcome:
    compute = services.cloud.compute(view.plan.operation)
    filled: dict[str, str] = view.resource.state["snapshots"]
    states = compute.snapshots(ids=list(filled.values()))
    now = services.clock.now()
    if broken := [one for one in states if one.state == "error"]:
        return Failed(f"snapshot {broken[0].snapshot_id} ended in an error: {broken[0].reason or 'no reason given'}")
    if len(states) < len(filled) or any(one.state != "completed" for one in states):
        return Park("snapshot", now + _LOOK_AGAIN)
    volumes = {
        volume.volume_id: _volume(services, view, volume, filled[volume.volume_id]) for volume in view.plan.volumes
    }
    seen = {one.volume_id: one for one in compute.volumes(ids=[one.volume_id for one in volumes.values()])}
    if any(one.state == "error" for one in seen.values()):
        return Failed("a restored volume ended in an error", "See the volume's state in EC2, and its KMS key")
    if any(one.volume_id not in seen or seen[one.volume_id].state == "creating" for one in volumes.values()):
        return Park("volume", now + _LOOK_AGAIN)
    if target := view.plan.details.get("attachTo"):
        for source in view.plan.volumes:
            compute.attach_volume(volumes[source.volume_id].volume_id, target, source.device)
    written = int(result.detail.get("bytesWritten", 0))
    detail = {
        **result.detail,
        "volumes": [
            {**one, "newVolumeId": volumes[one["volumeId"]].volume_id} for one in result.detail.get("volumes", [])
        ],
    }
    with services.ledger.write() as tx:
        work.hold(tx, view.held)
        for one in view.plan.volumes:
            things.keep(tx, view.session.id, "volume", _token(view, one))
        sessions.remember(tx, view.held.key, **_outcome(result, detail, max(written, view.resource.done)))
    return Done()


def _token(view: View, volume: SourceVolume) -> str:
    return f"v-{view.session.id}-{view.label}-{volume.volume_id}"[-64:]


def _volume(services: Services, view: View, source: SourceVolume, snapshot: str) -> VolumeView:
    """Make the volume of one filled snapshot; one for each token, however often it is asked."""
    details, place = view.plan.details, view.plan.operation
    token = _token(view, source)
    with services.ledger.write() as tx:
        work.hold(tx, view.held)
        things.intend(
            tx,
            things.Thing(
                session=view.session.id,
                ordinal=view.held.key.ordinal,
                kind="volume",
                name=token,
                account=place.account,
                region=place.region,
                role=place.role,
            ),
        )
    made = services.cloud.compute(place).make_volume(
        NewVolume(
            token=token,
            snapshot_id=snapshot,
            availability_zone=_zone(services, view, place),
            type=details.get("type", source.type),
            size_gib=source.size_gib,
            iops=source.iops,
            throughput=source.throughput,
            encrypted=source.encrypted or "kmsKey" in details,
            kms_key=details.get("kmsKey", source.kms_key),
            tags={**source.attributes.get("tags", {}), **view.tags(services.install.id)},
        )
    )
    with services.ledger.write() as tx:
        things.created(tx, view.session.id, "volume", token, cloud_id=made.volume_id)
    return made


def _zone(services: Services, view: View, place: Access) -> str:
    """Return the zone asked for, the source's own zone when it is in this Region, or that of the worker's subnet."""
    zone = view.plan.details.get("zone")
    if isinstance(zone, str) and zone.startswith(place.region):
        return zone
    if view.worker is None:
        raise LookupError("a restore has no worker")
    return view.worker.availability_zone


_FINISHERS: MappingProxyType[str, Callable[[Services, View, JobResult], Outcome]] = MappingProxyType(
    {"ec2-backup": _backup, "ec2-restore-volume": _restore_volume}
)
