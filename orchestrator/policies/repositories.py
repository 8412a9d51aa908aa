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
    found. Keeping deletes: it is for retention alone. Archiving adds objects, whose parts may be given up, and deletes
    nothing at all.
    """

    WRITE = "write"
    READ = "read"
    CHECK = "check"
    KEEP = "keep"
    ARCHIVE = "archive"


#: What a use does with all objects, where it is more than reading them.
_OBJECTS = {
    Use.WRITE: ("s3:GetObject", "s3:PutObject"),
    Use.ARCHIVE: ("s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"),
}


def folder(prefix: str) -> str:
    """Return a prefix as the beginning of its keys: a repository `main` has nothing to do with one called `mainly`."""
    return f"{prefix.strip('/')}/" if prefix.strip("/") else ""


def repository_statements(bucket: str, prefix: str, key: str, *, use: Use = Use.WRITE) -> list[Document]:
    """Return what a use of a repository needs."""
    return [*_objects(bucket, prefix, use, "Repository"), allow("RepositoryKey", list(_keys(use)), [key])]


def archive_statements(archive: Place | None, use: Use, *, beside: Use | None = None) -> list[Document]:
    """Return what a use of a repository's archive needs; nothing when there is none.

    `beside` is the use of the repository itself that stands in the same document: both have one key.
    """
    if archive is None:
        return []
    bucket, prefix, key = archive
    known = () if beside is None else _keys(beside)
    keys = [one for one in _keys(use) if one not in known]
    return [*_objects(bucket, prefix, use, "Archive"), *([allow("ArchiveKey", keys, [key])] if keys else [])]


def _keys(use: Use) -> tuple[str, ...]:
    return ("kms:GenerateDataKey", "kms:Decrypt") if use in (Use.WRITE, Use.ARCHIVE) else ("kms:Decrypt",)


def _objects(bucket: str, prefix: str, use: Use, label: str) -> list[Document]:
    prefix = folder(prefix)
    base, listed = f"arn:aws:s3:::{bucket}/{prefix}", {"StringLike": {"s3:prefix": f"{prefix}*"}}
    return [
        allow(f"{label}Objects", [*_OBJECTS.get(use, ("s3:GetObject",))], [f"{base}*"]),
        *_own(use, base, label),
        allow(f"{label}List", ["s3:ListBucket"], [f"arn:aws:s3:::{bucket}"], listed),
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


def repository_role(bucket: str, prefix: str, key: str, *, archive: Place | None = None) -> Document:
    """Policy of the role by which workers of other accounts reach a repository and its archive.

    It deletes nothing but leases of the repository.
    """
    archived = archive_statements(archive, Use.ARCHIVE, beside=Use.WRITE)
    return checked(document(*repository_statements(bucket, prefix, key), *archived))


def repository_keeper(bucket: str, prefix: str, key: str) -> Document:
    """Policy of the role by which retention reaches a repository of another account: the only one that deletes."""
    return checked(document(*repository_statements(bucket, prefix, key, use=Use.KEEP)))


def repository_opener(bucket: str, prefix: str, key: str, *, archive: Place | None = None) -> Document:
    """Policy of the role by which whoever runs the command line opens restore points: it reads every block of them."""
    archived = archive_statements(archive, Use.READ, beside=Use.READ)
    return checked(document(*repository_statements(bucket, prefix, key, use=Use.READ), *archived))


def repository_reader(bucket: str, prefix: str, key: str, *, archive: Place | None = None) -> Document:
    """Policy of the role by which the control plane reads what restore points there are, and no block of them.

    It sees heads and what health checks have found. The key opens these; without packs and maps there is nothing else
    that it could open. Packs of the `archive` it may list, with their state, and have retrieved: that makes them
    readable for those who may read them.
    """
    return checked(
        document(
            *_heads(bucket, prefix, "", "damage"),
            allow("OpenHeads", ["kms:Decrypt"], [key]),
            *([] if archive is None else _asking(*archive)),
        )
    )


def _heads(bucket: str, prefix: str, label: str = "", *more: str) -> list[Document]:
    prefix = folder(prefix)
    base = f"arn:aws:s3:::{bucket}/{prefix}"
    found = [f"{base}damage/*"] if "damage" in more else []
    return [
        allow(f"Read{label}Heads", ["s3:GetObject"], [f"{base}repo.json", f"{base}keys/*", f"{base}rp/*", *found]),
        allow(
            f"List{label}Heads",
            ["s3:ListBucket"],
            [f"arn:aws:s3:::{bucket}"],
            {"StringLike": {"s3:prefix": [f"{prefix}{one}/*" for one in ("keys", "rp", *more)]}},
        ),
    ]


def _asking(bucket: str, prefix: str, key: str) -> list[Document]:
    packs = f"arn:aws:s3:::{bucket}/{folder(prefix)}packs/*"
    del key  # the archive's is the repository's
    return [*_heads(bucket, prefix, "Archived", "packs"), allow("Retrieve", ["s3:RestoreObject"], [packs])]
