"""What the call log says of what a call makes or removes."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.call import Call
from localcloud.targets import targets


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "expected"),
    [
        ("ec2", "TerminateInstances", {"InstanceIds": ["i-1", "i-2"]}, ("i-1", "i-2")),
        ("ec2", "RunInstances", {"ClientToken": "t", "UserData": "not this"}, ("t",)),
        (
            "ec2",
            "CreateSnapshots",
            {"InstanceSpecification": {"InstanceId": "i-1", "ExcludeBootVolume": True}},
            ("i-1",),
        ),
        ("ec2", "DescribeInstances", {"InstanceIds": ["i-1"]}, ()),
        ("iam", "PutRolePolicy", {"RoleName": "dw-1", "PolicyDocument": "not this"}, ("dw-1",)),
        ("iam", "DeleteRole", {}, ()),
        ("s3", "PutObject", {"Bucket": "b", "Key": "orders/s-1/a"}, ("orders/s-1/a",)),
    ],
)
def test_only_names_of_what_is_made_or_removed_are_told(
    service: str, operation: str, parameters: dict[str, Any], expected: tuple[str, ...]
) -> None:
    """Reads tell nothing, and nothing but names leaves a call's parameters."""
    call = Call(
        service=service, operation=operation, account="1" * 12, region="r", principal=None, method="POST", path="/",
        query={}, headers={}, body=b"", parameters=parameters,
    )  # fmt: skip

    assert targets(call) == expected
