"""What is read at once: resources of one account, Region and row of the catalogue."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from orchestrator import planner
from orchestrator.model.catalogue import Row
from orchestrator.model.plan import Access
from orchestrator.planner.selection import Subject
from orchestrator.ports import DatabaseView, FileSystemView, InstanceView, SnapshotView


class Named(Protocol):
    """A resource as whoever groups it knows it."""

    @property
    def account(self) -> str:
        """Its account, by id."""

    @property
    def region(self) -> str:
        """Its Region."""

    @property
    def resource_id(self) -> str:
        """Its own id."""


class _Tagged(Protocol):
    @property
    def tags(self) -> Mapping[str, str]:
        """Its tags."""


N = TypeVar("N", bound=Named)


@dataclass
class Group:
    """What was read for the resources of one account and Region, all of one row of the catalogue.

    `access` is the operation's own; `taken` are device names that are given away, `zones` those of subnets.
    """

    account: str
    region: str
    row: Row
    access: Access
    profile: tuple[str, str] | None = None
    instances: Mapping[str, InstanceView] = field(default_factory=dict)
    snapshots: Mapping[str, SnapshotView] = field(default_factory=dict)
    databases: Mapping[str, DatabaseView] = field(default_factory=dict)
    file_systems: Mapping[str, FileSystemView] = field(default_factory=dict)
    zones: Mapping[str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def subject(self, resource: str) -> Subject:
        """Return a resource as selections see it, with its tags as far as it has some and they were read."""
        read: tuple[Mapping[str, _Tagged], ...] = (self.instances, self.snapshots, self.databases, self.file_systems)
        tags = next((found[resource].tags for found in read if resource in found), {})
        return Subject(account=self.account, region=self.region, resource_id=resource, tags=tags)


def grouped(known: planner.Context, resources: Iterable[N]) -> list[list[N]]:
    """Part resources into groups that are read at once: of one account, Region and row, in their order."""
    groups: dict[tuple[str, str, str], list[N]] = defaultdict(list)
    for one in resources:
        groups[one.account, one.region, known.row(one.resource_id).number].append(one)
    return list(groups.values())
