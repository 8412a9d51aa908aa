"""The policies that moto's roles, users and groups hold, by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from localcloud.policy import Document, parse

Named = tuple[str, Document]


def named_documents(holder: Any) -> Iterator[Named]:
    """Yield the inline and attached policies of moto's role, user or group, by name."""
    for name, text in list(holder.policies.items()):
        yield str(name), parse(text)
    for policy in list(holder.managed_policies.values()):
        yield str(policy.name), parse(managed_text(policy))


def managed_text(policy: Any) -> str:
    """Return the default version of a managed policy as JSON text."""
    for version in policy.versions:
        if version.version_id == policy.default_version_id:
            return str(version.document)
    return str(policy.versions[-1].document)
