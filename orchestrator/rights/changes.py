"""What each version of the role documents changed: the permissions changelog, as a program can read it.

A version is never edited once it was published: a new one goes on top. The tests replay all of them and compare the
outcome with the documents of today, so a document cannot change without a line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Change:
    """One version. `added` and `removed` hold actions by purpose; `narrowed` says what got stricter without either."""

    version: int
    date: str
    why: str
    added: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    removed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    narrowed: tuple[str, ...] = ()


CHANGES: Final = (
    Change(
        version=1,
        date="2026-11-25",
        why="the first published documents",
        added={
            "control-plane": (
                "iam:SimulatePrincipalPolicy",
                "s3:DeleteObject",
                "s3:GetBucketPolicy",
                "s3:GetObject",
                "s3:ListBucket",
                "s3:PutObject",
                "sqs:DeleteMessage",
                "sqs:GetQueueAttributes",
                "sqs:ReceiveMessage",
                "sts:AssumeRole",
            ),
            "worker-deployment": (
                "ec2:CreateTags",
                "ec2:DescribeInstanceTypeOfferings",
                "ec2:DescribeInstanceTypes",
                "ec2:DescribeInstances",
                "ec2:DescribeNatGateways",
                "ec2:DescribeRouteTables",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcAttribute",
                "ec2:DescribeVpcEndpoints",
                "ec2:DescribeVpcs",
                "ec2:GetConsoleOutput",
                "ec2:RunInstances",
                "ec2:TerminateInstances",
                "iam:AddRoleToInstanceProfile",
                "iam:CreateInstanceProfile",
                "iam:CreateRole",
                "iam:DeleteInstanceProfile",
                "iam:DeleteRole",
                "iam:DeleteRolePolicy",
                "iam:GetAccountSummary",
                "iam:GetInstanceProfile",
                "iam:GetRole",
                "iam:ListInstanceProfiles",
                "iam:ListRoles",
                "iam:PassRole",
                "iam:PutRolePolicy",
                "iam:RemoveRoleFromInstanceProfile",
                "iam:SimulatePrincipalPolicy",
                "iam:TagInstanceProfile",
                "iam:TagRole",
                "servicequotas:GetServiceQuota",
            ),
            "temporary-worker": (
                "ebs:CompleteSnapshot",
                "ebs:GetSnapshotBlock",
                "ebs:ListChangedBlocks",
                "ebs:ListSnapshotBlocks",
                "ebs:PutSnapshotBlock",
                "kms:Decrypt",
                "kms:GenerateDataKey",
                "s3:DeleteObject",
                "s3:GetObject",
                "s3:ListBucket",
                "s3:PutObject",
                "sqs:SendMessage",
                "sts:AssumeRole",
            ),
            "temporary-boundary": (
                "ebs:CompleteSnapshot",
                "ebs:GetSnapshotBlock",
                "ebs:ListChangedBlocks",
                "ebs:ListSnapshotBlocks",
                "ebs:PutSnapshotBlock",
                "kms:Decrypt",
                "kms:GenerateDataKey",
                "s3:DeleteObject",
                "s3:GetObject",
                "s3:ListBucket",
                "s3:PutObject",
                "sqs:SendMessage",
                "sts:AssumeRole",
            ),
            "worker": (
                "ebs:CompleteSnapshot",
                "ebs:GetSnapshotBlock",
                "ebs:ListChangedBlocks",
                "ebs:ListSnapshotBlocks",
                "ebs:PutSnapshotBlock",
                "kms:Decrypt",
                "s3:GetObject",
                "s3:PutObject",
                "sqs:SendMessage",
                "sts:AssumeRole",
            ),
            "files": (
                "ec2:DescribeInstanceTypeOfferings",
                "ec2:DescribeInstanceTypes",
                "ec2:DescribeInstances",
                "ec2:DescribeNatGateways",
                "ec2:DescribeRouteTables",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSnapshots",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcAttribute",
                "ec2:DescribeVpcEndpoints",
                "ec2:DescribeVpcs",
                "iam:GetRole",
                "iam:ListInstanceProfilesForRole",
                "iam:SimulatePrincipalPolicy",
                "servicequotas:GetServiceQuota",
            ),
            "backup-ec2": (
                "ec2:CreateSnapshots",
                "ec2:CreateTags",
                "ec2:DeleteSnapshot",
                "ec2:DescribeInstanceTypeOfferings",
                "ec2:DescribeInstanceTypes",
                "ec2:DescribeInstances",
                "ec2:DescribeNatGateways",
                "ec2:DescribeRouteTables",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSnapshots",
                "ec2:DescribeSubnets",
                "ec2:DescribeVolumes",
                "ec2:DescribeVpcAttribute",
                "ec2:DescribeVpcEndpoints",
                "ec2:DescribeVpcs",
                "ec2:GetConsoleOutput",
                "ec2:RunInstances",
                "ec2:TerminateInstances",
                "iam:GetRole",
                "iam:ListInstanceProfilesForRole",
                "iam:PassRole",
                "iam:SimulatePrincipalPolicy",
                "kms:DescribeKey",
                "kms:GetKeyPolicy",
                "servicequotas:GetServiceQuota",
            ),
            "backup-rds": ("rds:DescribeDBInstances",),
            "backup-efs": (
                "elasticfilesystem:DescribeFileSystems",
                "elasticfilesystem:DescribeMountTargetSecurityGroups",
                "elasticfilesystem:DescribeMountTargets",
            ),
            "restore-ec2": (
                "ebs:StartSnapshot",
                "ec2:AttachVolume",
                "ec2:CreateTags",
                "ec2:CreateVolume",
                "ec2:DeleteSnapshot",
                "ec2:DeleteVolume",
                "ec2:DescribeInstanceTypeOfferings",
                "ec2:DescribeInstanceTypes",
                "ec2:DescribeInstances",
                "ec2:DescribeNatGateways",
                "ec2:DescribeRouteTables",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSnapshots",
                "ec2:DescribeSubnets",
                "ec2:DescribeVolumes",
                "ec2:DescribeVpcAttribute",
                "ec2:DescribeVpcEndpoints",
                "ec2:DescribeVpcs",
                "ec2:GetConsoleOutput",
                "ec2:RunInstances",
                "ec2:TerminateInstances",
                "iam:GetRole",
                "iam:ListInstanceProfilesForRole",
                "iam:PassRole",
                "iam:SimulatePrincipalPolicy",
                "kms:CreateGrant",
                "kms:Decrypt",
                "kms:DescribeKey",
                "kms:GenerateDataKeyWithoutPlaintext",
                "kms:GetKeyPolicy",
                "kms:ReEncryptFrom",
                "kms:ReEncryptTo",
                "servicequotas:GetServiceQuota",
            ),
            "restore-rds": ("rds:DescribeDBInstances",),
            "data": (
                "ebs:CompleteSnapshot",
                "ebs:GetSnapshotBlock",
                "ebs:ListChangedBlocks",
                "ebs:ListSnapshotBlocks",
                "ebs:PutSnapshotBlock",
                "kms:Decrypt",
            ),
            "repository": (
                "kms:Decrypt",
                "kms:GenerateDataKey",
                "s3:DeleteObject",
                "s3:GetObject",
                "s3:ListBucket",
                "s3:PutObject",
            ),
            "repository-reader": (
                "kms:Decrypt",
                "s3:GetObject",
                "s3:ListBucket",
            ),
            "control-bucket": (
                "s3:GetObject",
                "s3:PutObject",
            ),
            "report-queue": ("sqs:SendMessage",),
        },
    ),
    Change(
        version=2,
        date="2026-11-25",
        why="the rest of the EC2 operations",
        added={
            "backup-ec2": ("ec2:DescribeInstanceAttribute",),
            "restore-ec2": (
                "ec2:DeleteTags",
                "ec2:DeregisterImage",
                "ec2:DescribeImages",
                "ec2:ModifyInstanceAttribute",
                "ec2:RegisterImage",
                "ec2:StopInstances",
            ),
            "repository": ("s3:AbortMultipartUpload",),
            "repository-reader": ("s3:RestoreObject",),
            "temporary-boundary": ("s3:AbortMultipartUpload",),
            "files": (
                "ebs:GetSnapshotBlock",
                "ebs:ListSnapshotBlocks",
                "ec2:CreateTags",
                "ec2:GetConsoleOutput",
                "ec2:RunInstances",
                "ec2:TerminateInstances",
                "iam:PassRole",
                "kms:Decrypt",
                "s3:AbortMultipartUpload",
                "s3:GetObject",
                "s3:PutObject",
                "sqs:SendMessage",
            ),
            "control-bucket": ("s3:AbortMultipartUpload",),
            "repository-opener": ("kms:Decrypt", "s3:GetObject", "s3:ListBucket"),
            "repository-keeper": (
                "kms:Decrypt",
                "s3:DeleteObject",
                "s3:GetObject",
                "s3:ListBucket",
                "s3:PutObject",
            ),
        },
    ),
)
#: The version of the documents of today.
VERSION: Final = CHANGES[-1].version


def actions_of(version: int = VERSION) -> Mapping[str, frozenset[str]]:
    """Return the actions of every purpose as of a version, from the changes alone."""
    found: dict[str, set[str]] = {}
    for change in CHANGES:
        if change.version <= version:
            for purpose, actions in change.added.items():
                found.setdefault(purpose, set()).update(actions)
            for purpose, actions in change.removed.items():
                found.setdefault(purpose, set()).difference_update(actions)
    return MappingProxyType({purpose: frozenset(actions) for purpose, actions in found.items()})
