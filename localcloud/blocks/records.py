"""What the block service knows of a volume or snapshot besides moto's record of it; it hangs on moto's own object."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from localcloud import state
from localcloud.blocks.life import SnapshotLife, VolumeLife
from localcloud.blocks.store import Content


@dataclass(kw_only=True, eq=False)
class VolumeRecord:
    """A volume's bytes and time."""

    content: Content
    life: VolumeLife


@dataclass(kw_only=True, eq=False)
class SnapshotRecord:
    """A snapshot's bytes and time. `parent` is the id of the snapshot that StartSnapshot was told."""

    content: Content
    life: SnapshotLife
    parent: str | None = None
    completing: threading.Lock = field(default_factory=threading.Lock)


def volume_record(volume: Any) -> VolumeRecord:
    """Return the record of moto's volume. Raises KeyError for a volume made while no block service ran."""
    record: VolumeRecord = volume.__dict__["block_record"]
    return record


def snapshot_record(snapshot: Any) -> SnapshotRecord:
    """Return the record of moto's snapshot. Raises KeyError for one made while no block service ran."""
    record: SnapshotRecord = snapshot.__dict__["block_record"]
    return record


def find_snapshot(account: str, region: str, snapshot_id: str) -> Any | None:
    """Return moto's snapshot if the account owns it or may use it; None otherwise. Public ones do not count."""
    found = state.ec2(account, region).snapshots.get(snapshot_id)
    if found is not None:
        return found
    for _, other_region, backend in state.ec2_regions():
        if other_region == region and (found := backend.snapshots.get(snapshot_id)) is not None:
            return found if account in found.create_volume_permission_userids else None
    return None
