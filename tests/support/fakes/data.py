"""RDS and EFS on a `World` (`orchestrator.ports.Databases`, `FileSystems`)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from orchestrator.model.plan import Access
from orchestrator.ports import DatabaseView, FileSystemView, Tags
from orchestrator.tags import carries
from support.fakes.world import World


class _Reader:
    """What one role sees in one account and Region."""

    def __init__(self, world: World, access: Access, assume: Any) -> None:
        """Take the world and who looks at it; `assume` refuses as STS does."""
        self._world = world
        self._access = access
        self._assume = assume

    @property
    def _place(self) -> tuple[str, str]:
        return self._access.account, self._access.region

    def _call(self, operation: str) -> AbstractContextManager[None]:
        self._assume(self._access)
        return self._world.script.call(operation, self._access.account, self._access.role)


class FakeDatabases(_Reader):
    """RDS."""

    def databases(self, ids: Sequence[str]) -> dict[str, DatabaseView]:
        """See the port."""
        with self._call("databases"):
            found = self._world.databases.get(self._place, {})
            return {one: found[one] for one in ids if one in found}

    def find_databases(self, tags: Tags) -> list[str]:
        """See the port."""
        with self._call("find_databases"):
            found = self._world.databases.get(self._place, {}).values()
            return sorted(one.id for one in found if carries(one.tags, tags) and one.state != "deleting")


class FakeFileSystems(_Reader):
    """EFS."""

    def file_systems(self, ids: Sequence[str]) -> dict[str, FileSystemView]:
        """See the port."""
        with self._call("file_systems"):
            found = self._world.file_systems.get(self._place, {})
            return {one: found[one] for one in ids if one in found}

    def find_file_systems(self, tags: Tags) -> list[str]:
        """See the port."""
        with self._call("find_file_systems"):
            found = self._world.file_systems.get(self._place, {}).values()
            return sorted(one.id for one in found if carries(one.tags, tags) and one.state != "deleting")
