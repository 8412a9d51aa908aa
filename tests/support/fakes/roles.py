"""IAM on a `World` (`orchestrator.ports.Roles`)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from orchestrator.errors import Missing, Retryable, WrongRequest
from orchestrator.model.plan import Access, TemporaryRole
from orchestrator.ports import RoleView, Tags
from support.fakes.world import FakeProfile, World


class FakeRoles:
    """What one role may do in one account. Making and removing are several calls, as they are in IAM."""

    def __init__(self, world: World, access: Access, path: str, assume: Any) -> None:
        """Take the world, who looks at it, and the path of everything of ours."""
        self._world = world
        self._access = access
        self._path = path
        self._assume = assume

    def _call(self, operation: str) -> AbstractContextManager[None]:
        self._assume(self._access)
        return self._world.script.call(operation, self._access.account, self._access.role)

    def _guard(self, role: TemporaryRole) -> tuple[str, str]:
        if role.path != self._path:
            raise WrongRequest(f"role {role.name} is outside {self._path}: it is not ours to touch")
        return self._access.account, role.name

    def ensure_temporary_role(
        self, role: TemporaryRole, *, policy: Mapping[str, Any], tags: Tags, boundary: str | None
    ) -> RoleView:
        """See the port."""
        key = self._guard(role)
        world, account = self._world, self._access.account
        with self._call("create_role"):
            if key not in world.roles:
                world.add_role(
                    account, role.name, path=role.path, tags=dict(tags), boundary=boundary, is_trusting=False
                )
        with self._call("put_role_policy"):
            world.roles[key].policy = policy
        with self._call("create_profile"):
            if key not in world.profiles:
                world.profiles[key] = FakeProfile(
                    name=role.name, path=role.path, account=account, changed_at=world.clock.now()
                )
        with self._call("add_role_to_profile"):
            if not world.profiles[key].roles:
                world.profiles[key].roles.append(role.name)
                world.profiles[key].changed_at = world.clock.now()
        made = world.roles[key]
        return RoleView(name=made.name, arn=made.arn, role_id=made.role_id)

    def absent_temporary_role(self, role: TemporaryRole) -> None:
        """See the port."""
        key = self._guard(role)
        world = self._world
        with self._call("remove_role_from_profile"):
            if key in world.profiles:
                world.profiles[key].roles.clear()
        with self._call("delete_profile"):
            if key in world.profiles and world.profiles[key].roles:
                raise Retryable("delete the profile: DeleteConflict", code="DeleteConflict")
            world.profiles.pop(key, None)
        with self._call("delete_role_policy"):
            if key in world.roles:
                world.roles[key].policy = None
        with self._call("delete_role"):
            found = world.roles.get(key)
            inside = [one for one in world.profiles.values() if one.account == key[0] and role.name in one.roles]
            if found is not None and (found.policy is not None or inside):
                raise Retryable("delete the role: DeleteConflict", code="DeleteConflict")
            world.roles.pop(key, None)

    def temporary_names(self, path: str) -> set[str]:
        """See the port."""
        with self._call("temporary_names"):
            things = [*self._world.roles.values(), *self._world.profiles.values()]
            return {one.name for one in things if one.account == self._access.account and one.path.startswith(path)}

    def worker_profile(self, role_arn: str) -> tuple[str, RoleView]:
        """See the port."""
        with self._call("worker_profile"):
            name = role_arn.rsplit("/", 1)[-1]
            found = self._world.roles.get((self._access.account, name))
            if found is None or found.arn != role_arn:
                raise Missing(f"worker role {role_arn} does not exist", code="NoSuchEntity")
            profiles = sorted(
                one.name
                for one in self._world.profiles.values()
                if one.account == self._access.account and name in one.roles
            )
            if not profiles:
                raise Missing(
                    f"worker role {role_arn} stands in no instance profile",
                    remedy="Make an instance profile and add the role to it",
                )
            return profiles[0], RoleView(name=name, arn=found.arn, role_id=found.role_id)
