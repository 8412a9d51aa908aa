"""What restoring an entire instance asks of EC2: an image over filled snapshots, and one instance from it.

The rules of `orchestrator.ports` hold here as well.

A restored instance is nobody's worker and carries no install tag. Until it is complete, it and its volumes carry
`daywork:restoring` (`orchestrator.tags`): by that it is found, and may be removed, after a death at any point. Taking
the tag away is the last deed: from then on no role of ours may touch it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True)
class Device:
    """One volume of an image: the name of its device and the completed snapshot that it is made of."""

    name: str
    snapshot_id: str
    size_gib: int
    type: str
    iops: int | None = None
    throughput: int | None = None


@dataclass(frozen=True, kw_only=True)
class NewImage:
    """An image to register. `name` is unique in account and Region: equal names are one image.

    `boot_mode`, `has_ena` and `virtualization` are as the source's; None leaves EC2's default. All volumes end with the
    instance, so that nothing stays of one that is given up.
    """

    name: str
    root_device: str
    devices: tuple[Device, ...]
    architecture: str
    tags: Mapping[str, str]
    virtualization: str = "hvm"
    boot_mode: str | None = None
    has_ena: bool = True


@dataclass(frozen=True, kw_only=True)
class ImageView:
    """An image as described: `state` is pending, available, failed, ... in EC2's words."""

    image_id: str
    state: str
    made_at: datetime | None = None
    reason: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class NewMachine:
    """An instance to start; equal calls with equal `token` are one instance.

    `user_data` is base64 as EC2 keeps it, `options` further parameters of RunInstances in EC2's own words (metadata
    options, monitoring, ...). `marks` are the tags of its volumes, and part of `tags`. `initialization_rate` is in
    MiB/s for every volume, None for EC2's own pace.
    """

    token: str
    image_id: str
    instance_type: str
    subnet: str
    security_groups: tuple[str, ...]
    tags: Mapping[str, str]
    marks: Mapping[str, str]
    devices: tuple[str, ...] = ()
    profile: str | None = None
    key_name: str | None = None
    user_data: str | None = None
    initialization_rate: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class MachineView:
    """A restored instance as described: `volumes` are the ids of its volumes by device name."""

    instance_id: str
    state: str
    availability_zone: str
    launched_at: datetime | None = None
    reason: str | None = None
    volumes: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


class Machines(Protocol):
    """Images and restored instances as the restore role sees them in one account and Region."""

    def make_image(self, image: NewImage) -> ImageView:
        """Register an image over completed snapshots. Its name there already is success: the image that has it.

        Raises `Retryable` while a snapshot is pending.
        """

    def images(
        self, *, ids: Sequence[str] = (), name: str | None = None, tags: Mapping[str, str] | None = None
    ) -> list[ImageView]:
        """Describe own images by ids, by name or by tags; those that do not exist are left out."""

    def absent_image(self, image_id: str) -> None:
        """Deregister an image; gone already is success. Its snapshots stay."""

    def make(self, machine: NewMachine) -> MachineView:
        """Start one instance; always the same one for the same token.

        Raises `NoCapacity`, `QuotaExceeded`, `Throttled`, `Ambiguous` (ask again with the same token), `AccessDenied`,
        `WrongRequest`.
        """

    def machines(self, *, ids: Sequence[str] = (), tags: Mapping[str, str] | None = None) -> list[MachineView]:
        """Describe instances by ids or by tags; terminated ones are listed as long as EC2 lists them."""

    def tag(self, ids: Sequence[str], tags: Mapping[str, str]) -> None:
        """Give volumes or an instance under restore more tags."""

    def outlive(self, instance_id: str, devices: Sequence[str]) -> None:
        """Let the volumes of these devices stay when their instance ends."""

    def stop(self, instance_id: str) -> None:
        """Begin to stop an instance under restore. Stopping or stopped is success."""

    def release(self, ids: Sequence[str], tags: Sequence[str]) -> None:
        """Take tags away, the last deed to a complete instance and its volumes; gone already is success."""

    def absent(self, instance_id: str) -> None:
        """Begin to terminate an instance under restore. Already terminating, terminated or never seen is success.

        Raises `AccessDenied` for one that is complete.
        """
