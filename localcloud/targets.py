"""What a call makes or removes, by name: the one part of its parameters that the call log keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from localcloud.call import Call

#: The parameters that name it, for each call that makes or removes something whose owner an auditor asks for. A launch
#: has no name yet: its token tells it from others.
_NAMED_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "ec2:RunInstances": ("ClientToken",),
    "ec2:TerminateInstances": ("InstanceIds",),
    "ec2:StopInstances": ("InstanceIds",),
    "ec2:CreateSnapshots": ("InstanceSpecification",),
    "ec2:DeleteSnapshot": ("SnapshotId",),
    "ec2:CreateVolume": ("ClientToken",),
    "ec2:DeleteVolume": ("VolumeId",),
    "ec2:AttachVolume": ("VolumeId", "InstanceId"),
    "ec2:DetachVolume": ("VolumeId",),
    "ec2:CreateTags": ("Resources",),
    "ec2:DeleteTags": ("Resources",),
    "ebs:StartSnapshot": ("ClientToken",),
    "ebs:CompleteSnapshot": ("SnapshotId",),
    "iam:CreateRole": ("RoleName",),
    "iam:PutRolePolicy": ("RoleName",),
    "iam:DeleteRolePolicy": ("RoleName",),
    "iam:DeleteRole": ("RoleName",),
    "iam:CreateInstanceProfile": ("InstanceProfileName",),
    "iam:AddRoleToInstanceProfile": ("InstanceProfileName", "RoleName"),
    "iam:RemoveRoleFromInstanceProfile": ("InstanceProfileName", "RoleName"),
    "iam:DeleteInstanceProfile": ("InstanceProfileName",),
    "s3:PutObject": ("Key",),
    "s3:DeleteObject": ("Key",),
}


def targets(call: Call) -> tuple[str, ...]:
    """Return the names of what the call makes or removes; empty for a call that does neither."""
    found: list[str] = []
    for parameter in _NAMED_BY.get(call.name, ()):
        value = call.parameters.get(parameter)
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, list):
            found += [one for one in value if isinstance(one, str)]
        elif isinstance(value, dict):
            found += [one for one in value.values() if isinstance(one, str)]
    return tuple(found)
