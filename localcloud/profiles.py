"""IAM answers that moto gets wrong and a life cycle of roles and profiles needs right."""

from __future__ import annotations

from localcloud import state, wire
from localcloud.call import Call, Reply
from localcloud.errors import AwsError


class Profiles:
    """The IAM side of instance profiles and roles (a `Plugin`)."""

    def before(self, call: Call) -> Reply | None:
        """Answer what moto cannot. Raises `AwsError`."""
        if call.service != "iam":
            return None
        name = call.parameters.get("InstanceProfileName", "")
        if call.operation == "ListInstanceProfileTags":
            profile = state.profile(call.account, name)
            if profile is None:
                raise AwsError("NoSuchEntity", f"Instance Profile {name} cannot be found.")
            tags = [{"Key": key, "Value": value} for key, value in state.tags_of(profile).items()]
            return wire.answer(call, {"Tags": tags, "IsTruncated": False})
        if call.operation == "RemoveRoleFromInstanceProfile":
            role_name = call.parameters.get("RoleName", "")
            profile = state.profile(call.account, name)
            if profile is not None and all(role.name != role_name for role in profile.roles):
                raise AwsError("NoSuchEntity", f"The role with name {role_name} cannot be found.")
        if call.operation == "CreateRole" and len(call.parameters.get("RoleName", "")) > 64:  # noqa: PLR2004
            raise AwsError(
                "ValidationError",
                "1 validation error detected: Value at 'roleName' failed to satisfy constraint: "
                "Member must have length less than or equal to 64",
            )
        return None

    def after(self, call: Call, reply: Reply) -> Reply:
        """Change nothing."""
        del call
        return reply
