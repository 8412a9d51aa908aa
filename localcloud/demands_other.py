"""What calls to services without rules of their own demand: their action, on `*` unless the table names a resource.

So nothing is open because nobody thought of it: a role may call only what its policies name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from localcloud.authority import Demand
from localcloud.call import Call

#: IAM's names of services where they are not those that requests are signed for.
_PREFIXES: Final = {"email": "ses", "monitoring": "cloudwatch", "tagging": "tag"}
#: Parameters that name the resource of a call, and the kind in its ARN. Without the parameter all of a kind are meant.
_RESOURCES: Final[dict[str, tuple[str, str]]] = {
    "elasticfilesystem:DescribeFileSystems": ("FileSystemId", "file-system/"),
    "elasticfilesystem:DescribeMountTargets": ("FileSystemId", "file-system/"),
    "elasticfilesystem:DescribeMountTargetSecurityGroups": ("FileSystemId", "file-system/"),
    "rds:DescribeDBInstances": ("DBInstanceIdentifier", "db:"),
}


def other_demands(call: Call) -> Iterator[Demand]:
    """Yield what a call demands."""
    action = f"{_PREFIXES.get(call.service, call.service)}:{call.operation}"
    named = _RESOURCES.get(action)
    if named is None:
        yield Demand(action=action)
        return
    parameter, kind = named
    name = call.parameters.get(parameter) or "*"
    yield Demand(action=action, resource=f"arn:aws:{call.service}:{call.region}:{call.account}:{kind}{name}")
