"""What the control plane and an agent say to each other, version 1.

Terms:

- **Boot document**: JSON inside the worker's user data. The same for every worker of a launch batch; holds no secret
  and names no resource.
- **Order**: an object in the control bucket, `orders/<session>/<role id>:<instance id>.json`. The last part is the
  worker's own `aws:userid`, so one policy statement limits each worker to its own orders.
- **Stop**: an object with the order's key and the ending `.stop` in place of `.json`. Its content does not matter.
- **Report**: an SQS message of the agent: `ready`, `progress` (also the heartbeat) or `result`, numbered by it.
- **Result object**: the result report written beside the order, ending `.result.json`. Either one ends the job.

Only the standard library is used, so both sides and the embedded cloud can import it. No message ever carries a
credential, a session token or an external id.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import types
import typing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal, Self

PROTOCOL_VERSION = 1

#: An order is JSON in one S3 object; the user data limit of EC2 is 16 KiB before encoding.
BOOT_LIMIT = 16 * 1024

_BOOT_MARK = "#daywork-boot:"

JobName = Literal["ec2-backup", "ec2-restore-volume"]
Outcome = Literal["success", "warning", "failed", "stopped"]


class ProtocolError(ValueError):
    """A message that is not version 1 of this protocol; says which field is wrong."""


def _matches(value: Any, kind: Any) -> bool:
    origin = typing.get_origin(kind)
    if kind is Any:
        return True
    if origin is Literal:
        return value in typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return any(_matches(value, option) for option in typing.get_args(kind))
    if origin is tuple:
        return isinstance(value, (list, tuple))
    if origin is dict:
        return isinstance(value, dict)
    if dataclasses.is_dataclass(kind):
        return isinstance(value, dict | typing.cast("type", kind))
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)


@dataclass(frozen=True, kw_only=True)
class Message:
    """Base of all messages: camel-case JSON objects, unknown fields refused by name."""

    def to_dict(self) -> dict[str, Any]:
        """Return the message as plain JSON values; fields that are None are left out."""
        out: dict[str, Any] = {}
        for spec in dataclasses.fields(self):
            value = getattr(self, spec.name)
            if value is not None:
                out[_camel(spec.name)] = _plain(value)
        return out

    def to_json(self) -> str:
        """Return compact JSON with sorted keys: equal messages are equal bytes."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_dict(cls, document: Any) -> Self:
        """Read a message. Raises `ProtocolError` that names the field."""
        if not isinstance(document, dict):
            raise ProtocolError(f"{cls.__name__}: expected a JSON object, got {type(document).__name__}")
        hints = typing.get_type_hints(cls)
        known = {_camel(spec.name): spec for spec in dataclasses.fields(cls)}
        if unknown := sorted(set(document) - set(known)):
            raise ProtocolError(f"{cls.__name__}: unknown field {unknown[0]!r}")
        values: dict[str, Any] = {}
        for name, spec in known.items():
            if name not in document:
                if spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING:
                    raise ProtocolError(f"{cls.__name__}: field {name!r} is missing")
                continue
            if not _matches(document[name], hints[spec.name]):
                raise ProtocolError(f"{cls.__name__}: field {name!r} has the wrong type or value")
            values[spec.name] = _typed(document[name], hints[spec.name])
        if values.get("protocol", PROTOCOL_VERSION) != PROTOCOL_VERSION:
            raise ProtocolError(f"{cls.__name__}: protocol {values['protocol']} is not {PROTOCOL_VERSION}")
        return cls(**values)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read a message from JSON text. Raises `ProtocolError`."""
        try:
            document = json.loads(text)
        except ValueError as error:
            raise ProtocolError(f"{cls.__name__}: not JSON ({error})") from None
        return cls.from_dict(document)


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


def _plain(value: Any) -> Any:
    if isinstance(value, Message):
        return value.to_dict()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _typed(value: Any, kind: Any) -> Any:
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        options = [option for option in typing.get_args(kind) if option is not type(None)]
        return None if value is None else _typed(value, options[0])
    if origin is tuple:
        return tuple(_typed(item, typing.get_args(kind)[0]) for item in value)
    if isinstance(kind, type) and issubclass(kind, Message):
        return value if isinstance(value, kind) else kind.from_dict(value)
    return value


# --- boot ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Boot(Message):
    """What every worker of a launch batch knows from its user data.

    `report_queue` is an SQS queue URL, possibly of another account. Durations are whole seconds: `boot_seconds` is how
    long the agent waits for its order before it ends itself, `heartbeat_seconds` how often it reports progress,
    `silence_seconds` how long it goes on when no report gets through.
    """

    protocol: int = PROTOCOL_VERSION
    install: str
    session: str
    region: str
    control_bucket: str
    control_region: str
    report_queue: str
    boot_seconds: int = 900
    heartbeat_seconds: int = 20
    silence_seconds: int = 1800


def user_data(boot: Boot, *, start: str = "") -> str:
    """Return the user data text (not base64) that starts an agent: a shell script with the boot document in a comment.

    `start` is the shell text that fetches and starts the agent on a real image; the embedded cloud starts the agent
    itself and reads the boot document alone. Equal arguments give equal bytes: user data is part of what EC2 compares
    when a ClientToken is used again.
    """
    packed = base64.b64encode(boot.to_json().encode()).decode()
    text = f"#!/bin/sh\n{_BOOT_MARK}{packed}\n{start}"
    if len(text.encode()) > BOOT_LIMIT:
        raise ProtocolError("Boot: the user data is longer than the 16 KiB that EC2 takes")
    return text


def parse_user_data(text: str) -> Boot:
    """Read the boot document back from user data. Raises `ProtocolError` when there is none."""
    for line in text.splitlines():
        if line.startswith(_BOOT_MARK):
            return Boot.from_json(base64.b64decode(line.removeprefix(_BOOT_MARK)))
    raise ProtocolError("Boot: the user data holds no boot document")


# --- orders -------------------------------------------------------------------------------------------------------


def order_prefix(session: str) -> str:
    """Return the key prefix of all orders of a session."""
    return f"orders/{session}/"


def order_key(session: str, user_id: str) -> str:
    """Return the key of a worker's order. `user_id` is its `aws:userid`: `<role id>:<instance id>`."""
    return f"{order_prefix(session)}{user_id}.json"


def stop_key(session: str, user_id: str) -> str:
    """Return the key whose existence asks the worker to stop."""
    return f"{order_prefix(session)}{user_id}.stop"


def result_key(session: str, user_id: str) -> str:
    """Return the key of the result object, written by the agent beside its order."""
    return f"{order_prefix(session)}{user_id}.result.json"


@dataclass(frozen=True, kw_only=True)
class ResourceRef(Message):
    """A resource in the cloud: 12-digit account, Region, id (`i-...`)."""

    account: str
    region: str
    id: str


@dataclass(frozen=True, kw_only=True)
class RepositoryRef(Message):
    """Where restore points are kept. `role_arn` is assumed by the worker to reach it; None: the worker's own role.

    `url` is `s3://bucket/prefix`; `kms_key` the ARN of the key that wraps the repository's data keys.
    """

    url: str
    region: str
    kms_key: str
    role_arn: str | None = None


@dataclass(frozen=True, kw_only=True)
class DataAccess(Message):
    """How the worker reaches snapshot blocks. `role_arn` is the data role to assume; None: the worker's own role."""

    region: str
    role_arn: str | None = None


@dataclass(frozen=True, kw_only=True)
class BackupVolume(Message):
    """One volume to back up: its completed snapshot and what must be known to make it again. Sizes in bytes.

    `previous_snapshot_id` is the snapshot of the parent restore point: with it only changed blocks are read.
    """

    volume_id: str
    snapshot_id: str
    size_bytes: int
    device: str
    previous_snapshot_id: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class BackupJob(Message):
    """Job `ec2-backup`: write one restore point (`rp-...`) of one instance.

    `parent` is the restore point that an incremental builds on. `configuration` is the instance as it was (type,
    network, tags, device mapping), recorded as given. `created_at` is RFC 3339 UTC, the moment of the snapshots.
    `ended_workers` are instances that had this job before and are terminated: what they held in the repository is free.
    """

    repository: RepositoryRef
    data: DataAccess
    resource: ResourceRef
    restore_point: str
    created_at: str
    volumes: tuple[BackupVolume, ...]
    parent: str | None = None
    consistency: str = "crash"
    compression: Literal["balanced", "size"] = "balanced"
    configuration: dict[str, Any] = field(default_factory=dict)
    ended_workers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RestoreVolume(Message):
    """One volume to restore: the source volume's id in the restore point, and the started snapshot to fill."""

    volume_id: str
    snapshot_id: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class RestoreVolumeJob(Message):
    """Job `ec2-restore-volume`: fill pending snapshots with the blocks of a restore point and complete them.

    `source` is the instance that the restore point was made of; the control plane makes volumes of the snapshots.
    """

    repository: RepositoryRef
    data: DataAccess
    source: ResourceRef
    restore_point: str
    volumes: tuple[RestoreVolume, ...]


@dataclass(frozen=True, kw_only=True)
class Order(Message):
    """What one worker shall do. `deadline` is RFC 3339 UTC: past it the agent stops and ends itself.

    `fence` is the number under which the control plane gave the order; the agent repeats it in every report.
    `job` is the job's own message as a JSON object, read with the class that `JOB_MESSAGES` names.
    """

    protocol: int = PROTOCOL_VERSION
    session: str
    attempt: int
    fence: int
    job_name: JobName
    deadline: str
    job: dict[str, Any]


JOB_MESSAGES: dict[str, type[BackupJob | RestoreVolumeJob]] = {
    "ec2-backup": BackupJob,
    "ec2-restore-volume": RestoreVolumeJob,
}


# --- reports ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Progress(Message):
    """How far a job is; `unit` is `bytes` for data jobs. `total` 0 means not known yet."""

    done: int
    total: int
    unit: str = "bytes"


@dataclass(frozen=True, kw_only=True)
class JobResult(Message):
    """How a job ended. `reason` and `remedy` are sentences for a person, without any secret.

    `detail` is the job's own figures. For `ec2-backup`: `restorePoint`, `kind` (`full` or `incremental`), `volumes`
    (per volume `volumeId`, `sizeBytes`, `blocks`), `blocksRead`, `blocksStored`, `bytesRead`, `bytesStored`. For
    `ec2-restore-volume`: `restorePoint`, `volumes` (`volumeId`, `snapshotId`, `blocksWritten`), `bytesWritten`.
    """

    outcome: Outcome
    reason: str | None = None
    remedy: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Report(Message):
    """One SQS message of an agent. `sequence` grows with each report of an instance, also when its agent restarts.

    `fence` is the order's (0 before there is one). `progress` comes with kind `progress`, `result` with `result`.
    `user_id` is the sender's `aws:userid`; the listener believes it only when SQS attached the same `SenderId`.
    """

    KINDS: ClassVar[tuple[str, ...]] = ("ready", "progress", "result")

    protocol: int = PROTOCOL_VERSION
    kind: Literal["ready", "progress", "result"]
    session: str
    instance_id: str
    user_id: str
    sequence: int
    fence: int = 0
    sent_at: str
    agent_version: str = ""
    progress: Progress | None = None
    result: JobResult | None = None


def format_time(moment: datetime) -> str:
    """Return RFC 3339 UTC with milliseconds, the only form of a time in messages."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """Read RFC 3339. Raises `ProtocolError`."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ProtocolError(f"time {text!r} is not RFC 3339") from None
    if moment.tzinfo is None:
        raise ProtocolError(f"time {text!r} has no time zone")
    return moment.astimezone(UTC)
