"""Images and restored instances on a `World` (`orchestrator.ports.Machines`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from orchestrator import tags as names
from orchestrator.errors import AccessDenied, Missing, NoCapacity, Retryable, WrongRequest
from orchestrator.model.plan import SourceVolume
from orchestrator.ports import Device, ImageView, MachineView, NewImage, NewMachine
from support.fakes.side import Side
from support.fakes.world import FakeImage, FakeInstance, FakeVolume

_LEAVING = ("shutting-down", "terminated")


class FakeMachines(Side):
    """What the restore role sees in one account and Region."""

    def _check_marked(self, tags: Mapping[str, str], doing: str) -> None:
        if tags.get(names.RESTORING) != self._install:
            raise AccessDenied(f"{doing}: UnauthorizedOperation: not under restore")

    # --- images ---

    def make_image(self, image: NewImage) -> ImageView:
        """See the port."""
        with self._call("make_image"):
            found = next((one for one in self._here(self._world.images) if one.asked.name == image.name), None)
            if found is None:
                for one in image.devices:
                    self._check_snapshot(one)
                found = FakeImage(
                    id=self._world.new_id("ami"),
                    account=self._access.account,
                    region=self._access.region,
                    made_at=self._world.clock.now(),
                    asked=image,
                )
                self._world.images[found.id] = found
            return self._image_view(found)

    def _check_snapshot(self, device: Device) -> None:
        snapshot = self._world.snapshots.get(device.snapshot_id)
        if snapshot is None or not self._is_here(snapshot):
            raise Missing(f"register image: {device.snapshot_id} not found", code="InvalidSnapshot.NotFound")
        if self._world.snapshot_state(snapshot) != "completed":
            raise Retryable("register image: IncorrectState: the snapshot is pending", code="IncorrectState")

    def _here(self, things: Mapping[str, Any]) -> Iterable[Any]:
        return [one for one in things.values() if self._is_here(one)]

    def _image_view(self, one: FakeImage) -> ImageView:
        is_ready = self._world.clock.now() >= one.made_at + self._world.timing.image
        return ImageView(
            image_id=one.id,
            state=one.state or ("available" if is_ready else "pending"),
            made_at=one.made_at,
            tags=dict(one.asked.tags),
        )

    def images(
        self, *, ids: Sequence[str] = (), name: str | None = None, tags: Mapping[str, str] | None = None
    ) -> list[ImageView]:
        """See the port."""
        if not ids and name is None and not tags:
            return []
        with self._call("images"):
            return [
                self._image_view(one)
                for one in self._here(self._world.images)
                if self._world.is_listed(one.made_at)
                and (not ids or one.id in ids)
                and name in (None, one.asked.name)
                and (tags or {}).items() <= one.asked.tags.items()
            ]

    def absent_image(self, image_id: str) -> None:
        """See the port."""
        with self._call("absent_image"):
            found = self._world.images.get(image_id)
            if found is not None and self._is_here(found):
                del self._world.images[image_id]

    # --- instances ---

    def make(self, machine: NewMachine) -> MachineView:
        """See the port."""
        with self._call("make_machine"):
            key = (self._access.account, self._access.region, "machine", machine.token)
            if key not in self._world.tokens:
                self._world.tokens[key] = (machine, [self._start(machine)])
            asked, made = self._world.tokens[key]
            if asked != machine:
                raise WrongRequest("start: another call was made with this token", code="IdempotentParameterMismatch")
            return self._view(self._world.instances[made[0]])

    def _start(self, machine: NewMachine) -> str:
        world = self._world
        image = world.images.get(machine.image_id)
        if image is None or not self._is_here(image):
            raise Missing(f"start: {machine.image_id} not found", code="InvalidAMIID.NotFound")
        pool = (machine.instance_type, machine.subnet)
        if world.capacity.get(pool, 1) <= 0:
            raise NoCapacity("start: InsufficientInstanceCapacity", code="InsufficientInstanceCapacity")
        self._check_marked(machine.tags, "start")
        made = FakeInstance(
            id=world.new_id("i"),
            account=self._access.account,
            region=self._access.region,
            type=machine.instance_type,
            subnet=machine.subnet,
            zone=world.subnets.get(machine.subnet, f"{self._access.region}a"),
            launched_at=world.clock.now(),
            tags=dict(machine.tags),
            profile=machine.profile or "",
            configuration={"rootDevice": image.asked.root_device, "securityGroups": list(machine.security_groups)},
        )
        made.volumes = tuple(self._volume(made, machine, one) for one in image.asked.devices)
        world.instances[made.id] = made
        return made.id

    def _volume(self, instance: FakeInstance, machine: NewMachine, device: Device) -> SourceVolume:
        made = FakeVolume(
            id=self._world.new_id("vol"),
            account=instance.account,
            region=instance.region,
            zone=instance.zone,
            size_gib=device.size_gib,
            made_at=instance.launched_at,
            type=device.type,
            tags=dict(machine.marks),
            snapshot_id=device.snapshot_id,
            attached_to=instance.id,
            device=device.name,
        )
        self._world.volumes[made.id] = made
        return SourceVolume(volume_id=made.id, device=device.name, size_gib=device.size_gib, type=device.type)

    def _view(self, one: FakeInstance) -> MachineView:
        return MachineView(
            instance_id=one.id,
            state=self._world.state_of(one),
            availability_zone=one.zone,
            launched_at=one.launched_at,
            reason=one.reason,
            volumes={volume.device: volume.volume_id for volume in one.volumes},
            tags=dict(one.tags),
        )

    def machines(self, *, ids: Sequence[str] = (), tags: Mapping[str, str] | None = None) -> list[MachineView]:
        """See the port."""
        if not ids and not tags:
            return []
        with self._call("machines"):
            return [
                self._view(one)
                for one in self._here(self._world.instances)
                if self._world.is_listed(one.launched_at)
                and (not ids or one.id in ids)
                and (tags or {}).items() <= one.tags.items()
            ]

    def tag(self, ids: Sequence[str], tags: Mapping[str, str]) -> None:
        """See the port."""
        with self._call("tag_machine"):
            for one in ids:
                self._check_marked(self._tags_of(one), f"tag {one}")
                self._tags_of(one).update(tags)

    def _tags_of(self, resource: str) -> dict[str, str]:
        instance, volume = self._world.instances.get(resource), self._world.volumes.get(resource)
        found = instance.tags if instance is not None else volume.tags if volume is not None else None
        if found is None:
            raise Missing(f"{resource} not found", code="InvalidID")
        return found

    def outlive(self, instance_id: str, devices: Sequence[str]) -> None:
        """See the port."""
        if not devices:
            return
        with self._call("outlive"):
            found = self._world.instances[instance_id]
            self._check_marked(found.tags, "outlive")
            found.volumes = tuple(
                one.model_copy(update={"attributes": {"deleteOnTermination": one.device not in devices}})
                for one in found.volumes
            )

    def stop(self, instance_id: str) -> None:
        """See the port."""
        with self._call("stop_machine"):
            found = self._world.instances[instance_id]
            if found.stopped_at is None:
                self._check_marked(found.tags, "stop")
                found.stopped_at = self._world.clock.now()

    def release(self, ids: Sequence[str], tags: Sequence[str]) -> None:
        """See the port."""
        with self._call("release_machine"):
            for one in ids:
                for key in tags:
                    self._tags_of(one).pop(key, None)

    def absent(self, instance_id: str) -> None:
        """See the port."""
        with self._call("absent_machine"):
            found = self._world.instances.get(instance_id)
            if found is None or not self._is_here(found) or self._world.state_of(found) in _LEAVING:
                return
            self._check_marked(found.tags, "terminate")
            self._world.terminate(instance_id)
            for one in found.volumes:
                if one.attributes.get("deleteOnTermination", True):
                    del self._world.volumes[one.volume_id]
