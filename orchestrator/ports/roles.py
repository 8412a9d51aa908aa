"""IAM, as one role sees it in one account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from orchestrator.model.plan import TemporaryRole
from orchestrator.ports.tags import Tags


@dataclass(frozen=True, kw_only=True)
class RoleView:
    """An IAM role: `role_id` is the unique id that `aws:userid` begins with (`AROA...`)."""

    name: str
    arn: str
    role_id: str


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
