"""The state of the fake AWS: several accounts, one control bucket, one report queue, and time that a test moves.

States that depend on time (`pending` -> `running`, `completed`, ...) are computed from the clock when somebody looks.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from orchestrator.model.network import Network
from orchestrator.model.plan import SourceVolume
from orchestrator.ports import DatabaseView, FileSystemView, KeyView, NewImage, ReceivedReport
from support.clock import FakeClock
from support.fakes.script import Script

#: Terminated instances are listed for about an hour.
LISTED = timedelta(hours=1)


@dataclass(kw_only=True)
class Timing:
    """How long things take; `listed` is how long new things stay invisible, `profile` an instance profile to EC2."""

    boot: timedelta = timedelta(seconds=10)
    shutdown: timedelta = timedelta(seconds=10)
    snapshot: timedelta = timedelta(seconds=20)
    volume: timedelta = timedelta(seconds=5)
    image: timedelta = timedelta(seconds=5)
    profile: timedelta = timedelta(0)
    retrieval: timedelta = timedelta(minutes=40)
    listed: timedelta = timedelta(0)


@dataclass(kw_only=True)
class FakeRole:
    """An IAM role. `external_id` is what its trust asks for; `is_trusting` whether the control plane may take it."""

    name: str
    path: str
    account: str
    role_id: str
    external_id: str | None = None
    is_trusting: bool = True
    policy: Mapping[str, Any] | None = None
    tags: dict[str, str] = field(default_factory=dict)
    boundary: str | None = None

    @property
    def arn(self) -> str:
        """The role's ARN."""
        return f"arn:aws:iam::{self.account}:role{self.path}{self.name}"


@dataclass(kw_only=True)
class FakeProfile:
    """An instance profile; EC2 sees it `Timing.profile` after `changed_at`."""

    name: str
    path: str
    account: str
    changed_at: datetime
    roles: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class FakeInstance:
    """An instance; `role_id` is its role's at launch. `ends_at` is when somebody began to terminate it."""

    id: str
    account: str
    region: str
    type: str
    subnet: str
    zone: str
    launched_at: datetime
    tags: dict[str, str]
    role_id: str = ""
    profile: str = ""
    user_data: str = ""
    ends_at: datetime | None = None
    stopped_at: datetime | None = None
    reason: str | None = None
    volumes: tuple[SourceVolume, ...] = ()
    configuration: dict[str, Any] = field(default_factory=dict)

    @property
    def user_id(self) -> str:
        """What `aws:userid` says on it."""
        return f"{self.role_id}:{self.id}"


@dataclass(kw_only=True)
class FakeSnapshot:
    """A snapshot. One that was started empty is `pending` until it is filled (`completed_at`)."""

    id: str
    account: str
    region: str
    volume_id: str
    size_gib: int
    started_at: datetime
    tags: dict[str, str]
    completed_at: datetime | None = None
    error: str | None = None
    encrypted: bool = False
    kms_key: str | None = None


@dataclass(kw_only=True)
class FakeImage:
    """An image as it was asked for; `state` is set where it does not become available."""

    id: str
    account: str
    region: str
    made_at: datetime
    asked: NewImage
    state: str | None = None


@dataclass(kw_only=True)
class FakeVolume:
    """A volume, made from a snapshot or there from the beginning."""

    id: str
    account: str
    region: str
    zone: str
    size_gib: int
    made_at: datetime
    type: str
    tags: dict[str, str]
    snapshot_id: str | None = None
    encrypted: bool = False
    kms_key: str | None = None
    error: bool = False
    attached_to: str | None = None
    device: str | None = None


class World:
    """All of it."""

    def __init__(self, clock: FakeClock) -> None:
        """Begin empty."""
        self.clock = clock
        self.script = Script()
        self.timing = Timing()
        self.roles: dict[tuple[str, str], FakeRole] = {}
        self.profiles: dict[tuple[str, str], FakeProfile] = {}
        self.instances: dict[str, FakeInstance] = {}
        self.snapshots: dict[str, FakeSnapshot] = {}
        self.volumes: dict[str, FakeVolume] = {}
        self.images: dict[str, FakeImage] = {}
        self.subnets: dict[str, str] = {}
        #: DB instances and file systems by account and Region.
        self.databases: dict[tuple[str, str], dict[str, DatabaseView]] = {}
        self.file_systems: dict[tuple[str, str], dict[str, FileSystemView]] = {}
        self.groups: set[str] = set()
        #: Networks by (account, Region); where none is given, every subnet and group of this world can be used.
        self.networks: dict[tuple[str, str], Network] = {}
        #: Zones by instance type; what is not named is offered in all of them.
        self.offers: dict[str, Collection[str]] = {}
        #: vCPUs allowed by account.
        self.vcpu_quotas: dict[str, int] = {}
        self.launch_rates: dict[str, tuple[float, float]] = {}
        self.keys: dict[str, KeyView] = {}
        #: (role's ARN, action, resource) that the role's policies do not allow.
        self.forbidden: set[tuple[str, str, str]] = set()
        #: Archived packs by the archive's url (`support.fakes.archives`).
        self.archives: dict[str, list[Any]] = {}
        self.bucket: dict[str, str] = {}
        self.queue: list[ReceivedReport] = []
        self.tokens: dict[tuple[str, str, str, str], tuple[Any, list[str]]] = {}
        #: Machines left by (instance type, subnet); what is not named has no end.
        self.capacity: dict[tuple[str, str], int] = {}
        self.consoles: dict[str, str] = {}
        #: Instances allowed at once by account; what is not named has no limit.
        self.quota: dict[str, int] = {}
        self._numbers = itertools.count(1)

    def new_id(self, prefix: str) -> str:
        """Return an id like AWS's, unique in this world."""
        return f"{prefix}-{next(self._numbers):017x}"

    # --- setting the stage ---

    def add_role(self, account: str, name: str, *, path: str = "/", profile: bool = False, **options: Any) -> FakeRole:
        """Add a role, with an instance profile of the same name if `profile`."""
        role = FakeRole(name=name, path=path, account=account, role_id=f"AROA{next(self._numbers):016d}", **options)
        self.roles[account, name] = role
        if profile:
            self.profiles[account, name] = FakeProfile(
                name=name, path=path, account=account, changed_at=datetime.min.replace(tzinfo=self.clock.now().tzinfo),
                roles=[name],
            )  # fmt: skip
        return role

    def add_instance(
        self, account: str, region: str, *sizes: int, tags: Mapping[str, str] | None = None, **volume: Any
    ) -> FakeInstance:
        """Add a running instance to be protected, with a volume of each size in GiB."""
        zone = f"{region}a"
        mine: list[SourceVolume] = []
        for number, size in enumerate(sizes):
            made = FakeVolume(
                id=self.new_id("vol"), account=account, region=region, zone=zone, size_gib=size,
                made_at=self.clock.now() - timedelta(days=9), type="gp3", tags={},
                encrypted=volume.get("encrypted", False), kms_key=volume.get("kms_key"),
            )  # fmt: skip
            self.volumes[made.id] = made
            device = f"/dev/sd{'abcdefghijk'[number]}"
            mine.append(SourceVolume(volume_id=made.id, device=device, size_gib=size, **volume))
        instance = FakeInstance(
            id=self.new_id("i"), account=account, region=region, type="m5.large", subnet="subnet-theirs", zone=zone,
            launched_at=self.clock.now() - timedelta(days=9), tags=dict(tags or {}), volumes=tuple(mine),
            configuration={"instanceType": "m5.large", "availabilityZone": zone, "rootDevice": "/dev/sda"},
        )  # fmt: skip
        for one in mine:
            self.volumes[one.volume_id].attached_to = instance.id
            self.volumes[one.volume_id].device = one.device
        self.instances[instance.id] = instance
        return instance

    def detach(self, instance: FakeInstance, volume_id: str) -> None:
        """Take a volume away from an instance."""
        instance.volumes = tuple(one for one in instance.volumes if one.volume_id != volume_id)
        self.volumes[volume_id].attached_to = None

    # --- looking ---

    def state_of(self, instance: FakeInstance) -> str:
        """Return an instance's state in EC2's words."""
        now = self.clock.now()
        if instance.ends_at is not None:
            return "terminated" if now >= instance.ends_at + self.timing.shutdown else "shutting-down"
        if instance.stopped_at is not None:
            return "stopped" if now >= instance.stopped_at + self.timing.shutdown else "stopping"
        return "running" if now >= instance.launched_at + self.timing.boot else "pending"

    def is_listed(self, moment: datetime) -> bool:
        """Whether something made at `moment` is visible to describing calls by now."""
        return self.clock.now() >= moment + self.timing.listed

    def snapshot_state(self, snapshot: FakeSnapshot) -> str:
        """Return pending, completed or error."""
        if snapshot.error is not None:
            return "error"
        done = snapshot.completed_at
        return "completed" if done is not None and self.clock.now() >= done else "pending"

    def volume_state(self, volume: FakeVolume) -> str:
        """Return creating, available, in-use or error."""
        if volume.error:
            return "error"
        if volume.attached_to is not None:
            return "in-use"
        return "available" if self.clock.now() >= volume.made_at + self.timing.volume else "creating"

    def alive(self, **tags: str) -> Iterator[FakeInstance]:
        """Yield instances that are not terminated and carry these tags (`_` stands for `:`)."""
        wanted = {name.replace("_", ":"): value for name, value in tags.items()}
        for instance in self.instances.values():
            if self.state_of(instance) != "terminated" and wanted.items() <= instance.tags.items():
                yield instance

    def terminate(self, instance_id: str, reason: str = "Client.UserInitiatedShutdown") -> None:
        """Begin to terminate an instance, by whomever."""
        instance = self.instances.get(instance_id)
        if instance is not None and instance.ends_at is None:
            instance.ends_at, instance.reason = self.clock.now(), reason

    def next_change(self) -> datetime | None:
        """Return when the next instance, snapshot or volume will change by itself, or None."""
        now, timing = self.clock.now(), self.timing
        moments = [one.launched_at + timing.boot for one in self.instances.values()]
        moments += [one.ends_at + timing.shutdown for one in self.instances.values() if one.ends_at is not None]
        moments += [one.stopped_at + timing.shutdown for one in self.instances.values() if one.stopped_at is not None]
        moments += [one.made_at + timing.image for one in self.images.values()]
        moments += [one.completed_at for one in self.snapshots.values() if one.completed_at is not None]
        moments += [one.made_at + timing.volume for one in self.volumes.values()]
        return min((moment for moment in moments if moment > now), default=None)
