"""What calls to IAM demand: actions, resources, condition keys.

Rules: "Actions, resources, and condition keys for AWS Identity and Access Management" in the Service Authorization
Reference. Something that does not exist has no path: a policy limited to a path then refuses, and the caller hears
AccessDenied, not that it is gone. AWS does the same (iam-manager issue 31).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from localcloud import state
from localcloud.authority import Demand
from localcloud.call import Call

Context = dict[str, "str | tuple[str, ...]"]

#: Operations that make something; the path is then the request's.
_MAKING: Final = frozenset({"CreateRole", "CreateInstanceProfile", "CreateUser", "CreatePolicy", "CreateGroup"})
#: Operations on a role whose policies can ask for the permissions boundary the role has or gets.
_BOUNDED: Final = frozenset(
    {
        "CreateRole",
        "PutRolePolicy",
        "DeleteRolePolicy",
        "AttachRolePolicy",
        "DetachRolePolicy",
        "PutRolePermissionsBoundary",
        "DeleteRolePermissionsBoundary",
    }
)
#: Operations whose name has no resource, though a parameter could be taken for one.
_WITHOUT_RESOURCE: Final = frozenset({"ListRoles", "ListInstanceProfiles", "ListUsers", "ListPolicies"})


def iam_demands(call: Call) -> Iterator[Demand]:
    """Yield what an IAM call demands."""
    given, backend = call.parameters, state.iam(call.account)
    if call.operation in _WITHOUT_RESOURCE:
        yield Demand(action=call.name)
    elif "PolicySourceArn" in given:
        yield Demand(action=call.name, resource=str(given["PolicySourceArn"]))
    elif "InstanceProfileName" in given:
        yield from _profile(call)
    elif "RoleName" in given:
        yield from _role(call)
    elif "UserName" in given:
        found = backend.users.get(given["UserName"])
        yield Demand(action=call.name, resource=_arn(call, "user", given["UserName"], found))
    elif "GroupName" in given:
        yield Demand(action=call.name, resource=_arn(call, "group", given["GroupName"], None))
    elif "PolicyArn" in given:
        yield Demand(action=call.name, resource=str(given["PolicyArn"]))
    elif "PolicyName" in given:
        yield Demand(action=call.name, resource=_arn(call, "policy", given["PolicyName"], None))
    else:
        yield Demand(action=call.name)


def _role(call: Call) -> Iterator[Demand]:
    given = call.parameters
    found = state.role(call.account, given["RoleName"])
    arn = _arn(call, "role", given["RoleName"], found)
    tags = _tags(given)
    context = _requested(tags) | _owned(found)
    if call.operation in _BOUNDED:
        asked = given.get("PermissionsBoundary")
        boundary = asked or (found.permissions_boundary_arn if found is not None else None)
        if boundary:
            context["iam:permissionsboundary"] = str(boundary)
    if "PolicyArn" in given:
        context["iam:policyarn"] = str(given["PolicyArn"])
    yield Demand(action=call.name, resource=arn, context=context)
    if tags and call.operation == "CreateRole":
        yield Demand(action="iam:TagRole", resource=arn, context=context)


def _profile(call: Call) -> Iterator[Demand]:
    given = call.parameters
    found = state.profile(call.account, given["InstanceProfileName"])
    arn = _arn(call, "instance-profile", given["InstanceProfileName"], found)
    tags = _tags(given)
    context = _requested(tags) | _owned(found)
    yield Demand(action=call.name, resource=arn, context=context)
    if tags and call.operation == "CreateInstanceProfile":
        yield Demand(action="iam:TagInstanceProfile", resource=arn, context=context)
    if call.operation == "AddRoleToInstanceProfile":
        role = state.role(call.account, given.get("RoleName", ""))
        yield Demand(
            action="iam:PassRole",
            resource=_arn(call, "role", given.get("RoleName", ""), role),
            context={"iam:passedtoservice": "ec2.amazonaws.com"},
        )


def _arn(call: Call, kind: str, name: str, found: Any) -> str:
    if found is not None and call.operation not in _MAKING:
        return str(found.arn)
    path = call.parameters.get("Path", "/") if call.operation in _MAKING else "/"
    return f"arn:aws:iam::{call.account}:{kind}{path}{name}"


def _tags(given: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag.get("Value", "") for tag in given.get("Tags") or []}


def _requested(tags: Mapping[str, str]) -> Context:
    context: Context = {f"aws:requesttag/{key.lower()}": value for key, value in tags.items()}
    if tags:
        context["aws:tagkeys"] = tuple(tags)
    return context


def _owned(found: Any) -> Context:
    context: Context = {}
    for key, value in state.tags_of(found).items() if found is not None else ():
        context[f"aws:resourcetag/{key.lower()}"] = value
        context[f"iam:resourcetag/{key.lower()}"] = value
    return context
