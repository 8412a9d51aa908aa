"""EC2 and EBS: workers, snapshots and volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from orchestrator.model.plan import SourceVolume
from orchestrator.ports.tags import Tags


@dataclass(frozen=True, kw_only=True)
class InstanceView:
    """An EC2 instance as described: `state` in EC2's words, `user_id` known only through its reports."""

    instance_id: str
    state: str
    instance_type: str
    availability_zone: str
    private_address: str | None = None
    launched_at: datetime | None = None
    state_reason: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    volumes: tuple[SourceVolume, ...] = ()
    configuration: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SnapshotView:
    """A snapshot as described: `state` is pending, completed or error; `progress` 0..100."""

    snapshot_id: str
    volume_id: str
    state: str
    size_gib: int
    started_at: datetime
    progress: int = 0
    reason: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class VolumeView:
    """A volume as described: `state` is creating, available, in-use, deleting or error."""

    volume_id: str
    state: str
    size_gib: int
    availability_zone: str
    snapshot_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LaunchCall:
    """One RunInstances call: `count` workers at most, at least one. Equal calls with equal `token` are one launch.

    `user_data` is text. Every worker: IMDSv2 required with hop limit 1, shutdown means terminate, a public address only
    if `public_address`, no key pair, encrypted root volume, `tags` on instance, volumes and network interface.
    """

    token: str
    count: int
    instance_type: str
    image: str
    subnet: str
    security_groups: tuple[str, ...]
    profile: str
    user_data: str
    tags: Mapping[str, str]
    public_address: bool = False


@dataclass(frozen=True, kw_only=True)
class NewVolume:
    """A volume to make from a completed snapshot; equal calls with equal `token` make one volume.

    `initialization_rate` has EC2 fetch its blocks ahead, in MiB/s; None: each at its first use.
    """

    token: str
    snapshot_id: str
    availability_zone: str
    type: str
    size_gib: int
    iops: int | None = None
    throughput: int | None = None
    initialization_rate: int | None = None
    encrypted: bool = False
    kms_key: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


class Compute(Protocol):
    """EC2 and the EBS direct API as one role sees them in one account and Region."""

    def instances(self, ids: Sequence[str]) -> dict[str, InstanceView]:
        """Describe resources to be processed, with volumes and configuration; ids that do not exist are left out."""

    def user_data(self, instance_id: str) -> str | None:
        """Return an instance's user data in base64, as EC2 keeps it; None when it has none.

        Raises `Missing`, `AccessDenied`.
        """

    def find_instances(self, tags: Tags) -> list[str]:
        """List the ids of instances that carry every one of these tags and are not terminated."""

    def workers(self, *, session: str | None = None, ids: Sequence[str] = ()) -> list[InstanceView]:
        """Describe this install's workers by session tag, or by ids in pages of 100, or all of them (neither given).

        Terminated ones are listed as long as EC2 lists them. A missing id is not proof that it is gone.
        """

    def launch(self, call: LaunchCall) -> list[InstanceView]:
        """Start workers: 1 to `count` of them, always the same ones for the same token.

        Raises `NoCapacity`, `QuotaExceeded`, `Throttled`, `NotVisibleYet` (profile), `Ambiguous` (ask again with the
        same token), `AccessDenied`, `WrongRequest`.
        """

    def terminate(self, ids: Sequence[str]) -> None:
        """Begin to terminate. Already terminating, terminated or never seen is success."""

    def zone_of_subnet(self, subnet: str) -> str:
        """Return a subnet's availability zone. Raises `Missing`."""

    def make_snapshots(
        self, instance_id: str, *, exclude_volumes: Sequence[str], exclude_boot: bool, tags: Tags, description: str
    ) -> list[SnapshotView]:
        """Snapshot all volumes of an instance at one moment (crash consistent), except the excluded ones.

        `exclude_volumes` are data volumes; the root volume is left out with `exclude_boot`. Not idempotent in AWS: look
        with `snapshots(tags=...)` first. Raises `Ambiguous` when the answer was lost.
        """

    def start_snapshot(
        self, *, token: str, size_gib: int, tags: Tags, encrypted: bool, kms_key: str | None
    ) -> SnapshotView:
        """Start an empty snapshot that an agent fills through the EBS direct API; one for each token.

        An encrypted one without `kms_key` uses the account's default key for EBS.
        """

    def snapshots(self, *, ids: Sequence[str] = (), tags: Tags | None = None) -> list[SnapshotView]:
        """Describe own snapshots by ids or by tags; those that do not exist are left out."""

    def absent_snapshot(self, snapshot_id: str) -> None:
        """Delete a snapshot; gone already is success."""

    def make_volume(self, volume: NewVolume) -> VolumeView:
        """Make a volume from a completed snapshot; one for each token. Raises `Retryable` while it is pending."""

    def volumes(self, *, ids: Sequence[str] = (), tags: Tags | None = None) -> list[VolumeView]:
        """Describe volumes by ids or by tags; those that do not exist are left out."""

    def console_output(self, instance_id: str) -> str:
        """Return the last lines that an instance has written to its console; empty while there are none."""

    def attach_volume(self, volume_id: str, instance_id: str, device: str) -> None:
        """Attach an available volume; attached there already is success. Raises `Missing`, `WrongRequest`."""

    def absent_volume(self, volume_id: str) -> None:
        """Delete a volume; gone already is success. Raises `Retryable` while it is attached."""
