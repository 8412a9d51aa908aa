"""The job that brings files back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agent.protocol.message import Message
from agent.protocol.places import DataAccess, RepositoryRef, ResourceRef


@dataclass(frozen=True, kw_only=True)
class PointFiles(Message):
    """Files of a restore point; `source` is the instance that it was made of."""

    repository: RepositoryRef
    source: ResourceRef
    restore_point: str


@dataclass(frozen=True, kw_only=True)
class SnapshotFiles(Message):
    """Files of a cloud-native snapshot of a volume."""

    data: DataAccess
    snapshot_id: str
    volume_id: str


@dataclass(frozen=True, kw_only=True)
class Output(Message):
    """Where files are written: below `url` (`s3://bucket/prefix`), in a folder named after the worker's user id."""

    url: str
    region: str


@dataclass(frozen=True, kw_only=True)
class RestoreFilesJob(Message):
    r"""Job `ec2-restore-files`: take paths out of the file systems of an image, without mounting them.

    The image is `point` or `snapshot`, one of them; of a point, `volumes` are looked into (none named: all). `paths`
    begin at the root of their file system; a byte that is no UTF-8 is written `\xNN`, a backslash `\\`. None named:
    the worker answers requests, which it finds among its session's `orders`, until none has come for `idle_seconds`.
    """

    output: Output
    point: PointFiles | None = None
    snapshot: SnapshotFiles | None = None
    volumes: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    form: Literal["archive", "tree"] = "archive"
    orders: Output | None = None
    idle_seconds: int = 1800
