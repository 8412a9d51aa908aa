"""What the worker of a restore will fill: one empty snapshot for each volume, started with a token from its row."""

from __future__ import annotations

from orchestrator.errors import Permanent
from orchestrator.ledger import things, work
from orchestrator.model.work import Outcome
from orchestrator.services import Services
from orchestrator.steps.view import View, remember


def prepare(services: Services, view: View) -> Outcome | None:
    """Start the snapshots. Returns None when the agent can fill them."""
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
                encrypted=volume.encrypted or wanted_key is not None,
                kms_key=wanted_key or view.own_key(volume.kms_key),
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
