"""What whoever reaches a repository may do in it, by what it is there for."""

from __future__ import annotations

from enum import StrEnum

from orchestrator.statements import Document, allow, checked, document

#: A repository as (bucket, prefix, ARN of its key).
Place = tuple[str, str, str]

#: Everything that retention removes. What opens the rest (`keys/`, `repo.json`) is not there.
_REMOVED = ("damage/", "forward/", "gc/", "index/", "lease/", "map/", "packs/", "rp/")
#: What retention writes: packs and index of what it packs anew, its marks and notes.
_KEPT = ("forward/", "gc/", "index/", "lease/", "owner.json", "packs/")
#: What a health check writes: what it has found, and index rows that were lost.
_CHECKED = ("damage/", "index/", "owner.json")


class Use(StrEnum):
    """What a worker does in a repository.

    Writing adds objects and deletes nothing but its own leases. Checking reads everything and writes down what it has
    found. Keeping deletes: it is for retention alone.
    """

    WRITE = "write"
    READ = "read"
    CHECK = "check"
    KEEP = "keep"


def folder(prefix: str) -> str:
    """Return a prefix as the beginning of its keys: a repository `main` has nothing to do with one called `mainly`."""
    return f"{prefix.strip('/')}/" if prefix.strip("/") else ""


def repository_statements(
    bucket: str, prefix: str, key: str, *, use: Use = Use.WRITE, label: str = "Repository"
) -> list[Document]:
    """Return what a use of a repository needs. `label` begins the statements' names."""
    prefix = folder(prefix)
    base = f"arn:aws:s3:::{bucket}/{prefix}"
    is_writer = use is Use.WRITE
    return [
        allow(f"{label}Objects", ["s3:GetObject", "s3:PutObject"] if is_writer else ["s3:GetObject"], [f"{base}*"]),
        *_own(use, base, label),
        allow(
            f"{label}List", ["s3:ListBucket"], [f"arn:aws:s3:::{bucket}"], {"StringLike": {"s3:prefix": f"{prefix}*"}}
        ),
        allow(f"{label}Key", ["kms:GenerateDataKey", "kms:Decrypt"] if is_writer else ["kms:Decrypt"], [key]),
    ]


def _own(use: Use, base: str, label: str) -> list[Document]:
    if use is Use.WRITE:
        return [allow(f"{label}Leases", ["s3:DeleteObject"], [f"{base}lease/*"])]
    if use is Use.CHECK:
        return [allow(f"{label}Findings", ["s3:PutObject"], _below(base, _CHECKED))]
    if use is Use.KEEP:
        return [
            allow(f"{label}Keeping", ["s3:PutObject"], _below(base, _KEPT)),
            allow(f"{label}Removal", ["s3:DeleteObject"], _below(base, _REMOVED)),
        ]
    return []


def removal(bases: list[str]) -> Document:
    """Return what retention may remove below these beginnings of object ARNs, for a boundary."""
    return allow("RepositoryRemoval", ["s3:DeleteObject"], [one for base in bases for one in _below(base, _REMOVED)])


def _below(base: str, names: tuple[str, ...]) -> list[str]:
    return [f"{base}{name}*" if name.endswith("/") else f"{base}{name}" for name in names]


def repository_role(bucket: str, prefix: str, key: str) -> Document:
    """Policy of the role by which workers of other accounts reach a repository. It deletes nothing but leases."""
    return checked(document(*repository_statements(bucket, prefix, key)))


def repository_keeper(bucket: str, prefix: str, key: str) -> Document:
    """Policy of the role by which retention reaches a repository of another account: the only one that deletes."""
    return checked(document(*repository_statements(bucket, prefix, key, use=Use.KEEP)))


def repository_reader(bucket: str, prefix: str, key: str) -> Document:
    """Policy of the role by which the control plane reads what restore points there are: their heads, and no block.

    The key opens the heads; without packs and maps there is nothing else that it could open.
    """
    prefix = folder(prefix)
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
