"""EC2 and the start of EBS direct snapshots on a `World` (`orchestrator.ports.Compute`)."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from orchestrator import tags as names
from orchestrator.errors import AccessDenied, Missing, NoCapacity, NotVisibleYet, QuotaExceeded, Retryable, WrongRequest
from orchestrator.ports import InstanceView, LaunchCall, NewVolume, SnapshotView, Tags, VolumeView
from support.fakes.side import Side
from support.fakes.world import LISTED, FakeInstance, FakeSnapshot, FakeVolume

_LEAVING = ("shutting-down", "terminated")


class FakeCompute(Side):
    """What one role sees in one account and Region."""

    # --- instances ---

    def instances(self, ids: Sequence[str]) -> dict[str, InstanceView]:
        """See the port."""
        with self._call("instances"):
            found = [self._world.instances[one] for one in ids if one in self._world.instances]
            return {
                one.id: self._view(one)
                for one in found
                if self._is_here(one) and self._world.state_of(one) not in _LEAVING
            }

    def user_data(self, instance_id: str) -> str | None:
        """See the port."""
        with self._call("user_data"):
            found = self._world.instances.get(instance_id)
            if found is None or not self._is_here(found):
                raise Missing(f"read the user data of {instance_id}: not found", code="InvalidInstanceID.NotFound")
            return base64.b64encode(found.user_data.encode()).decode() or None

    def find_instances(self, tags: Tags) -> list[str]:
        """See the port."""
        with self._call("find_instances"):
            return sorted(
                one.id
                for one in self._world.instances.values()
                if self._is_here(one) and names.carries(one.tags, tags) and self._world.state_of(one) not in _LEAVING
            )

    def workers(self, *, session: str | None = None, ids: Sequence[str] = ()) -> list[InstanceView]:
        """See the port."""
        with self._call("workers"):
            wanted = {names.INSTALL: self._install} | ({names.SESSION: session} if session else {})
            return [
                self._view(one)
                for one in self._world.instances.values()
                if self._is_here(one)
                and self._is_listed(one)
                and (one.id in ids if ids else wanted.items() <= one.tags.items())
            ]

    def _is_listed(self, one: FakeInstance) -> bool:
        gone = one.ends_at is not None and self._world.clock.now() > one.ends_at + LISTED
        return self._world.is_listed(one.launched_at) and not gone

    def _view(self, one: FakeInstance) -> InstanceView:
        return InstanceView(
            instance_id=one.id,
            state=self._world.state_of(one),
            instance_type=one.type,
            availability_zone=one.zone,
            launched_at=one.launched_at,
            state_reason=one.reason,
            tags=dict(one.tags),
            volumes=one.volumes,
            configuration={**one.configuration, "tags": dict(one.tags)} if one.configuration else {},
        )

    def launch(self, call: LaunchCall) -> list[InstanceView]:
        """See the port."""
        with self._call("launch"):
            key = (self._access.account, self._access.region, "launch", call.token)
            if key in self._world.tokens:
                asked, made = self._world.tokens[key]
                if asked != call:
                    raise WrongRequest(
                        "launch: another call was made with this token", code="IdempotentParameterMismatch"
                    )
                return [self._view(self._world.instances[one]) for one in made]
            role_id = self._role_of(call.profile)
            count = min(call.count, self._room(call))
            made = [self._make(call, role_id) for _ in range(count)]
            self._world.tokens[key] = (call, made)
            return [self._view(self._world.instances[one]) for one in made]

    def _role_of(self, profile: str) -> str:
        found = self._world.profiles.get((self._access.account, profile))
        visible = found is not None and self._world.clock.now() >= found.changed_at + self._world.timing.profile
        if found is None or not visible or not found.roles:
            raise NotVisibleYet("launch: EC2 does not see the instance profile yet", code="InvalidParameterValue")
        return self._world.roles[self._access.account, found.roles[0]].role_id

    def _room(self, call: LaunchCall) -> int:
        world = self._world
        left = call.count
        limit = world.quota.get(self._access.account)
        if limit is not None:
            left = min(left, limit - sum(self._is_here(one) for one in world.alive(daywork_install=self._install)))
            if left <= 0:
                raise QuotaExceeded("launch: VcpuLimitExceeded", code="VcpuLimitExceeded")
        pool = (call.instance_type, call.subnet)
        if pool in world.capacity:
            left = min(left, world.capacity[pool])
            if left <= 0:
                raise NoCapacity("launch: InsufficientInstanceCapacity", code="InsufficientInstanceCapacity")
            world.capacity[pool] -= left
        return left

    def _make(self, call: LaunchCall, role_id: str) -> str:
        world = self._world
        made = FakeInstance(
            id=world.new_id("i"),
            account=self._access.account,
            region=self._access.region,
            type=call.instance_type,
            subnet=call.subnet,
            zone=world.subnets.get(call.subnet, f"{self._access.region}a"),
            launched_at=world.clock.now(),
            tags=dict(call.tags),
            role_id=role_id,
            profile=call.profile,
            user_data=call.user_data,
        )
        world.instances[made.id] = made
        return made.id

    def terminate(self, ids: Sequence[str]) -> None:
        """See the port."""
        if not ids:
            return
        with self._call("terminate"):
            for one in ids:
                found = self._world.instances.get(one)
                if found is None or not self._is_here(found):
                    continue
                if found.tags.get(names.INSTALL) != self._install:
                    raise AccessDenied("terminate: UnauthorizedOperation: not an instance of this install")
                self._world.terminate(one)

    def zone_of_subnet(self, subnet: str) -> str:
        """See the port."""
        with self._call("zone_of_subnet"):
            if subnet not in self._world.subnets:
                raise Missing(f"describe subnet {subnet}: not found", code="InvalidSubnetID.NotFound")
            return self._world.subnets[subnet]

    # --- snapshots ---

    def make_snapshots(
        self, instance_id: str, *, exclude_volumes: Sequence[str], exclude_boot: bool, tags: Tags, description: str
    ) -> list[SnapshotView]:
        """See the port."""
        del description
        with self._call("make_snapshots"):
            source = self._world.instances.get(instance_id)
            if source is None or not self._is_here(source) or self._world.state_of(source) in _LEAVING:
                raise Missing(f"snapshot the volumes of {instance_id}: not found", code="InvalidInstanceID.NotFound")
            root = source.configuration.get("rootDevice")
            if boot := [one for one in source.volumes if one.device == root and one.volume_id in exclude_volumes]:
                raise WrongRequest(f"snapshot: {boot[0].volume_id} is the root volume", code="InvalidParameterValue")
            now = self._world.clock.now()
            made = [
                self._snapshot(
                    volume_id=one.volume_id, size_gib=one.size_gib, tags=tags, done=now + self._world.timing.snapshot
                )
                for one in source.volumes
                if one.volume_id not in exclude_volumes and not (exclude_boot and one.device == root)
            ]
            return [self._snapshot_view(one) for one in made]

    def _snapshot(self, *, volume_id: str, size_gib: int, tags: Tags, done: Any = None, **more: Any) -> FakeSnapshot:
        made = FakeSnapshot(
            id=self._world.new_id("snap"),
            account=self._access.account,
            region=self._access.region,
            volume_id=volume_id,
            size_gib=size_gib,
            started_at=self._world.clock.now(),
            completed_at=done,
            tags=dict(tags),
            **more,
        )
        self._world.snapshots[made.id] = made
        return made

    def _snapshot_view(self, one: FakeSnapshot) -> SnapshotView:
        return SnapshotView(
            snapshot_id=one.id,
            volume_id=one.volume_id,
            state=self._world.snapshot_state(one),
            size_gib=one.size_gib,
            started_at=one.started_at,
            reason=one.error,
            tags=dict(one.tags),
        )

    def start_snapshot(
        self, *, token: str, size_gib: int, tags: Tags, encrypted: bool, kms_key: str | None
    ) -> SnapshotView:
        """See the port."""
        with self._call("start_snapshot"):
            key = (self._access.account, self._access.region, "snapshot", token)
            asked = (size_gib, encrypted, kms_key)
            if key not in self._world.tokens:
                made = self._snapshot(volume_id="", size_gib=size_gib, tags=tags, encrypted=encrypted, kms_key=kms_key)
                self._world.tokens[key] = (asked, [made.id])
            before, ids = self._world.tokens[key]
            if before != asked:
                raise WrongRequest("start a snapshot: another call was made with this token", code="ConflictException")
            return self._snapshot_view(self._world.snapshots[ids[0]])

    def snapshots(self, *, ids: Sequence[str] = (), tags: Tags | None = None) -> list[SnapshotView]:
        """See the port."""
        if not ids and tags is None:
            return []
        with self._call("snapshots"):
            return [
                self._snapshot_view(one)
                for one in self._world.snapshots.values()
                if self._is_here(one)
                and self._world.is_listed(one.started_at)
                and (not ids or one.id in ids)
                and (tags or {}).items() <= one.tags.items()
            ]

    def absent_snapshot(self, snapshot_id: str) -> None:
        """See the port."""
        with self._call("absent_snapshot"):
            found = self._world.snapshots.get(snapshot_id)
            if found is None or not self._is_here(found):
                return
            if found.tags.get(names.INSTALL) != self._install:
                raise AccessDenied(f"delete snapshot {snapshot_id}: UnauthorizedOperation")
            del self._world.snapshots[snapshot_id]

    # --- volumes ---

    def make_volume(self, volume: NewVolume) -> VolumeView:
        """See the port."""
        with self._call("make_volume"):
            key = (self._access.account, self._access.region, "volume", volume.token)
            if key not in self._world.tokens:
                self._check_volume(volume)
                made = FakeVolume(
                    id=self._world.new_id("vol"),
                    account=self._access.account,
                    region=self._access.region,
                    zone=volume.availability_zone,
                    size_gib=volume.size_gib,
                    made_at=self._world.clock.now(),
                    type=volume.type,
                    tags=dict(volume.tags),
                    snapshot_id=volume.snapshot_id,
                    encrypted=volume.encrypted,
                    kms_key=volume.kms_key,
                )
                self._world.volumes[made.id] = made
                self._world.tokens[key] = (volume, [made.id])
            before, ids = self._world.tokens[key]
            if before != volume:
                raise WrongRequest(
                    "make a volume: another call was made with this token", code="IdempotentParameterMismatch"
                )
            return self._volume_view(self._world.volumes[ids[0]])

    def _check_volume(self, volume: NewVolume) -> None:
        snapshot = self._world.snapshots.get(volume.snapshot_id)
        if snapshot is None or not self._is_here(snapshot):
            raise Missing(f"make a volume from {volume.snapshot_id}: not found", code="InvalidSnapshot.NotFound")
        if self._world.snapshot_state(snapshot) != "completed":
            raise Retryable("make a volume: IncorrectState: the snapshot is pending", code="IncorrectState")
        if not volume.availability_zone.startswith(self._access.region):
            raise WrongRequest("make a volume: InvalidZone.NotFound", code="InvalidZone.NotFound")
        if volume.kms_key is not None and volume.kms_key.split(":")[3:5] != [self._access.region, self._access.account]:
            raise WrongRequest("make a volume: the key is of another account or Region", code="InvalidKmsKey.NotFound")
        if reserved := [key for key in volume.tags if key.lower().startswith("aws:")]:
            raise WrongRequest(f"make a volume: tag {reserved[0]} is reserved", code="InvalidParameterValue")

    def _volume_view(self, one: FakeVolume) -> VolumeView:
        return VolumeView(
            volume_id=one.id,
            state=self._world.volume_state(one),
            size_gib=one.size_gib,
            availability_zone=one.zone,
            snapshot_id=one.snapshot_id,
            tags=dict(one.tags),
        )

    def volumes(self, *, ids: Sequence[str] = (), tags: Tags | None = None) -> list[VolumeView]:
        """See the port."""
        if not ids and tags is None:
            return []
        with self._call("volumes"):
            return [
                self._volume_view(one)
                for one in self._world.volumes.values()
                if self._is_here(one)
                and self._world.is_listed(one.made_at)
                and (not ids or one.id in ids)
                and (tags or {}).items() <= one.tags.items()
            ]

    def attach_volume(self, volume_id: str, instance_id: str, device: str) -> None:
        """See the port."""
        with self._call("attach_volume"):
            volume, instance = self._world.volumes[volume_id], self._world.instances.get(instance_id)
            if volume.attached_to == instance_id:
                return
            if instance is None or not self._is_here(instance):
                raise Missing(f"attach {volume_id} to {instance_id}: not found", code="InvalidInstanceID.NotFound")
            if instance.zone != volume.zone:
                raise WrongRequest("attach: the volume is in another zone", code="InvalidVolume.ZoneMismatch")
            taken = {one.device for one in self._world.volumes.values() if one.attached_to == instance_id}
            if device in taken:
                raise WrongRequest(f"attach: {device} is already in use", code="InvalidParameterValue")
            volume.attached_to, volume.device = instance_id, device

    def console_output(self, instance_id: str) -> str:
        """See the port."""
        with self._call("console_output"):
            if instance_id not in self._world.instances:
                raise Missing(f"read the console of {instance_id}", code="InvalidInstanceID.NotFound")
            return self._world.consoles.get(instance_id, "")

    def absent_volume(self, volume_id: str) -> None:
        """See the port."""
        with self._call("absent_volume"):
            found = self._world.volumes.get(volume_id)
            if found is None or not self._is_here(found):
                return
            if found.tags.get(names.INSTALL) != self._install:
                raise AccessDenied(f"delete volume {volume_id}: UnauthorizedOperation")
            if found.attached_to is not None:
                raise Retryable(f"delete volume {volume_id}: VolumeInUse", code="VolumeInUse")
            del self._world.volumes[volume_id]
