"""What happens here when moto makes or deletes a volume or snapshot: its bytes come and go with it."""

from __future__ import annotations

from typing import Any

from localcloud.blocks.life import COMPLETED, Clock, SnapshotLife, VolumeLife
from localcloud.blocks.records import SnapshotRecord, VolumeRecord, snapshot_record, volume_record
from localcloud.blocks.store import Store
from localcloud.settings import Settings


class Watching:
    """Keeps contents beside moto's volumes and snapshots (a `moto_volumes.Watcher`)."""

    def __init__(self, store: Store, settings: Settings, clock: Clock) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock

    def volume_made(self, backend: Any, volume: Any) -> None:
        """Give a new volume the bytes of its snapshot, or none. Raises moto's `EC2ClientError`."""
        source = None
        if volume.snapshot_id:
            snapshot = backend.get_snapshot(volume.snapshot_id)
            _check_source(snapshot, volume)
            volume.kms_key_id = volume.kms_key_id or snapshot.kms_key_id
            # A snapshot that was made while no block service ran (of an image, say) holds nothing.
            record: SnapshotRecord | None = snapshot.__dict__.get("block_record")
            source = None if record is None else record.content
        volume.block_record = VolumeRecord(
            content=self._store.create(source), life=VolumeLife(self._settings.volume.total_seconds(), self._clock)
        )

    def volume_gone(self, volume: Any) -> None:
        """Drop the volume's bytes, as far as no snapshot shares them."""
        self._store.drop(volume_record(volume).content)

    def snapshot_made(self, snapshot: Any, volume: Any) -> None:
        """Freeze the volume's bytes. Snapshots of images have been there for ever."""
        seconds = 0.0 if snapshot.from_ami else self._settings.snapshot.total_seconds()
        snapshot.block_record = SnapshotRecord(
            content=self._store.snapshot(volume_record(volume).content), life=SnapshotLife(seconds, self._clock)
        )

    def snapshot_copied(self, snapshot: Any, source: Any) -> None:
        """Give a copy the same bytes. It is of another lineage: AWS tells no changed blocks between copies."""
        content = self._store.create(snapshot_record(source).content, same_lineage=False)
        content.seal()
        snapshot.block_record = SnapshotRecord(
            content=content, life=SnapshotLife(self._settings.snapshot.total_seconds(), self._clock)
        )

    def snapshot_gone(self, snapshot: Any) -> None:
        """Drop the snapshot's bytes, as far as nobody shares them."""
        self._store.drop(snapshot_record(snapshot).content)


def _check_source(snapshot: Any, volume: Any) -> None:
    from moto.ec2.exceptions import EC2ClientError

    if snapshot.status != COMPLETED:
        raise EC2ClientError("IncorrectState", f"Snapshot is in invalid state - {snapshot.status}")
    if volume.size < snapshot.volume_size:
        raise EC2ClientError(
            "InvalidParameterValue",
            f"Volume of size {volume.size}GB is smaller than snapshot '{snapshot.id}', "
            f"expect size >= {snapshot.volume_size}GB",
        )
