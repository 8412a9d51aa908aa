"""IAM for one role in one account: temporary roles made, completed and removed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from orchestrator import policies
from orchestrator.aws import views
from orchestrator.aws.credentials import Identities
from orchestrator.aws.errors import code_of, translated
from orchestrator.errors import AccessDenied, Missing, WrongRequest
from orchestrator.model.plan import Access, TemporaryRole
from orchestrator.ports import RoleView, Tags

_EXISTS = "EntityAlreadyExists"
_POLICY = "daywork"


class AwsRoles:
    """`orchestrator.ports.Roles` on AWS."""

    def __init__(self, identities: Identities, access: Access, path: str) -> None:
        """Take the identities, who is meant, and the path under which everything of ours stands."""
        self._identities = identities
        self._access = access
        self._path = path

    @property
    def _iam(self) -> Any:
        return self._identities.client("iam", self._access.role, self._access.region)

    def ensure_temporary_role(
        self, role: TemporaryRole, *, policy: Mapping[str, Any], tags: Tags, boundary: str | None
    ) -> RoleView:
        """See the port."""
        self._guard(role)
        iam, marks = self._iam, views.tag_list(tags)
        with translated(f"make the temporary role {role.name}"):
            limits = {"PermissionsBoundary": boundary} if boundary else {}
            _unless_there(
                lambda: iam.create_role(
                    Path=role.path,
                    RoleName=role.name,
                    AssumeRolePolicyDocument=json.dumps(policies.ec2_trust()),
                    Tags=marks,
                    **limits,
                )
            )
            iam.put_role_policy(RoleName=role.name, PolicyName=_POLICY, PolicyDocument=json.dumps(policy))
            _unless_there(
                lambda: iam.create_instance_profile(InstanceProfileName=role.name, Path=role.path, Tags=marks)
            )
            profile = iam.get_instance_profile(InstanceProfileName=role.name)["InstanceProfile"]
            if not profile["Roles"]:
                iam.add_role_to_instance_profile(InstanceProfileName=role.name, RoleName=role.name)
            found = iam.get_role(RoleName=role.name)["Role"]
        return RoleView(name=role.name, arn=found["Arn"], role_id=found["RoleId"])

    def absent_temporary_role(self, role: TemporaryRole) -> None:
        """See the port."""
        self._guard(role)
        iam, name = self._iam, role.name
        doing = f"remove the temporary role {name}"

        def with_profile(remove: Callable[[], Any]) -> None:
            _unless_gone(doing, remove, lambda: name in self._profiles(role.path))

        def with_role(remove: Callable[[], Any]) -> None:
            _unless_gone(doing, remove, lambda: name in self._roles(role.path))

        with_profile(lambda: iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=name))
        with_profile(lambda: iam.delete_instance_profile(InstanceProfileName=name))
        with_role(lambda: iam.delete_role_policy(RoleName=name, PolicyName=_POLICY))
        with_role(lambda: iam.delete_role(RoleName=name))

    def temporary_names(self, path: str) -> set[str]:
        """See the port."""
        return self._roles(path) | self._profiles(path)

    def _roles(self, path: str) -> set[str]:
        with translated(f"list roles under {path}"):
            pages = self._iam.get_paginator("list_roles").paginate(PathPrefix=path)
            return {one["RoleName"] for page in pages for one in page["Roles"]}

    def _profiles(self, path: str) -> set[str]:
        with translated(f"list instance profiles under {path}"):
            pages = self._iam.get_paginator("list_instance_profiles").paginate(PathPrefix=path)
            return {one["InstanceProfileName"] for page in pages for one in page["InstanceProfiles"]}

    def worker_profile(self, role_arn: str) -> tuple[str, RoleView]:
        """See the port."""
        name = role_arn.rsplit("/", 1)[-1]
        with translated(f"find the instance profile of {role_arn}"):
            found = self._iam.get_role(RoleName=name)["Role"]
            profiles = self._iam.list_instance_profiles_for_role(RoleName=name)["InstanceProfiles"]
        if not profiles:
            raise Missing(
                f"worker role {role_arn} stands in no instance profile",
                remedy="Make an instance profile and add the role to it",
            )
        return (
            min(one["InstanceProfileName"] for one in profiles),
            RoleView(name=name, arn=found["Arn"], role_id=found["RoleId"]),
        )

    def _guard(self, role: TemporaryRole) -> None:
        if role.path != self._path:
            raise WrongRequest(f"role {role.name} is outside {self._path}: it is not ours to touch")


def _unless_there(make: Callable[[], Any]) -> None:

    try:
        make()
    except ClientError as error:
        if code_of(error) != _EXISTS:
            raise


def _unless_gone(doing: str, remove: Callable[[], Any], is_there: Callable[[], bool]) -> None:
    try:
        with translated(doing):
            remove()
    except Missing:
        return
    except AccessDenied:
        # What is gone has no path, and our rights end at ours: AWS refuses rather than says that it is gone.
        if is_there():
            raise
