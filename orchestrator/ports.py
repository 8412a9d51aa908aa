"""What the steps ask of the world. Each promise stands beside its method; the adapters and the fakes keep it alike.

Rules that hold for every method that talks to a cloud:

- It raises only `CloudError`s (`orchestrator.errors`); AWS codes do not travel further up.
- `ensure_*` looks, makes, completes; `absent_*` treats "not there" as done. Both may be called again at any time, also
  after a call whose answer was lost.
- It retries nothing but throttling that AWS's own client retries; whoever calls decides about time.
- No method returns or logs a credential.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from agent.protocol import Order, Report
from orchestrator.archive_store import ArchiveStore
from orchestrator.machines import Machines
from orchestrator.model.network import Network
from orchestrator.model.plan import Access, SourceVolume, TemporaryRole
from orchestrator.model.work import WorkKey

Tags = Mapping[str, str]


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
class DatabaseView:
    """An RDS DB instance as described: `state` in RDS's words, `size_gib` its allocated storage as RDS counts.

    `vpc` is that of its subnet group, `address` and `port` its endpoint's.
    """

    id: str
    engine: str
    engine_version: str
    state: str
    size_gib: int
    availability_zone: str | None = None
    vpc: str | None = None
    address: str | None = None
    port: int = 5432
    security_groups: tuple[str, ...] = ()
    kms_key: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class MountTargetView:
    """A mount target of an EFS file system: where in a VPC it can be mounted."""

    id: str
    subnet: str
    availability_zone: str
    vpc: str
    state: str
    address: str | None = None
    security_groups: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FileSystemView:
    """An EFS file system as described, with its mount targets; `size_bytes` is what EFS measured last."""

    id: str
    state: str
    size_bytes: int
    name: str | None = None
    kms_key: str | None = None
    mount_targets: tuple[MountTargetView, ...] = ()
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


class Databases(Protocol):
    """RDS as one role sees it in one account and Region."""

    def databases(self, ids: Sequence[str]) -> dict[str, DatabaseView]:
        """Describe DB instances; ids that do not exist are left out."""

    def find_databases(self, tags: Tags) -> list[str]:
        """List the identifiers of DB instances that carry every one of these tags and are not being deleted."""


class FileSystems(Protocol):
    """EFS as one role sees it in one account and Region."""

    def file_systems(self, ids: Sequence[str]) -> dict[str, FileSystemView]:
        """Describe file systems with their mount targets; ids that do not exist are left out."""

    def find_file_systems(self, tags: Tags) -> list[str]:
        """List the ids of file systems that carry every one of these tags and are not being deleted."""


@dataclass(frozen=True, kw_only=True)
class RoleView:
    """An IAM role: `role_id` is the unique id that `aws:userid` begins with (`AROA...`)."""

    name: str
    arn: str
    role_id: str


class Networks(Protocol):
    """What stands in one account and Region before anything of ours does: read only, a few calls in pages."""

    def network(self, *, subnets: Sequence[str] = (), vpcs: Sequence[str] = (), default_only: bool = False) -> Network:
        """Describe the VPCs of these subnets and these VPCs with all that stands in them, or everything in the Region.

        `default_only` describes the Region's default VPC alone. Of named subnets only themselves are described, not
        their neighbours. What does not exist is left out.
        """

    def offered(self, types: Sequence[str]) -> dict[str, frozenset[str]]:
        """Return the availability zones in which each of these instance types is offered; nowhere: an empty set."""


@dataclass(frozen=True, kw_only=True)
class Room:
    """What is used of a quota, and how much there may be."""

    used: int
    most: int

    @property
    def left(self) -> int:
        """How much more there may be now."""
        return max(0, self.most - self.used)


class Limits(Protocol):
    """Quotas of one account, in one Region where they are regional: read only.

    Plans ask; a launch asks for room and rate, and goes on without an answer.
    """

    def vcpus(self, types: Sequence[str]) -> dict[str, int]:
        """Return how many vCPUs of the standard quota an instance of each type takes; unknown types are left out.

        Types of families that have a quota of their own take 0.
        """

    def room_for_vcpus(self) -> Room:
        """Return the vCPUs of running on-demand instances of the standard families, and their quota."""

    def free_addresses(self, subnets: Sequence[str]) -> dict[str, int]:
        """Return how many addresses are free in subnets; those that do not exist are left out."""

    def launch_rate(self) -> tuple[float, float]:
        """Return how many RunInstances calls may come at once, and how many more each second, as Service Quotas says.

        Raises `Missing` where Service Quotas does not know them.
        """

    def room_for_roles(self) -> Room:
        """Return the account's IAM roles, and their quota."""

    def room_for_profiles(self) -> Room:
        """Return the account's instance profiles, and their quota."""


@dataclass(frozen=True, kw_only=True)
class KeyView:
    """A KMS key as described; `policy` is its key policy as JSON text. The services' own keys serve their account."""

    arn: str
    is_enabled: bool
    is_managed_by_aws: bool
    policy: str


class Keys(Protocol):
    """KMS keys and who may use them, as one role sees them in one account and Region: read only, asked by plans."""

    def key(self, key: str) -> KeyView:
        """Describe a key. Raises `Missing`, `AccessDenied`."""

    def allows(self, role_arn: str, action: str, resource: str, context: Mapping[str, str]) -> bool:
        """Whether a role's own policies and boundary allow an action on a resource; policies of resources do not count.

        `context` are condition keys and their values. Raises `Missing` when there is no such role, `AccessDenied`.
        """


class Roles(Protocol):
    """IAM as one role sees it in one account."""

    def ensure_temporary_role(
        self, role: TemporaryRole, *, policy: Mapping[str, Any], tags: Tags, boundary: str | None
    ) -> RoleView:
        """Make role, inline policy and instance profile of one name, the role in it; complete what is there."""

    def absent_temporary_role(self, role: TemporaryRole) -> None:
        """Remove in the order that AWS demands: role out of the profile, profile, inline policies, role.

        What is not there (any more) is done. Refuses with `WrongRequest` a role outside this install's path.
        """

    def temporary_names(self, path: str) -> set[str]:
        """List the names of roles and instance profiles under a path: what `absent_temporary_role` left behind."""

    def worker_profile(self, role_arn: str) -> tuple[str, RoleView]:
        """Return the name of an instance profile that holds a pre-configured worker role, and the role.

        Raises `Missing` when the role does not exist or stands in no profile.
        """


class Orders(Protocol):
    """The control bucket: orders to agents and their result objects."""

    def give(self, user_id: str, order: Order) -> None:
        """Write a worker's order; writing it again is harmless."""

    def stop(self, session: str, user_id: str) -> None:
        """Ask a worker to stop."""

    def result(self, session: str, user_id: str) -> Report | None:
        """Return the result object beside an order, or None."""

    def absent(self, session: str, user_id: str) -> None:
        """Remove a worker's order, stop and result."""

    def keys(self, session: str) -> list[str]:
        """List what is left of a session's orders."""

    def absent_key(self, key: str) -> None:
        """Remove one object of the orders; gone already is success."""

    def sessions(self) -> set[str]:
        """List the sessions that have any object among the orders."""

    def epoch(self) -> str | None:
        """Return what `set_epoch` wrote last, or None: how old the newest ledger was that has swept here."""

    def set_epoch(self, epoch: str) -> None:
        """Write the ledger's epoch beside the orders."""


@dataclass(frozen=True, kw_only=True)
class ReceivedReport:
    """A report with the sender that SQS vouches for and the handle that acknowledges it."""

    report: Report
    sender_id: str
    handle: str


class Reports(Protocol):
    """The report queue, as the listener reads it."""

    def receive(self, wait_seconds: int) -> list[ReceivedReport]:
        """Wait for reports, at most ten. Messages that are no reports are dropped and logged by their message id."""

    def acknowledge(self, handles: Sequence[str]) -> None:
        """Delete what has been written to the ledger."""


class Cloud(Protocol):
    """Where the steps get their clients; roles are assumed and credentials refreshed in here and never leave.

    A role is assumed when a client first calls: each method of a client can raise `AccessDenied` for it.
    """

    def compute(self, access: Access, *, yields: bool = False) -> Compute:
        """Return EC2 and EBS for a role, account and Region.

        `yields` is for looks that are repeated anyway: they raise `Throttled` rather than take the last of AWS's rate
        from those who remove something or are waited for.
        """

    def machines(self, access: Access) -> Machines:
        """Return images and restored instances for a role, account and Region."""

    def databases(self, access: Access) -> Databases:
        """Return RDS for a role, account and Region."""

    def file_systems(self, access: Access) -> FileSystems:
        """Return EFS for a role, account and Region."""

    def roles(self, access: Access) -> Roles:
        """Return IAM for a role and account."""

    def networks(self, access: Access) -> Networks:
        """Return the network and the offers of a role's account and Region."""

    def limits(self, access: Access) -> Limits:
        """Return the quotas of a role's account and Region."""

    def keys(self, access: Access) -> Keys:
        """Return the KMS keys of a role's account and Region."""

    def archive(self, access: Access, url: str) -> ArchiveStore:
        """Return the packs of the archive at `s3://bucket/prefix`, for whoever may list them and ask for them."""

    def orders(self) -> Orders:
        """Return the control bucket."""

    def check(self, access: Access) -> None:
        """Make sure that the role can be assumed now. Raises `AccessDenied` with the remedy."""


class Dispatch(Protocol):
    """How work gets moving again. Losing a call is repaired by `reconcile`: publishing twice is harmless."""

    def drive(self, keys: Iterable[WorkKey]) -> None:
        """Publish the rest of each one's chain, from the step that its ledger row stands at."""

    def launch(self, account: str, region: str, *, after: timedelta = timedelta()) -> None:
        """Have the pending launch requests of an account and Region looked at, `after` a moment or at once.

        `after` is less than a second: enough to gather what comes together.
        """

    def terminate(self, account: str, region: str, *, after: timedelta = timedelta()) -> None:
        """Have the workers of an account and Region that have nothing left to do terminated, as `launch`."""


class Limiter(Protocol):
    """How fast AWS may be called: token buckets for each account, Region and API, shared by all processes.

    Losing what it knows costs a few throttled calls and nothing else.
    """

    def take(self, account: str, region: str, api: str, *, resources: int = 0, keep: float = 0) -> timedelta:
        """Take a call and so many resources; zero: go on. Otherwise nothing was taken: ask again after that time.

        `keep` is the part of the full bucket of calls that is to be left to others.
        """

    def room(self, account: str, region: str, api: str) -> int:
        """Return how many resources could be taken now; none while no call could be made."""

    def knows(self, account: str, region: str, api: str) -> bool:
        """Whether somebody has said, within a day, how fast the account may call: see `learn`."""

    def learn(self, account: str, region: str, api: str, rate: tuple[float, float] | None) -> None:
        """Take an account's own rate of calls (at once, and each second); None: the documented one counts."""

    def throttled(self, account: str, region: str, api: str) -> None:
        """Learn that AWS has refused a call for its rate: empty the buckets, and fill them more slowly for a while."""


class Clock(Protocol):
    """The time; a fake in unit tests."""

    def now(self) -> datetime:
        """Return the time, UTC."""
