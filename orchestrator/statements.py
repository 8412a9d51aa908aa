"""What IAM documents are put together from, and how long AWS lets them be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from orchestrator.errors import WrongRequest

Document = dict[str, Any]

#: IAM's limits for all inline policies of a role and for a trust policy, in characters without white space.
INLINE_LIMIT = 10_240
TRUST_LIMIT = 2_048
#: IAM's limit for one managed policy, in the same characters.
MANAGED_LIMIT = 6_144


def document(*statements: Document | None) -> Document:
    """Return a policy document of these statements, without those that are None."""
    return {"Version": "2012-10-17", "Statement": [one for one in statements if one is not None]}


def allow(sid: str, actions: Sequence[str], resources: Sequence[str], condition: Document | None = None) -> Document:
    """Return a statement that allows actions on resources under a condition."""
    statement: Document = {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    if condition is not None:
        statement["Condition"] = condition
    return statement


def see(*actions: str) -> Document:
    """Return reading rights that AWS limits to nothing narrower. One statement a role: two would overlap."""
    return allow("See", sorted(set(actions)), ["*"])


def prove(*roles: str | None) -> Document | None:
    """Return the right to ask IAM what these roles may do: `daywork account check` and planning do."""
    named = sorted({role for role in roles if role})
    return allow("Prove", ["iam:SimulatePrincipalPolicy"], named) if named else None


def prove_trust(*roles: str | None) -> Document | None:
    """Return the right to read whom these roles trust: `daywork account check` does, for roles it cannot take."""
    named = sorted({role for role in roles if role})
    return allow("ProveTrust", ["iam:GetRole"], named) if named else None


def size(policy: Document) -> int:
    """Return how long a document is as AWS counts: without white space."""
    return len(json.dumps(policy, separators=(",", ":")))


def checked(policy: Document, limit: int = INLINE_LIMIT) -> Document:
    """Return the document. Raises `WrongRequest` when it is longer than AWS takes."""
    if (length := size(policy)) > limit:
        raise WrongRequest(
            f"a policy document has {length} characters; AWS takes {limit}",
            remedy="Split the session over fewer accounts",
        )
    return policy
