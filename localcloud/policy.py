"""IAM policy documents: reading them and asking them.

Terms: a **query** is one (action, resource, context). A document **allows**, **denies** or says nothing. In a
resource policy a statement names **principals**; a principal is named **directly** (its own ARN, its role, everybody)
or through its **account** - then the account has delegated, and the principal's own identity policies decide as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any, Literal

from localcloud.call import Principal
from localcloud.conditions import Context, check_operator, holds, like

_STATEMENT_KEYS = frozenset(
    {
        "Sid",
        "Effect",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Principal",
        "NotPrincipal",
        "Condition",
    }
)


class MalformedPolicy(ValueError):
    """A text that is not a policy document; says what is wrong."""


class Decision(Enum):
    """What documents say to a query. `ALLOWED_ACCOUNT`: a resource policy allowed the principal's account."""

    SILENT = "silent"
    ALLOWED = "allowed"
    ALLOWED_ACCOUNT = "allowed through the account"
    DENIED = "denied"


@dataclass(frozen=True)
class Query:
    """One question to a policy. `resource` is an ARN or `*` when the action has none."""

    action: str
    resource: str
    context: Context = field(default_factory=dict)


@dataclass(frozen=True)
class Statement:
    """One statement, its lists made lists. `principals` maps AWS, Service, ... to names; None: no Principal element."""

    sid: str
    effect: Literal["Allow", "Deny"]
    actions: tuple[str, ...] | None
    not_actions: tuple[str, ...] | None
    resources: tuple[str, ...] | None
    not_resources: tuple[str, ...] | None
    principals: Mapping[str, tuple[str, ...]] | None
    not_principals: Mapping[str, tuple[str, ...]] | None
    conditions: Mapping[str, Mapping[str, tuple[str, ...]]]

    def about(self, action: str) -> bool:
        """Tell whether this statement speaks of an action at all."""
        if self.actions is not None:
            return _any_like(self.actions, action, None, ignore_case=True)
        return self.not_actions is None or not _any_like(self.not_actions, action, None, ignore_case=True)

    def covers(self, query: Query, *, ignore_resource: bool = False) -> bool:
        """Tell whether action, resource and condition of this statement fit the query."""
        if not self.about(query.action):
            return False
        if not ignore_resource:
            if self.resources is not None and not _any_like(self.resources, query.resource, query.context):
                return False
            if self.not_resources is not None and _any_like(self.not_resources, query.resource, query.context):
                return False
        return not self.conditions or holds(self.conditions, query.context)


@dataclass(frozen=True)
class Document:
    """A parsed policy document."""

    statements: tuple[Statement, ...]


def parse(document: str | Mapping[str, Any]) -> Document:
    """Read a policy document. Raises `MalformedPolicy`."""
    return _parse_text(document if isinstance(document, str) else json.dumps(document, sort_keys=True))


@lru_cache(maxsize=4096)
def _parse_text(text: str) -> Document:
    try:
        document = json.loads(text)
    except ValueError:
        raise MalformedPolicy("the policy is not JSON") from None
    if not isinstance(document, dict) or "Statement" not in document:
        raise MalformedPolicy("the policy has no Statement")
    raw = document["Statement"]
    return Document(tuple(_statement(one) for one in (raw if isinstance(raw, list) else [raw])))


def _statement(raw: Any) -> Statement:
    if not isinstance(raw, dict):
        raise MalformedPolicy("a statement is not an object")
    if unknown := sorted(set(raw) - _STATEMENT_KEYS):
        raise MalformedPolicy(f"a statement has the unknown element {unknown[0]!r}")
    effect = raw.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise MalformedPolicy("a statement's Effect is neither Allow nor Deny")
    if "Action" not in raw and "NotAction" not in raw:
        raise MalformedPolicy("a statement has neither Action nor NotAction")
    conditions: dict[str, dict[str, tuple[str, ...]]] = {}
    for name, keys in (raw.get("Condition") or {}).items():
        check_operator(name)
        conditions[name] = {key: _strings(values) for key, values in keys.items()}
    return Statement(
        sid=str(raw.get("Sid", "")),
        effect="Allow" if effect == "Allow" else "Deny",
        actions=_optional(raw, "Action"),
        not_actions=_optional(raw, "NotAction"),
        resources=_optional(raw, "Resource"),
        not_resources=_optional(raw, "NotResource"),
        principals=_principals(raw.get("Principal")),
        not_principals=_principals(raw.get("NotPrincipal")),
        conditions=conditions,
    )


def _optional(raw: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    return _strings(raw[name]) if name in raw else None


def _strings(value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(str(one).lower() if isinstance(one, bool) else str(one) for one in values)


def _principals(raw: Any) -> Mapping[str, tuple[str, ...]] | None:
    if raw is None:
        return None
    if raw == "*":
        return {"AWS": ("*",)}
    if not isinstance(raw, dict):
        raise MalformedPolicy("Principal is neither * nor an object")
    return {kind: _strings(names) for kind, names in raw.items()}


def _any_like(patterns: Sequence[str], value: str, context: Context | None, *, ignore_case: bool = False) -> bool:
    return any(like(pattern, value, context, ignore_case=ignore_case) for pattern in patterns)


def names(principals: Mapping[str, tuple[str, ...]], principal: Principal) -> Decision:
    """Tell how a Principal element names a principal: ALLOWED directly, ALLOWED_ACCOUNT, or SILENT."""
    found = Decision.SILENT
    for name in principals.get("AWS", ()):
        if name in ("*", principal.arn, principal.principal_arn):
            return Decision.ALLOWED
        if name in (principal.account, f"arn:aws:iam::{principal.account}:root"):
            found = Decision.ALLOWED_ACCOUNT
    return found


def ask_identity(documents: Iterable[Document], query: Query) -> Decision:
    """Ask identity policies (or a boundary, or a session policy): ALLOWED, DENIED or SILENT."""
    decision = Decision.SILENT
    for document in documents:
        for statement in document.statements:
            if statement.covers(query):
                if statement.effect == "Deny":
                    return Decision.DENIED
                decision = Decision.ALLOWED
    return decision


def ask_resource(document: Document, query: Query, principal: Principal, *, ignore_resource: bool = False) -> Decision:
    """Ask a resource policy. `ignore_resource` is for trust policies, whose resource is the role itself."""
    decision = Decision.SILENT
    for statement in document.statements:
        if statement.principals is not None:
            how = names(statement.principals, principal)
        elif statement.not_principals is not None:
            how = (
                Decision.SILENT
                if names(statement.not_principals, principal) is not Decision.SILENT
                else Decision.ALLOWED
            )
        else:
            continue
        if how is Decision.SILENT or not statement.covers(query, ignore_resource=ignore_resource):
            continue
        if statement.effect == "Deny":
            return Decision.DENIED
        if decision is not Decision.ALLOWED:
            decision = how
    return decision


def trusts_service(document: Document, service: str, action: str = "sts:AssumeRole") -> bool:
    """Tell whether a trust policy lets an AWS service (`ec2.amazonaws.com`) take the role."""
    query = Query(action, "*")
    allowed = False
    for statement in document.statements:
        if service in (statement.principals or {}).get("Service", ()) and statement.covers(query, ignore_resource=True):
            if statement.effect == "Deny":
                return False
            allowed = True
    return allowed
