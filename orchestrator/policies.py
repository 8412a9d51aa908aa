"""IAM documents, as pure functions: who may assume a role, and the least it needs.

Every statement is limited by resource, by this install's tag or by this install's path wherever AWS allows it.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator import tags
from orchestrator.statements import (
    MANAGED_LIMIT,
    TRUST_LIMIT,
    Document,
    allow,
    checked,
    document,
    prove,
    prove_trust,
    see,
)

#: Where the control bucket remembers how old the newest ledger was (`orchestrator.ledger.marks`).
EPOCH_KEY = "ledger/epoch"

#: Where it keeps copies of the ledger (`orchestrator.backup_store`).
BACKUP_PREFIX = "ledger/backups/"

_READ_BLOCKS = ["ebs:ListSnapshotBlocks", "ebs:ListChangedBlocks", "ebs:GetSnapshotBlock"]
_WRITE_BLOCKS = ["ebs:PutSnapshotBlock", "ebs:CompleteSnapshot"]
_SNAPSHOTS = "arn:aws:ec2:*::snapshot/*"
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
#: Roles of other accounts that a permissions boundary names one by one.
_MANY_ROLES = 40
#: vCPUs of running on-demand instances of the standard families.
_QUOTA = "arn:aws:servicequotas:*:*:ec2/L-1216C47A"


# --- trust --------------------------------------------------------------------------------------------------------


def ec2_trust() -> Document:
    """Trust of every role that is attached to workers: EC2 alone, so nobody else can choose the session's name."""
    return document({"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"})


def operation_trust(control_plane: str, external_id: str | None) -> Document:
    """Trust of backup, restore and worker deployment roles: the control plane's principal, with the external id."""
    statement: Document = {"Effect": "Allow", "Principal": {"AWS": control_plane}, "Action": "sts:AssumeRole"}
    if external_id is not None:
        statement["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
    return document(statement)


def worker_trust(account: str, role_pattern: str) -> Document:
    """Trust of data and repository roles: workers' roles of `account` whose ARN matches `role_pattern`."""
    return document(
        {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
            "Action": "sts:AssumeRole",
            "Condition": {"ArnLike": {"aws:PrincipalArn": role_pattern}},
        }
    )


def workers_trust(patterns: Sequence[tuple[str, str]]) -> Document:
    """Trust of a role that workers of several accounts reach: (account, role ARN pattern) each.

    Accounts whose pattern differs in nothing but the account share a statement: a trust policy is short. Raises
    `WrongRequest` when it is longer than AWS takes all the same.
    """
    alike: dict[str, list[str]] = {}
    for account, pattern in patterns:
        alike.setdefault(pattern.replace(f":{account}:", ":*:"), []).append(account)
    return checked(
        document(
            *[
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": [f"arn:aws:iam::{account}:root" for account in sorted(set(accounts))]},
                    "Action": "sts:AssumeRole",
                    "Condition": {"ArnLike": {"aws:PrincipalArn": pattern}},
                }
                for pattern, accounts in alike.items()
            ]
        ),
        limit=TRUST_LIMIT,
    )


# --- what workers may do ------------------------------------------------------------------------------------------


def own_orders(bucket: str) -> list[Document]:
    """Return what a worker may do with its own order, stop and result, which are named after it."""
    place = f"arn:aws:s3:::{bucket}/orders/*/${{aws:userid}}"
    return [
        allow("OwnOrder", ["s3:GetObject"], [f"{place}.json", f"{place}.stop", f"{place}.result.json"]),
        allow("OwnResult", ["s3:PutObject"], [f"{place}.result.json"]),
    ]


def repository_statements(bucket: str, prefix: str, key: str) -> list[Document]:
    """Return what a writer of a repository needs. Nothing in it can delete, but for its own leases."""
    prefix = _folder(prefix)
    base = f"arn:aws:s3:::{bucket}/{prefix}"
    return [
        allow("RepositoryObjects", ["s3:GetObject", "s3:PutObject"], [f"{base}*"]),
        allow("RepositoryLeases", ["s3:DeleteObject"], [f"{base}lease/*"]),
        allow(
            "RepositoryList", ["s3:ListBucket"], [f"arn:aws:s3:::{bucket}"], {"StringLike": {"s3:prefix": f"{prefix}*"}}
        ),
        allow("RepositoryKey", ["kms:GenerateDataKey", "kms:Decrypt"], [key]),
    ]


def repository_role(bucket: str, prefix: str, key: str) -> Document:
    """Policy of the role by which workers of other accounts reach a repository."""
    return checked(document(*repository_statements(bucket, prefix, key)))


def repository_reader(bucket: str, prefix: str, key: str) -> Document:
    """Policy of the role by which the control plane reads what restore points there are: their heads, and no block.

    The key opens the heads; without packs and maps there is nothing else that it could open.
    """
    prefix = _folder(prefix)
    base = f"arn:aws:s3:::{bucket}/{prefix}"
    return checked(
        document(
            allow("ReadHeads", ["s3:GetObject"], [f"{base}repo.json", f"{base}keys/*", f"{base}rp/*"]),
            allow(
                "ListHeads",
                ["s3:ListBucket"],
                [f"arn:aws:s3:::{bucket}"],
                {"StringLike": {"s3:prefix": [f"{prefix}keys/*", f"{prefix}rp/*"]}},
            ),
            allow("OpenHeads", ["kms:Decrypt"], [key]),
        )
    )


def _folder(prefix: str) -> str:
    """Return a prefix as the beginning of its keys: a repository `main` has nothing to do with one called `mainly`."""
    return f"{prefix.strip('/')}/" if prefix.strip("/") else ""


def _keys_through(sid: str, *actions: str) -> Document:
    """Return the use of customers' own keys, through EBS alone. The key's policy must allow it as well."""
    through = {"StringLike": {"kms:ViaService": ["ec2.*.amazonaws.com", "ebs.*.amazonaws.com"]}}
    return allow(sid, actions, ["arn:aws:kms:*:*:key/*"], through)


def _blocks(install: str, *, session: str | None = None) -> list[Document]:
    condition = {"StringEquals": {f"aws:ResourceTag/{tags.INSTALL}": install}}
    if session is not None:
        condition["StringEquals"][f"aws:ResourceTag/{tags.SESSION}"] = session
    return [
        allow("Blocks", [*_READ_BLOCKS, *_WRITE_BLOCKS], [_SNAPSHOTS], condition),
        _keys_through("BlockKeys", "kms:Decrypt"),
    ]


def temporary_role(
    *,
    install: str,
    session: str,
    control_bucket: str,
    report_queue_arn: str,
    repository: tuple[str, str, str] | None,
    roles: Sequence[str],
) -> Document:
    """Policy of a session's temporary role.

    Its own orders, the report queue, blocks of this session's snapshots in its own account, the repository as (bucket,
    prefix, key ARN) when it is in the same account, and exactly the data and repository `roles` of the session.
    """
    return checked(
        document(
            *own_orders(control_bucket),
            allow("Reports", ["sqs:SendMessage"], [report_queue_arn]),
            *_blocks(install, session=session),
            *(repository_statements(*repository) if repository is not None else []),
            allow("OtherAccounts", ["sts:AssumeRole"], sorted(set(roles))) if roles else None,
        )
    )


def worker_role(
    *,
    install: str,
    control_bucket: str,
    report_queue_arn: str,
    repository: tuple[str, str, str] | None,
    repository_role_arn: str | None,
) -> Document:
    """Policy of a production account's own worker role: as the temporary one, over all snapshots of this install."""
    return checked(
        document(
            *own_orders(control_bucket),
            allow("Reports", ["sqs:SendMessage"], [report_queue_arn]),
            *_blocks(install),
            *(repository_statements(*repository) if repository is not None else []),
            allow("Repository", ["sts:AssumeRole"], [repository_role_arn]) if repository_role_arn else None,
        )
    )


def data_role(install: str) -> Document:
    """Policy of an account's data role: blocks of snapshots with this install's tag, nothing else."""
    return checked(document(*_blocks(install)))


# --- what the control plane's roles may do ------------------------------------------------------------------------


def looking(*more: str, deploys: bool = True) -> list[Document]:
    """Return what a role looks at: `more`, and what every deploying role does."""
    if not deploys:
        return [see(*more)]
    return [
        see(*_DEPLOYING, *more),
        allow("SeeNames", ["ec2:DescribeVpcAttribute"], ["arn:aws:ec2:*:*:vpc/*"]),
        allow("SeeQuota", ["servicequotas:GetServiceQuota"], [_QUOTA]),
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


def temporary_boundary(
    *,
    install: str,
    control_bucket: str,
    report_queue_arn: str,
    repositories: Sequence[tuple[str, str, str]],
    roles: Sequence[str],
) -> Document:
    """Permissions boundary of all temporary roles: what any session's role may ever need, whatever made it asks for.

    `repositories` are those in the backup account as (bucket, prefix, key ARN), `roles` the data and repository roles
    of all accounts; many of one name become a pattern over accounts, for a managed policy is short. Whom a data role
    lets in is said by its own trust.
    """
    bases = [f"arn:aws:s3:::{bucket}/{prefix}" for bucket, prefix, _ in repositories]
    buckets = [f"arn:aws:s3:::{bucket}" for bucket, _, _ in repositories]
    kept = (
        [
            allow("RepositoryObjects", ["s3:GetObject", "s3:PutObject"], [f"{base}*" for base in bases]),
            allow("RepositoryLeases", ["s3:DeleteObject"], [f"{base}lease/*" for base in bases]),
            allow("RepositoryList", ["s3:ListBucket"], buckets),
            allow("RepositoryKeys", ["kms:GenerateDataKey", "kms:Decrypt"], [key for _, _, key in repositories]),
        ]
        if repositories
        else []
    )
    return checked(
        document(
            *own_orders(control_bucket),
            allow("Reports", ["sqs:SendMessage"], [report_queue_arn]),
            *_blocks(install),
            *kept,
            allow("OtherAccounts", ["sts:AssumeRole"], _gathered(roles)) if roles else None,
        ),
        limit=MANAGED_LIMIT,
    )


def _gathered(roles: Sequence[str]) -> list[str]:
    """Return role ARNs, or patterns over all accounts when there are many."""
    found = sorted(set(roles))
    if len(found) <= _MANY_ROLES:
        return found
    return sorted({f"arn:aws:iam::*:{arn.split(':', 5)[5]}" for arn in found})


def _dropping(install: str) -> Document:
    ours = {"StringEquals": {f"aws:ResourceTag/{tags.INSTALL}": install}}
    return allow("DropOwnSnapshots", ["ec2:DeleteSnapshot"], [_SNAPSHOTS], ours)


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
            allow("SnapshotVolumes", ["ec2:CreateSnapshots"], ["arn:aws:ec2:*:*:instance/*", _VOLUMES]),
            allow(
                "SnapshotTagged",
                ["ec2:CreateSnapshots"],
                [_SNAPSHOTS],
                {"StringEquals": {f"aws:RequestTag/{tags.INSTALL}": install}},
            ),
            allow(
                "TagSnapshots",
                ["ec2:CreateTags"],
                [_SNAPSHOTS],
                {"StringEquals": {"ec2:CreateAction": "CreateSnapshots"}},
            ),
            *_production(install, worker_role_arn),
            prove(own, worker_role_arn, data_role_arn) if own else None,
            prove_trust(data_role_arn) if own else None,
        )
    )


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
                "ec2:DescribeInstances",
                "ec2:DescribeSnapshots",
                "ec2:DescribeVolumes",
                deploys=worker_role_arn is not None,
            ),
            _see_keys(),
            _dropping(install),
            allow("StartSnapshots", ["ebs:StartSnapshot"], [_SNAPSHOTS], tagged),
            # EBS tags what it starts by EC2's CreateTags; AWS documents no key that tells this from other tagging.
            allow("TagStarted", ["ec2:CreateTags"], [_SNAPSHOTS], tagged),
            allow("MakeVolumes", ["ec2:CreateVolume"], [_VOLUMES], tagged),
            allow("FromSnapshots", ["ec2:CreateVolume"], [_SNAPSHOTS], ours),
            allow(
                "TagVolumes",
                ["ec2:CreateTags"],
                [_VOLUMES],
                {"StringEquals": {**tagged["StringEquals"], "ec2:CreateAction": "CreateVolume"}},
            ),
            allow("DropOwnVolumes", ["ec2:DeleteVolume"], [_VOLUMES], ours),
            allow("AttachOwn", ["ec2:AttachVolume"], [_VOLUMES], ours),
            allow("AttachTo", ["ec2:AttachVolume"], ["arn:aws:ec2:*:*:instance/*"]),
            _keys_through(
                "VolumeKeys",
                "kms:Decrypt",
                "kms:GenerateDataKeyWithoutPlaintext",
                "kms:ReEncryptFrom",
                "kms:ReEncryptTo",
                "kms:CreateGrant",
            ),
            *_production(install, worker_role_arn),
            prove(own, worker_role_arn, data_role_arn) if own else None,
            prove_trust(data_role_arn) if own else None,
        )
    )


def control_plane(
    roles: Sequence[str], *, control_bucket: str, report_queue_arn: str, own: str | None = None
) -> Document:
    """Policy of the control plane's own identity: assume the registered roles, write orders, read reports.

    `own` is the ARN of that identity, so that it may prove its own rights.
    """
    return document(
        allow("Assume", ["sts:AssumeRole"], sorted(roles)) if roles else None,
        allow(
            "Orders", ["s3:PutObject", "s3:GetObject", "s3:DeleteObject"], [f"arn:aws:s3:::{control_bucket}/orders/*"]
        ),
        allow("Epoch", ["s3:PutObject", "s3:GetObject"], [f"arn:aws:s3:::{control_bucket}/{EPOCH_KEY}"]),
        allow(
            "LedgerBackups",
            ["s3:PutObject", "s3:GetObject", "s3:DeleteObject"],
            [f"arn:aws:s3:::{control_bucket}/{BACKUP_PREFIX}*"],
        ),
        allow("OrderList", ["s3:ListBucket"], [f"arn:aws:s3:::{control_bucket}"]),
        allow("ProveBucket", ["s3:GetBucketPolicy"], [f"arn:aws:s3:::{control_bucket}"]),
        allow("Reports", ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], [report_queue_arn]),
        prove(own),
    )
