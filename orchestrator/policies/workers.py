"""What workers may do, whose temporary or pre-configured role or whose account's data role it is."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator import tags
from orchestrator.policies.ebs import SNAPSHOTS, keys_through
from orchestrator.statements import MANAGED_LIMIT, Document, allow, checked, document

_READ_BLOCKS = ["ebs:ListSnapshotBlocks", "ebs:ListChangedBlocks", "ebs:GetSnapshotBlock"]
_WRITE_BLOCKS = ["ebs:PutSnapshotBlock", "ebs:CompleteSnapshot"]
#: Roles of other accounts that a permissions boundary names one by one.
_MANY_ROLES = 40


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


def _blocks(install: str, *, session: str | None = None) -> list[Document]:
    condition = {"StringEquals": {f"aws:ResourceTag/{tags.INSTALL}": install}}
    if session is not None:
        condition["StringEquals"][f"aws:ResourceTag/{tags.SESSION}"] = session
    return [
        allow("Blocks", [*_READ_BLOCKS, *_WRITE_BLOCKS], [SNAPSHOTS], condition),
        keys_through("BlockKeys", "kms:Decrypt"),
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
