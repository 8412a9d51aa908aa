"""What calls to services without rules of their own demand: their action, on `*` unless the table names a resource.

So nothing is open because nobody thought of it: a role may call only what its policies name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from localcloud.authority import Demand
from localcloud.call import Call

#: IAM's names of services where they are not those that requests are signed for.
_PREFIXES: Final = {"email": "ses", "monitoring": "cloudwatch", "tagging": "tag"}
#: What the resource of a call is called in ARNs; a parameter that was not given means all there are.
_RESOURCES: Final[dict[str, str]] = {
    "elasticfilesystem:DescribeFileSystems": "file-system/{FileSystemId}",
    "elasticfilesystem:DescribeMountTargets": "file-system/{FileSystemId}",
    "elasticfilesystem:DescribeMountTargetSecurityGroups": "file-system/{FileSystemId}",
    "rds:DescribeDBInstances": "db:{DBInstanceIdentifier}",
    "servicequotas:GetServiceQuota": "{ServiceCode}/{QuotaCode}",
}


def other_demands(call: Call) -> Iterator[Demand]:
    """Yield what a call demands."""
    action = f"{_PREFIXES.get(call.service, call.service)}:{call.operation}"
    form = _RESOURCES.get(action)
    if form is None:
        yield Demand(action=action)
        return
    name = form.format_map(defaultdict(lambda: "*", {key: str(value) for key, value in call.parameters.items()}))
    yield Demand(action=action, resource=f"arn:aws:{call.service}:{call.region}:{call.account}:{name}")
