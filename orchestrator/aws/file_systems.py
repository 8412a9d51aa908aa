"""EFS, for one role in one account and Region."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestrator import tags as names
from orchestrator.aws import views
from orchestrator.aws.credentials import Identities
from orchestrator.aws.errors import translated
from orchestrator.errors import Missing
from orchestrator.model.plan import Access
from orchestrator.ports import FileSystemView, Tags

_PAGE = 100
#: Up to so many file systems are asked for one by one; for more, all of the account are listed.
_FEW = 5


class AwsFileSystems:
    """`orchestrator.ports.FileSystems` on AWS."""

    def __init__(self, identities: Identities, access: Access) -> None:
        """Take the identities and who is meant."""
        self._identities = identities
        self._access = access

    @property
    def _efs(self) -> Any:
        return self._identities.client("efs", self._access.role, self._access.region)

    def file_systems(self, ids: Sequence[str]) -> dict[str, FileSystemView]:
        """See the port. EFS takes one id or none; mount targets are told for one file system at a time."""
        wanted = set(ids)
        described = [one for one in self._some(ids) if one["FileSystemId"] in wanted]
        found = {}
        for one in described:
            name = one["FileSystemId"]
            with translated(f"describe the mount targets of {name}"):
                targets = [self._target(target) for target in self._mount_targets(name)]
            found[name] = views.file_system(one, targets)
        return found

    def find_file_systems(self, tags: Tags) -> list[str]:
        """See the port. EFS has no filter for tags: every file system is looked at, a hundred in each call."""
        with translated("find file systems by tags"):
            return sorted(
                one["FileSystemId"]
                for one in self._all()
                if one.get("LifeCycleState") not in ("deleting", "deleted") and names.carries(views.tags_of(one), tags)
            )

    def _some(self, ids: Sequence[str]) -> list[Mapping[str, Any]]:
        with translated("describe file systems"):
            if len(ids) > _FEW:
                return list(self._all())
        found: list[Mapping[str, Any]] = []
        for name in ids:
            try:
                with translated(f"describe {name}"):
                    found += self._efs.describe_file_systems(FileSystemId=name)["FileSystems"]
            except Missing:
                continue
        return found

    def _all(self) -> Iterator[Mapping[str, Any]]:
        pages = self._efs.get_paginator("describe_file_systems").paginate(PaginationConfig={"PageSize": _PAGE})
        for page in pages:
            yield from page["FileSystems"]

    def _mount_targets(self, name: str) -> Iterator[Mapping[str, Any]]:
        pages = self._efs.get_paginator("describe_mount_targets").paginate(
            FileSystemId=name, PaginationConfig={"PageSize": _PAGE}
        )
        for page in pages:
            yield from page["MountTargets"]

    def _target(self, described: Mapping[str, Any]) -> Mapping[str, Any]:
        """Add the security groups, which EFS tells in a call of their own."""
        groups = self._efs.describe_mount_target_security_groups(MountTargetId=described["MountTargetId"])
        return {**described, "SecurityGroups": groups["SecurityGroups"]}
