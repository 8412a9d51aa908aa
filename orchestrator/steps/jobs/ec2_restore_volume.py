"""Restore of volumes: empty snapshots, filled by the agent, become volumes."""

from __future__ import annotations

from agent.protocol import JobResult
from orchestrator.errors import Permanent
from orchestrator.ledger import sessions, things, work
from orchestrator.model.plan import SourceVolume
from orchestrator.model.work import Done, Failed, Outcome
from orchestrator.ports import Compute, NewVolume
from orchestrator.services import Services
from orchestrator.steps.jobs import empty_snapshots, filled
from orchestrator.steps.jobs.kind import Job, outcome as outcome_of
from orchestrator.steps.view import View

_LEAST_IOPS = 100


def finish(services: Services, view: View, result: JobResult) -> Outcome:
    """Make volumes of the filled snapshots, and attach them if that was asked for."""
    compute = services.cloud.compute(view.plan.operation)
    volumes = _made(services, view)
    if len(volumes) < len(view.plan.volumes):
        if (answer := filled.unfilled(services, view, compute)) is not None:
            return answer
        volumes = {one.volume_id: _volume(services, view, compute, one) for one in view.plan.volumes}
    seen = {one.volume_id: one for one in compute.volumes(ids=list(volumes.values()))}
    if any(one.state == "error" for one in seen.values()):
        return Failed("a restored volume ended in an error", "See the volume's state in EC2, and its KMS key")
    if any(made not in seen or seen[made].state == "creating" for made in volumes.values()):
        return filled.wait(services, view, "volume", set(volumes.values()) - set(seen))
    odd = _attach(compute, view, volumes)
    written = int(result.detail.get("bytesWritten", 0))
    details = view.plan.details
    detail = {
        **result.detail,
        **({"drill": True} if details.get("drill") else {}),
        "volumes": [{**one, "newVolumeId": volumes.get(one["volumeId"])} for one in result.detail.get("volumes", [])],
    }
    outcome = outcome_of(result, detail, max(written, view.resource.done))
    if odd is not None:
        outcome |= {"outcome": "warning", "reason": odd[0][:2000], "remedy": odd[1][:2000]}
    with services.ledger.write() as tx:
        work.hold(tx, view.held)
        # What a drill has made has proved itself, and goes.
        for one in () if details.get("drill") else view.plan.volumes:
            things.keep(tx, view.session.id, "volume", _token(view, one))
        sessions.remember(tx, view.held.key, **outcome)
    return Done()


def _made(services: Services, view: View) -> dict[str, str]:
    """Return the new volume of each source volume, as far as an earlier run has made them."""
    with services.ledger.read() as tx:
        found = {
            one.volume_id: things.find(tx, view.session.id, "volume", _token(view, one)) for one in view.plan.volumes
        }
    return {source: one.cloud_id for source, one in found.items() if one is not None and one.cloud_id is not None}


def _attach(compute: Compute, view: View, volumes: dict[str, str]) -> tuple[str, str] | None:
    """Attach the new volumes if that was asked for. Returns reason and remedy when AWS refuses: they are restored."""
    target = view.plan.details.get("attachTo")
    if target is None:
        return None
    for source in view.plan.volumes:
        made, device = volumes[source.volume_id], view.plan.details["devices"][source.volume_id]
        try:
            compute.attach_volume(made, target, device)
        except Permanent as error:
            return (
                f"volume {made} is restored but not attached: {error.reason}",
                f"Attach it to {target} by hand",
            )
    return None


def _token(view: View, volume: SourceVolume) -> str:
    return filled.token(view, "v", volume)


def _volume(services: Services, view: View, compute: Compute, source: SourceVolume) -> str:
    """Make the volume of one filled snapshot; one for each token, however often it is asked. Returns its id."""
    details = view.plan.details
    token, kind = _token(view, source), details.get("type", source.type)
    is_same = kind == source.type
    with services.ledger.write() as tx:
        work.hold(tx, view.held)
        things.intend(tx, view.thing("volume", token))
    made = compute.make_volume(
        NewVolume(
            token=token,
            snapshot_id=view.resource.state["snapshots"][source.volume_id],
            availability_zone=_zone(view),
            type=kind,
            size_gib=source.size_gib,
            # Figures of another type may be out of this one's bounds; types that need one get the least.
            iops=source.iops if is_same else (_LEAST_IOPS if kind in ("io1", "io2") else None),
            throughput=source.throughput if is_same else None,
            initialization_rate=details.get("volumeInitializationRate"),
            encrypted=source.encrypted or "kmsKey" in details,
            kms_key=details.get("kmsKey") or view.own_key(source.kms_key),
            tags={**filled.own_tags(source.attributes), **view.tags(services.install.id)},
        )
    )
    with services.ledger.write() as tx:
        things.created(tx, view.session.id, "volume", token, cloud_id=made.volume_id)
    return made.volume_id


def _zone(view: View) -> str:
    """Return the planned zone, or that of the worker, which stands in the Region that is restored to."""
    zone = view.plan.details.get("zone")
    if isinstance(zone, str):
        return zone
    if view.worker is None:
        raise LookupError("a restore has no worker")
    return view.worker.availability_zone


JOB = Job(
    name="ec2-restore-volume", prepare=empty_snapshots.prepare, order=filled.order, finish=finish, rights=filled.RIGHTS
)
