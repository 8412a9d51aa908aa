"""StartSnapshot: a pending snapshot that blocks can be put into, with its record in EC2."""

from __future__ import annotations

import json
import threading
from datetime import UTC
from typing import Any, Final

from localcloud import state
from localcloud.blocks import life, refusals
from localcloud.blocks.layers import BLOCK
from localcloud.blocks.listing import json_reply
from localcloud.blocks.records import SnapshotRecord, find_snapshot, snapshot_record
from localcloud.blocks.store import Store
from localcloud.call import Call, Reply
from localcloud.settings import Settings

#: GiB.
_LARGEST: Final = 65_536
#: Minutes.
_TIMEOUT, _SHORTEST, _LONGEST = 60, 10, 4320
_TAGS, _KEY, _VALUE = 50, 128, 256
#: The volume that EC2 shows for snapshots which were not made of one.
NO_VOLUME: Final = "vol-ffffffff"


class Starting:
    """Starts snapshots; equal requests with the same client token are one."""

    def __init__(self, store: Store, settings: Settings, clock: life.Clock) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._kept: dict[tuple[str, str, str], tuple[str, dict[str, Any]]] = {}
        self._lock = threading.Lock()

    def start(self, call: Call) -> Reply:
        """StartSnapshot."""
        given = call.parameters
        token = given.get("ClientToken")
        asked = json.dumps({**given, "ClientToken": ""}, sort_keys=True, default=str)
        key = (call.account, call.region, str(token))
        with self._lock:
            kept = self._kept.get(key) if token else None
            if kept is not None:
                if kept[0] != asked:
                    raise refusals.conflict()
                found = state.ec2(call.account, call.region).snapshots.get(kept[1]["SnapshotId"])
                return json_reply(201, {**kept[1], "Status": found.status if found is not None else life.ERROR})
            document = self._start(call)
            if token:
                self._kept[key] = (asked, document)
            return json_reply(201, document)

    def _start(self, call: Call) -> dict[str, Any]:
        given = call.parameters
        size, timeout = int(given["VolumeSize"]), int(given.get("Timeout", _TIMEOUT))
        _check(given, size, timeout)
        parent = self._parent(call, size)
        tags = _tags(given)
        key = _key(call, parent)
        backend = state.ec2(call.account, call.region)
        self._check_quota(backend)
        content = self._store.create(snapshot_record(parent).content if parent is not None else None)
        record = SnapshotRecord(
            content=content,
            life=life.SnapshotLife(self._settings.snapshot.total_seconds(), self._clock, timeout=timeout * 60),
            parent=parent.id if parent is not None else None,
        )
        snapshot = _moto_snapshot(backend, size, given.get("Description", ""), key, record)
        snapshot.add_tags(tags)
        document = {
            "SnapshotId": snapshot.id,
            "OwnerId": call.account,
            "Status": snapshot.status,
            "StartTime": snapshot.start_time.replace(tzinfo=UTC).timestamp(),
            "VolumeSize": size,
            "BlockSize": BLOCK,
            "Tags": [{"Key": name, "Value": value} for name, value in tags.items()],
            "SseType": "sse-kms" if snapshot.encrypted else "sse-ebs",
            "Description": given.get("Description"),
            "ParentSnapshotId": record.parent,
            "KmsKeyArn": key,
        }
        return {name: value for name, value in document.items() if value is not None}

    def _parent(self, call: Call, size: int) -> Any | None:
        parent_id = call.parameters.get("ParentSnapshotId")
        if parent_id is None:
            return None
        parent = find_snapshot(call.account, call.region, str(parent_id))
        if parent is None:
            raise refusals.not_found(str(parent_id))
        if parent.status != life.COMPLETED:
            raise refusals.invalid("INVALID_SNAPSHOT_ID", f"The parent snapshot '{parent_id}' is {parent.status}.")
        if parent.volume_size > size:
            raise refusals.invalid(
                "INVALID_VOLUME_SIZE", f"VolumeSize {size} is less than the parent's {parent.volume_size} GiB."
            )
        return parent

    def _check_quota(self, backend: Any) -> None:
        pending = sum(
            1
            for snapshot in list(backend.snapshots.values())
            if "block_record" in vars(snapshot) and snapshot_record(snapshot).life.is_open()
        )
        if pending >= self._settings.pending_snapshots:
            raise refusals.quota_exceeded(
                f"The account has {pending} pending snapshots; it may have {self._settings.pending_snapshots}."
            )


def _check(given: dict[str, Any], size: int, timeout: int) -> None:
    if not 1 <= size <= _LARGEST:
        raise refusals.invalid("INVALID_VOLUME_SIZE", f"VolumeSize {size} must be between 1 and {_LARGEST} GiB.")
    if not _SHORTEST <= timeout <= _LONGEST:
        raise refusals.invalid_value(f"Timeout {timeout} must be between {_SHORTEST} and {_LONGEST} minutes.")
    if given.get("Encrypted") is not None and given.get("ParentSnapshotId") is not None:
        raise refusals.invalid_value("Encrypted and ParentSnapshotId cannot be given together.")
    if given.get("KmsKeyArn") is not None and not given.get("Encrypted"):
        raise refusals.invalid_value("KmsKeyArn needs Encrypted to be true.")


def _tags(given: dict[str, Any]) -> dict[str, str]:
    entries = given.get("Tags") or []
    tags = {str(entry.get("Key", "")): str(entry.get("Value", "")) for entry in entries}
    if len(tags) != len(entries):
        raise refusals.invalid("INVALID_TAG", "A tag key is given twice.")
    if len(tags) > _TAGS:
        raise refusals.invalid("INVALID_TAG", f"A snapshot can have {_TAGS} tags, not {len(tags)}.")
    for key, value in tags.items():
        if not 1 <= len(key) <= _KEY or key.lower().startswith("aws:") or len(value) > _VALUE:
            raise refusals.invalid("INVALID_TAG", f"The tag {key!r} is not valid.")
    return tags


def _key(call: Call, parent: Any | None) -> str | None:
    """Return the ARN of the key that encrypts the snapshot, or None for an unencrypted one."""
    if parent is not None:
        return str(parent.kms_key_id) if parent.kms_key_id else None
    if not call.parameters.get("Encrypted"):
        return None
    given = call.parameters.get("KmsKeyArn")
    if given is None:
        backend = state.ec2(call.account, call.region)
        return str(backend.default_kms_key_id or backend._create_default_encryption_key())  # noqa: SLF001 - moto's only way
    account = str(given).split(":")[4]
    key = state.kms_key(account, call.region, str(given))
    if key is None or not key.enabled:
        raise refusals.invalid("INVALID_CUSTOMER_KEY", f"The key {given} does not exist or is not enabled.")
    return str(key.arn)


def _moto_snapshot(backend: Any, size: int, description: str, key: str | None, record: SnapshotRecord) -> Any:
    from moto.ec2.models import elastic_block_store
    from moto.ec2.utils import random_snapshot_id

    models: Any = elastic_block_store
    volume = models.Volume(backend, NO_VOLUME, size, zone=None, encrypted=key is not None, kms_key_id=key)
    snapshot = models.Snapshot(
        backend, random_snapshot_id(), volume, description, encrypted=key is not None, kms_key_id=key
    )
    snapshot.block_record = record
    backend.snapshots[snapshot.id] = snapshot
    return snapshot
