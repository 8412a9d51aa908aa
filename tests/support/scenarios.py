"""The sessions that faults are tried on: both modes, backup and restore, each over two accounts.

Of the two instances that are backed up one has a base to compare with, the other is new.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from orchestrator import tags
from orchestrator.ledger import points
from support.fakes.world import FakeSnapshot
from support.install import INSTALL, REGION, A, B
from support.stage import Stage

#: Backups and restores in both modes.
SCENARIOS: Final = ("backup-backup", "production-backup", "backup-restore", "production-restore")

_PREPARING: Final = ("check", "instances", "network", "offered")
_SNAPSHOTS: Final = ("make_snapshots", "snapshots", "user_data")
_TEMPORARY: Final = ("create_role", "put_role_policy", "create_profile", "add_role_to_profile")
_WORKING: Final = ("room_for_vcpus", "free_addresses", "launch_rate", "launch", "give")
_REMOVING: Final = ("terminate", "workers", "absent", "absent_snapshot", "keys")
_FORGETTING: Final = (
    "remove_role_from_profile",
    "delete_profile",
    "delete_role_policy",
    "delete_role",
    "temporary_names",
)
_FILLING: Final = ("check", "network", "offered", "start_snapshot", "make_volume", "volumes", "snapshots")

#: Every call that each of them makes; `tests/faults/orchestrator/test_calls.py` holds the list against the truth.
CALLS: Final[dict[str, tuple[str, ...]]] = {
    "backup-backup": (*_PREPARING, *_TEMPORARY, *_SNAPSHOTS, *_WORKING, *_REMOVING, *_FORGETTING),
    "production-backup": ("worker_profile", *_PREPARING, *_SNAPSHOTS, *_WORKING, *_REMOVING),
    "backup-restore": (*_FILLING, *_TEMPORARY, *_WORKING, *_REMOVING, *_FORGETTING),
    "production-restore": ("worker_profile", *_FILLING, *_WORKING, *_REMOVING),
}

#: (scenario, call): each call in each kind of session, those of a restore only where a backup does not make them too.
#: Of those that a launch asks and does not depend on, one stands for all.
EVERYWHERE: Final = [
    (scenario, call)
    for scenario in SCENARIOS
    for call in CALLS[scenario]
    if call not in ("free_addresses", "launch_rate")
    if scenario.endswith("backup") or call in ("start_snapshot", "make_volume", "volumes", "snapshots", "terminate")
]


def hurry(stage: Stage) -> None:
    """Have everything in the cloud happen within seconds: faults take long enough by themselves.

    Agents do not end their instances, so that terminating them is the control plane's own work.
    """
    timing, manners = stage.world.timing, stage.agents.manners
    timing.boot = timing.shutdown = timing.snapshot = timing.volume = timedelta(seconds=1)
    manners.ready, manners.work, manners.ends = timedelta(0), timedelta(seconds=5), False


def restore_point(stage: Stage, instance: str, *, snapshots: Mapping[str, str] | None = None, **changes: Any) -> str:
    """Enter a restore point of an instance into the ledger, as its backup would have; returns its id."""
    account, region, resource_id = instance.split("/")
    source = stage.world.instances[resource_id]
    record = {
        "volumes": [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in source.volumes],
        "configuration": source.configuration,
        **({"snapshots": dict(snapshots)} if snapshots else {}),
    }
    values: dict[str, Any] = {
        "id": f"rp-{source.id}", "account": account, "region": region, "resource_id": resource_id, "repository": "main",
        "session": "s-before", "kind": "full", "status": "complete", "parent": None, "record": record,
        "created_at": stage.clock.now(),
    }  # fmt: skip
    with stage.ledger.write() as tx:
        points.add(tx, points.RestorePoint(**{**values, **changes}))
    return f"rp-{source.id}"


def base(stage: Stage, instance: str) -> str:
    """Enter a restore point of an instance that has kept its snapshots; returns its id."""
    account, region, resource_id = instance.split("/")
    taken: dict[str, str] = {}
    for one in stage.world.instances[resource_id].volumes:
        made = FakeSnapshot(
            id=stage.world.new_id("snap"), account=account, region=region, volume_id=one.volume_id,
            size_gib=one.size_gib, started_at=stage.clock.now() - timedelta(days=1), completed_at=stage.clock.now(),
            tags={**tags.session_tags(INSTALL, "s-before"), tags.POINT: f"rp-{resource_id}"},
        )  # fmt: skip
        stage.world.snapshots[made.id] = made
        taken[one.volume_id] = made.id
    return restore_point(stage, instance, snapshots=taken)


def begin(stage: Stage, scenario: str, **request: Any) -> str:
    """Submit a scenario's session; what it needs is there. Nothing has been called for it yet."""
    hurry(stage)
    mode, _, operation = scenario.partition("-")
    if operation == "backup":
        known, fresh = stage.instance(A, 8, 20), stage.instance(B)
        base(stage, known)
        return stage.submit(known, fresh, mode=mode, **request)
    known = [restore_point(stage, stage.instance(A, 8, 20)), restore_point(stage, stage.instance(B))]
    targets = [f"{B}/{REGION}/{known[0]}", f"{A}/{REGION}/{known[1]}"]
    return stage.submit(*targets, operation="ec2-restore-volume", mode=mode, **request)
