"""What the roles may do that the control plane assumes: worker deployment, backup, restore."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator import tags
from orchestrator.policies.ebs import SNAPSHOTS, keys_through
from orchestrator.policies.workers import READ_FILES, own_files, own_orders
from orchestrator.statements import Document, allow, checked, document, prove, prove_trust, see

_VOLUMES = "arn:aws:ec2:*:*:volume/*"
#: What a launch makes and tags.
_LAUNCHED = tuple(f"arn:aws:ec2:*:*:{kind}/*" for kind in ("instance", "volume", "network-interface"))

#: What every deploying role looks at: its workers, where they may stand, on what, and how many.
_DEPLOYING = (
    "ec2:DescribeInstances",
    "ec2:DescribeInstanceTypeOfferings",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeNatGateways",
    "ec2:DescribeRouteTables",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcEndpoints",
    "ec2:DescribeVpcs",
)
#: vCPUs of running on-demand instances of the standard families; RunInstances calls at once, and each second.
_QUOTAS = [f"arn:aws:servicequotas:*:*:ec2/{code}" for code in ("L-1216C47A", "L-8EEB235C", "L-A2D70E6C")]


def looking(*more: str, deploys: bool = True) -> list[Document]:
    """Return what a role looks at: `more`, and what every deploying role does."""
    if not deploys:
        return [see(*more)]
    return [
        see(*_DEPLOYING, *more),
        allow("SeeNames", ["ec2:DescribeVpcAttribute"], ["arn:aws:ec2:*:*:vpc/*"]),
        allow("SeeQuota", ["servicequotas:GetServiceQuota"], _QUOTAS),
    ]


def _launching(install: str, passed: Sequence[str]) -> list[Document]:
    tagged = {"StringEquals": {f"aws:RequestTag/{tags.INSTALL}": install}}
    ours = {"StringEquals": {f"aws:ResourceTag/{tags.INSTALL}": install}}
    return [
        allow(
            "LaunchInto",
            ["ec2:RunInstances"],
            [f"arn:aws:ec2:*:*:{kind}/*" for kind in ("subnet", "security-group")] + ["arn:aws:ec2:*::image/*"],
        ),
        allow(
            "LaunchTagged",
            ["ec2:RunInstances"],
            [f"arn:aws:ec2:*:*:{kind}/*" for kind in ("volume", "network-interface")],
            tagged,
        ),
        allow(
            "LaunchWorkers",
            ["ec2:RunInstances"],
            ["arn:aws:ec2:*:*:instance/*"],
            {"StringEquals": {**tagged["StringEquals"], "ec2:MetadataHttpTokens": "required"}},
        ),
        allow(
            "TagAtLaunch",
            ["ec2:CreateTags"],
            _LAUNCHED,
            {"StringEquals": {"ec2:CreateAction": "RunInstances"}},
        ),
        allow("Terminate", ["ec2:TerminateInstances"], ["arn:aws:ec2:*:*:instance/*"], ours),
        allow("ReadConsoles", ["ec2:GetConsoleOutput"], ["arn:aws:ec2:*:*:instance/*"], ours),
        allow("Pass", ["iam:PassRole"], passed, {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}),
    ]


def worker_deployment_role(
    *,
    install: str,
    account: str,
    boundary: str | None,
    own: str | None = None,
    repository_roles: Sequence[str] = (),
) -> Document:
    """Policy of the worker deployment role: the only one that may make and remove roles, and only under our path.

    It may ask IAM for the rights of `own`, the role itself, and of repositories' roles that are in its account.
    """
    path = tags.path_of(install)
    roles, profiles = f"arn:aws:iam::{account}:role{path}*", f"arn:aws:iam::{account}:instance-profile{path}*"
    bounded = {"StringEquals": {"iam:PermissionsBoundary": boundary}} if boundary else None
    return checked(
        document(
            allow("MakeRoles", ["iam:CreateRole", "iam:PutRolePolicy"], [roles], bounded),
            allow("HandleRoles", ["iam:GetRole", "iam:TagRole", "iam:DeleteRole", "iam:DeleteRolePolicy"], [roles]),
            allow(
                "HandleProfiles",
                [
                    "iam:CreateInstanceProfile",
                    "iam:TagInstanceProfile",
                    "iam:GetInstanceProfile",
                    "iam:AddRoleToInstanceProfile",
                    "iam:RemoveRoleFromInstanceProfile",
                    "iam:DeleteInstanceProfile",
                ],
                [profiles],
            ),
            allow("ListByPath", ["iam:ListRoles", "iam:ListInstanceProfiles"], ["*"]),
            *looking("iam:GetAccountSummary"),
            *_launching(install, [roles]),
            prove(own, *repository_roles),
            prove_trust(*repository_roles),
        )
    )


def files_role(*, install: str, own: str, control_bucket: str, report_queue_arn: str) -> Document:
    """Policy of the role that restores files from snapshots: it deploys, and its workers have it as well.

    It reads every snapshot of its account and changes none.
    """
    return checked(
        document(
            *looking("ec2:DescribeSnapshots"),
            finding(own),
            *_launching(install, [own]),
            *own_orders(control_bucket),
            own_files(control_bucket),
            allow("Reports", ["sqs:SendMessage"], [report_queue_arn]),
            allow("FileBlocks", READ_FILES, [SNAPSHOTS]),
            keys_through("FileKeys", "kms:Decrypt"),
            prove(own),
        )
    )


def index_role(*, install: str, worker_role_arn: str, own: str, is_alone: bool = False) -> Document:
    """Policy of a role that indexes EFS file systems. `is_alone`: the role has no other document, and deploys by this.

    The file systems' content is the workers' to read: by the network, through a mount target.
    """
    seeing = allow(
        "SeeFileSystems",
        [
            "elasticfilesystem:DescribeFileSystems",
            "elasticfilesystem:DescribeMountTargets",
            "elasticfilesystem:DescribeMountTargetSecurityGroups",
        ],
        ["arn:aws:elasticfilesystem:*:*:file-system/*"],
    )
    if not is_alone:
        return checked(document(seeing))
    return checked(
        document(
            seeing,
            *looking(),
            finding(worker_role_arn),
            *_launching(install, [worker_role_arn]),
            prove(own, worker_role_arn),
        )
    )


def _dropping(install: str) -> Document:
    ours = {"StringEquals": {f"aws:ResourceTag/{tags.INSTALL}": install}}
    return allow("DropOwnSnapshots", ["ec2:DeleteSnapshot"], [SNAPSHOTS], ours)


def _see_keys() -> Document:
    """Return the right to see which keys volumes have and whom they serve: a plan tells before a session fails."""
    return allow("SeeKeys", ["kms:DescribeKey", "kms:GetKeyPolicy"], ["arn:aws:kms:*:*:key/*"])


def _production(install: str, worker_role_arn: str | None) -> list[Document]:
    return [] if worker_role_arn is None else [finding(worker_role_arn), *_launching(install, [worker_role_arn])]


def finding(worker_role_arn: str) -> Document:
    """Return the right to find a pre-configured worker role and its instance profile."""
    return allow("FindWorkerRole", ["iam:GetRole", "iam:ListInstanceProfilesForRole"], [worker_role_arn])


def backup_role(
    *, install: str, worker_role_arn: str | None, own: str | None = None, data_role_arn: str | None = None
) -> Document:
    """Policy of an account's backup role; with a worker role it also deploys workers there (production mode).

    It may ask IAM for the rights of `own`, the role itself, of the worker role and of the data role.
    """
    return checked(
        document(
            *looking(
                "ec2:DescribeInstances",
                "ec2:DescribeSnapshots",
                "ec2:DescribeVolumes",
                deploys=worker_role_arn is not None,
            ),
            _see_keys(),
            _dropping(install),
            # User data is part of an instance and may be secret: who would not have it in a backup leaves this out.
            allow("ReadUserData", ["ec2:DescribeInstanceAttribute"], ["arn:aws:ec2:*:*:instance/*"]),
            allow("SnapshotVolumes", ["ec2:CreateSnapshots"], ["arn:aws:ec2:*:*:instance/*", _VOLUMES]),
            allow(
                "SnapshotTagged",
                ["ec2:CreateSnapshots"],
                [SNAPSHOTS],
                {"StringEquals": {f"aws:RequestTag/{tags.INSTALL}": install}},
            ),
            allow(
                "TagSnapshots",
                ["ec2:CreateTags"],
                [SNAPSHOTS],
                {"StringEquals": {"ec2:CreateAction": "CreateSnapshots"}},
            ),
            *_production(install, worker_role_arn),
            prove(own, worker_role_arn, data_role_arn) if own else None,
            prove_trust(data_role_arn) if own else None,
        )
    )


def _rebuilding(install: str, *, launches: bool) -> list[Document | None]:
    """Return what makes an instance again: an image over own snapshots, one instance from an own image.

    Only what is marked as being restored can be changed or ended; when the mark is gone, it is its owner's alone. A
    role that `launches` workers may tag what it launches already.
    """
    tagged = {"StringEquals": {f"aws:RequestTag/{tags.INSTALL}": install}}
    ours = {"StringEquals": {f"aws:ResourceTag/{tags.INSTALL}": install}}
    marked = {"StringEquals": {f"aws:RequestTag/{tags.RESTORING}": install}}
    under = {"StringEquals": {f"aws:ResourceTag/{tags.RESTORING}": install}}
    images, instances = "arn:aws:ec2:*::image/*", "arn:aws:ec2:*:*:instance/*"
    return [
        allow("RebuildImages", ["ec2:RegisterImage"], [images], tagged),
        allow("RebuildOfSnapshots", ["ec2:RegisterImage"], [SNAPSHOTS], ours),
        allow(
            "RebuildTagImages",
            ["ec2:CreateTags"],
            [images],
            {"StringEquals": {**tagged["StringEquals"], "ec2:CreateAction": "RegisterImage"}},
        ),
        allow("RebuildFromImages", ["ec2:RunInstances", "ec2:DeregisterImage"], [images], ours),
        allow("RebuildInstances", ["ec2:RunInstances"], [instances, _VOLUMES], marked),
        allow(
            "RebuildInto",
            ["ec2:RunInstances"],
            [f"arn:aws:ec2:*:*:{kind}/*" for kind in ("subnet", "security-group", "network-interface", "key-pair")],
        ),
        None
        if launches
        else allow(
            "RebuildTag",
            ["ec2:CreateTags"],
            [instances, _VOLUMES],
            {"StringEquals": {**marked["StringEquals"], "ec2:CreateAction": "RunInstances"}},
        ),
        allow("RebuildTagVolumes", ["ec2:CreateTags"], [_VOLUMES], under),
        allow("RebuildComplete", ["ec2:ModifyInstanceAttribute", "ec2:StopInstances"], [instances], under),
        allow("RebuildGiveUp", ["ec2:TerminateInstances"], [instances], under),
        allow("RebuildLetGo", ["ec2:DeleteTags"], [instances, _VOLUMES], under),
    ]


def restore_role(
    *, install: str, worker_role_arn: str | None, own: str | None = None, data_role_arn: str | None = None
) -> Document:
    """Policy of an account's restore role; with a worker role it also deploys workers there (production mode).

    It may ask IAM for the rights of the same roles as the backup role.
    """
    tagged = {"StringEquals": {f"aws:RequestTag/{tags.INSTALL}": install}}
    ours = {"StringEquals": {f"aws:ResourceTag/{tags.INSTALL}": install}}
    return checked(
        document(
            *looking(
                "ec2:DescribeImages",
                "ec2:DescribeInstances",
                "ec2:DescribeSnapshots",
                "ec2:DescribeVolumes",
                deploys=worker_role_arn is not None,
            ),
            _see_keys(),
            _dropping(install),
            allow("StartSnapshots", ["ebs:StartSnapshot"], [SNAPSHOTS], tagged),
            # EBS tags what it starts by EC2's CreateTags; AWS documents no key that tells this from other tagging.
            allow("TagStarted", ["ec2:CreateTags"], [SNAPSHOTS], tagged),
            allow("MakeVolumes", ["ec2:CreateVolume"], [_VOLUMES], tagged),
            allow("FromSnapshots", ["ec2:CreateVolume"], [SNAPSHOTS], ours),
            allow(
                "TagVolumes",
                ["ec2:CreateTags"],
                [_VOLUMES],
                {"StringEquals": {**tagged["StringEquals"], "ec2:CreateAction": "CreateVolume"}},
            ),
            allow("DropOwnVolumes", ["ec2:DeleteVolume"], [_VOLUMES], ours),
            allow("AttachOwn", ["ec2:AttachVolume"], [_VOLUMES], ours),
            allow("AttachTo", ["ec2:AttachVolume"], ["arn:aws:ec2:*:*:instance/*"]),
            keys_through(
                "VolumeKeys",
                "kms:Decrypt",
                "kms:GenerateDataKeyWithoutPlaintext",
                "kms:ReEncryptFrom",
                "kms:ReEncryptTo",
                "kms:CreateGrant",
            ),
            *_rebuilding(install, launches=worker_role_arn is not None),
            *_production(install, worker_role_arn),
            prove(own, worker_role_arn, data_role_arn) if own else None,
            prove_trust(data_role_arn) if own else None,
        )
    )
