"""What workers may do, whose temporary or pre-configured role or whose account's data role it is."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator import tags
from orchestrator.policies.ebs import SNAPSHOTS, keys_through
from orchestrator.policies.repositories import (
    Place,
    Use,
    archive_statements,
    folder,
    removal,
    repository_statements,
)
from orchestrator.statements import MANAGED_LIMIT, Document, allow, checked, document

#: What reading files out of a snapshot takes.
READ_FILES = ["ebs:ListSnapshotBlocks", "ebs:GetSnapshotBlock"]
_READ_BLOCKS = ["ebs:ListSnapshotBlocks", "ebs:ListChangedBlocks", "ebs:GetSnapshotBlock"]
_WRITE_BLOCKS = ["ebs:PutSnapshotBlock", "ebs:CompleteSnapshot"]
#: Where workers write restored files in the control bucket: a lifecycle rule there lets them expire.
RESTORED = "restored/"
#: Roles of other accounts that a permissions boundary names one by one.
_MANY_ROLES = 40


def own_orders(bucket: str) -> list[Document]:
    """Return what a worker may do with its own order, stop, result, requests and answers, which are named after it."""
    place = f"arn:aws:s3:::{bucket}/orders/*/${{aws:userid}}"
    read = [f"{place}.json", f"{place}.stop", f"{place}.result.json", f"{place}.ask/*"]
    return [
        allow("OwnOrder", ["s3:GetObject"], read),
        allow("OwnResult", ["s3:PutObject"], [f"{place}.result.json", f"{place}.answer/*"]),
    ]


def own_files(bucket: str, session: str = "*") -> Document:
    """Return the right to write restored files into the folder named after the worker, and to give up half of one."""
    place = f"arn:aws:s3:::{bucket}/{RESTORED}{session}/${{aws:userid}}/*"
    return allow("OwnFiles", ["s3:PutObject", "s3:AbortMultipartUpload"], [place])


def _blocks(install: str, *, session: str | None = None) -> list[Document]:
    condition = {"StringEquals": {f"aws:ResourceTag/{tags.INSTALL}": install}}
    if session is not None:
        condition["StringEquals"][f"aws:ResourceTag/{tags.SESSION}"] = session
    return [
        allow("Blocks", [*_READ_BLOCKS, *_WRITE_BLOCKS], [SNAPSHOTS], condition),
        keys_through("BlockKeys", "kms:Decrypt"),
    ]


def file_blocks(install: str) -> Document:
    """Return the right to read blocks of snapshots that their owner has marked for looking into."""
    condition = {"StringEquals": {f"aws:ResourceTag/{tags.FILES}": install}}
    return allow("FileBlocks", READ_FILES, [SNAPSHOTS], condition)


def _bases(install: str) -> Document:
    """Return the right to ask what has changed since an earlier backup, whose blocks themselves stay closed."""
    condition = {
        "StringEquals": {f"aws:ResourceTag/{tags.INSTALL}": install},
        "StringLike": {f"aws:ResourceTag/{tags.POINT}": "rp-*"},
    }
    return allow("Bases", ["ebs:ListChangedBlocks"], [SNAPSHOTS], condition)


def temporary_role(
    *,
    install: str,
    session: str,
    control_bucket: str,
    report_queue_arn: str,
    repository: Place | None,
    roles: Sequence[str],
    use: Use = Use.WRITE,
    archive: Place | None = None,
    archive_use: Use = Use.ARCHIVE,
    has_blocks: bool = True,
    compares: bool = False,
    gives_files: bool = False,
    reads_files: bool = False,
) -> Document:
    """Policy of a session's temporary role.

    Its own orders, the report queue, blocks of this session's snapshots in its own account (`has_blocks`), the right to
    ask what has changed since an earlier backup's (`compares`), to write restored files (`gives_files`), blocks of
    marked snapshots in its own account (`reads_files`), the repository when it is in the same account for what the
    session does in it, its `archive` likewise, and exactly the data and repository `roles` of the session.
    """
    return checked(
        document(
            *own_orders(control_bucket),
            allow("Reports", ["sqs:SendMessage"], [report_queue_arn]),
            *(_blocks(install, session=session) if has_blocks else []),
            _bases(install) if compares else None,
            own_files(control_bucket, session) if gives_files else None,
            *([file_blocks(install), keys_through("FileKeys", "kms:Decrypt")] if reads_files else []),
            *(repository_statements(*repository, use=use) if repository is not None else []),
            *archive_statements(archive, archive_use, beside=use if repository is not None else None),
            allow("OtherAccounts", ["sts:AssumeRole"], sorted(set(roles))) if roles else None,
        )
    )


def worker_role(
    *,
    install: str,
    control_bucket: str,
    report_queue_arn: str,
    repository: Place | None,
    repository_role_arn: str | None,
    archive: Place | None = None,
) -> Document:
    """Policy of a production account's own worker role: as the temporary one, over all snapshots of this install."""
    return checked(
        document(
            *own_orders(control_bucket),
            allow("Reports", ["sqs:SendMessage"], [report_queue_arn]),
            *_blocks(install),
            *(repository_statements(*repository) if repository is not None else []),
            *archive_statements(archive, Use.READ, beside=Use.WRITE if repository is not None else None),
            allow("Repository", ["sts:AssumeRole"], [repository_role_arn]) if repository_role_arn else None,
        )
    )


def data_role(install: str) -> Document:
    """Policy of an account's data role: blocks of snapshots with this install's tag, and of those marked for it."""
    return checked(document(*_blocks(install), file_blocks(install)))


def temporary_boundary(
    *,
    install: str,
    control_bucket: str,
    report_queue_arn: str,
    repositories: Sequence[Place],
    roles: Sequence[str],
    archives: Sequence[Place] = (),
) -> Document:
    """Permissions boundary of all temporary roles: what any session's role may ever need, whatever made it asks for.

    `repositories` and `archives` are those in the backup account as (bucket, prefix, key ARN), `roles` the data and
    repository roles of all accounts; many of one name become a pattern over accounts, for a managed policy is short.
    Whom a data role lets in is said by its own trust.
    """
    everything = [*repositories, *archives]
    bases = [_base(bucket, prefix) for bucket, prefix, _ in everything]
    archived = [f"{_base(bucket, prefix)}packs/*" for bucket, prefix, _ in archives]
    kept = (
        [
            allow("RepositoryObjects", ["s3:GetObject", "s3:PutObject"], [f"{base}*" for base in bases]),
            allow("ArchiveParts", ["s3:AbortMultipartUpload"], archived) if archived else None,
            removal(bases[: len(repositories)]),
            allow("RepositoryList", ["s3:ListBucket"], sorted({f"arn:aws:s3:::{one[0]}" for one in everything})),
            allow("RepositoryKeys", ["kms:GenerateDataKey", "kms:Decrypt"], sorted({one[2] for one in everything})),
        ]
        if repositories
        else []
    )
    return checked(
        document(
            *own_orders(control_bucket),
            allow("Reports", ["sqs:SendMessage"], [report_queue_arn]),
            own_files(control_bucket),
            *_blocks(install),
            file_blocks(install),
            *kept,
            allow("OtherAccounts", ["sts:AssumeRole"], _gathered(roles)) if roles else None,
        ),
        limit=MANAGED_LIMIT,
    )


def _base(bucket: str, prefix: str) -> str:
    return f"arn:aws:s3:::{bucket}/{folder(prefix)}"


def _gathered(roles: Sequence[str]) -> list[str]:
    """Return role ARNs, or patterns over all accounts when there are many."""
    found = sorted(set(roles))
    if len(found) <= _MANY_ROLES:
        return found
    return sorted({f"arn:aws:iam::*:{arn.split(':', 5)[5]}" for arn in found})
