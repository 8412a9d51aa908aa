"""What is backed up or indexed beside instances: DB instances and file systems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.ports.tags import Tags


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


class Databases(Protocol):
    """RDS as one role sees it in one account and Region."""

    def databases(self, ids: Sequence[str]) -> dict[str, DatabaseView]:
        """Describe DB instances; ids that do not exist are left out."""

    def find_databases(self, tags: Tags) -> list[str]:
        """List the identifiers of DB instances that carry every one of these tags and are not being deleted."""


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


class FileSystems(Protocol):
    """EFS as one role sees it in one account and Region."""

    def file_systems(self, ids: Sequence[str]) -> dict[str, FileSystemView]:
        """Describe file systems with their mount targets; ids that do not exist are left out."""

    def find_file_systems(self, tags: Tags) -> list[str]:
        """List the ids of file systems that carry every one of these tags and are not being deleted."""
