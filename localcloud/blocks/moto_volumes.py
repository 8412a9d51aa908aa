"""What is changed inside moto so that its volumes and snapshots have bytes and take time.

Installed once per process; the replacements hold no state but the block service that runs now (`watch`), of which there
is one at a time as there is one moto.
"""

from __future__ import annotations

import copy
from typing import Any, Protocol

from localcloud.moto_behaviour import replace

_installed: list[bool] = []
_watchers: list[Watcher] = []


class Watcher(Protocol):
    """Hears of moto's volumes and snapshots. May raise moto's `EC2ClientError` to refuse."""

    def volume_made(self, backend: Any, volume: Any) -> None:
        """`volume` has been made, empty or from `volume.snapshot_id`; nobody can see it yet."""

    def volume_gone(self, volume: Any) -> None:
        """`volume` has been deleted."""

    def snapshot_made(self, snapshot: Any, volume: Any) -> None:
        """`snapshot` of `volume` has been made."""

    def snapshot_copied(self, snapshot: Any, source: Any) -> None:
        """`snapshot` has been made from another one."""

    def snapshot_gone(self, snapshot: Any) -> None:
        """`snapshot` has been deleted."""


def watch(watcher: Watcher | None) -> None:
    """Tell this watcher of everything from now on, or nobody."""
    _watchers[:] = [] if watcher is None else [watcher]


def install() -> None:
    """Change moto, once per process; later calls do nothing."""
    if _installed:
        return
    _installed.append(True)
    _volumes_have_bytes()
    _snapshots_have_bytes()
    _states_are_told()


def _volumes_have_bytes() -> None:
    from moto.ec2.models.elastic_block_store import EBSBackend

    create, delete = EBSBackend.create_volume, EBSBackend.delete_volume

    def create_volume(self: Any, *args: Any, **kwargs: Any) -> Any:
        volume = create(self, *args, **kwargs)
        try:
            for watcher in _watchers:
                watcher.volume_made(self, volume)
        except BaseException:
            self.volumes.pop(volume.id, None)
            raise
        return volume

    def delete_volume(self: Any, volume_id: str) -> Any:
        volume = delete(self, volume_id)
        self.tags.pop(volume_id, None)
        for watcher in _watchers:
            watcher.volume_gone(volume)
        return volume

    replace(EBSBackend, "create_volume", create_volume)
    replace(EBSBackend, "delete_volume", delete_volume)


def _snapshots_have_bytes() -> None:
    from moto.ec2.models.elastic_block_store import EBSBackend

    create, copied, delete = EBSBackend.create_snapshot, EBSBackend.copy_snapshot, EBSBackend.delete_snapshot

    def create_snapshot(self: Any, volume_id: str, *args: Any, **kwargs: Any) -> Any:
        volume = self.get_volume(volume_id)
        snapshot = create(self, volume_id, *args, **kwargs)
        # The size that a snapshot tells is the volume's at that time.
        snapshot.volume = copy.copy(volume)
        snapshot.kms_key_id = volume.kms_key_id
        for watcher in _watchers:
            watcher.snapshot_made(snapshot, volume)
        return snapshot

    def copy_snapshot(self: Any, source_snapshot_id: str, source_region: str, *args: Any, **kwargs: Any) -> Any:
        from moto.ec2.models import ec2_backends

        source = ec2_backends[self.account_id][source_region].get_snapshot(source_snapshot_id)
        snapshot = copied(self, source_snapshot_id, source_region, *args, **kwargs)
        for watcher in _watchers:
            watcher.snapshot_copied(snapshot, source)
        return snapshot

    def delete_snapshot(self: Any, snapshot_id: str) -> Any:
        snapshot = delete(self, snapshot_id)
        self.tags.pop(snapshot_id, None)
        for watcher in _watchers:
            watcher.snapshot_gone(snapshot)
        return snapshot

    replace(EBSBackend, "create_snapshot", create_snapshot)
    replace(EBSBackend, "copy_snapshot", copy_snapshot)
    replace(EBSBackend, "delete_snapshot", delete_snapshot)


def _states_are_told() -> None:
    from moto.ec2.models.elastic_block_store import Snapshot, Volume, VolumeAttachment

    def goes_with_instance(self: Any) -> bool:
        device = self.instance.block_device_mapping.get(self.device)
        return device is not None and bool(device.delete_on_termination)

    def volume_status(self: Any) -> str:
        if self.attachment:
            return "in-use"
        record = self.__dict__.get("block_record")
        return "creating" if record is not None and record.life.is_creating() else "available"

    def snapshot_status(self: Any) -> str:
        record = self.__dict__.get("block_record")
        return "completed" if record is None else str(record.life.status)

    def snapshot_progress(self: Any) -> str:
        record = self.__dict__.get("block_record")
        return "100%" if record is None else str(record.life.progress)

    def snapshot_message(self: Any) -> str | None:
        record = self.__dict__.get("block_record")
        return None if record is None else record.life.message

    replace(VolumeAttachment, "delete_on_termination", property(goes_with_instance))
    # moto writes "completed" into `status` when it makes a snapshot.
    replace(Volume, "status", property(volume_status))
    replace(Snapshot, "status", property(snapshot_status, lambda _self, _value: None))
    replace(Snapshot, "progress", property(snapshot_progress))
    replace(Snapshot, "state_message", property(snapshot_message))
