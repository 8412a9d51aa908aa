"""May this principal do this? Identity policies, boundaries, session policies and resource policies together.

Rules: "Policy evaluation logic" in the IAM User Guide. An explicit denial anywhere wins. In its own account a
principal needs an allowance by its identity policies or by a resource policy that names it; in another account by
both. A key policy and a trust policy must always allow, in the own account too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from localcloud import state
from localcloud.attached import Named, managed_text, named_documents
from localcloud.call import Call
from localcloud.errors import AwsError
from localcloud.identity import Identity
from localcloud.policy import Decision, Document, Query, ask_identity, ask_resource, parse
from localcloud.settings import ENFORCED, Settings
from localcloud.usage import Usage, holder_of

_DENIED_CODES: Final[dict[str, str]] = {
    "ec2": "UnauthorizedOperation",
    "kms": "AccessDeniedException",
    "ebs": "AccessDeniedException",
    "elasticfilesystem": "AccessDeniedException",
    "servicequotas": "AccessDeniedException",
}
_DENIED_STATUSES: Final[dict[str, int]] = {"kms": 400, "ebs": 403, "servicequotas": 400}


@dataclass(frozen=True, kw_only=True)
class Demand:
    """One thing a call asks for. `owner` is the account of the resource; None: the signer's own.

    `policy` is the resource's own policy. `policy_must_allow`: identity policies alone never suffice (keys, trust).
    """

    action: str
    resource: str = "*"
    context: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    owner: str | None = None
    policy: str | Mapping[str, Any] | None = None
    policy_must_allow: bool = False


class Authority:
    """Decides demands for signers."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self.usage = Usage()

    def context(self, call: Call, identity: Identity) -> dict[str, str | tuple[str, ...]]:
        """Return the global condition keys of a call, in lower case."""
        principal = identity.principal
        now = self._clock()
        keys: dict[str, str | tuple[str, ...]] = {
            "aws:principalarn": principal.principal_arn,
            "aws:principalaccount": principal.account,
            "aws:userid": principal.user_id,
            "aws:principaltype": "User" if identity.session is None else "AssumedRole",
            "aws:requestedregion": call.region,
            "aws:sourceip": "127.0.0.1",
            # The emulated endpoints stand for TLS ones: policies that refuse plain HTTP must not refuse everything.
            "aws:securetransport": "true",
            "aws:currenttime": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "aws:epochtime": str(int(now)),
            "aws:useragent": call.headers.get("user-agent", ""),
        }
        if principal.account not in self._settings.outsiders:
            keys["aws:principalorgid"] = self._settings.organisation
        if identity.user is not None:
            keys["aws:username"] = identity.user.name
        tags = state.tags_of(identity.role) if identity.role is not None else {}
        if identity.session is not None:
            tags = {**tags, **identity.session.tags}
            if identity.session.instance_arn:
                keys["ec2:sourceinstancearn"] = identity.session.instance_arn
                keys["ec2:roledelivery"] = "2.0"
        for key, value in tags.items():
            keys[f"aws:principaltag/{key.lower()}"] = value
        return keys

    def allows(self, demand: Demand, identity: Identity, context: Mapping[str, str | tuple[str, ...]]) -> bool:
        """Tell whether the signer may have what it demands. Raises `AwsError` for a policy that cannot be read."""
        owner = demand.owner or identity.principal.account
        query = Query(demand.action, demand.resource, {**context, "aws:resourceaccount": owner, **demand.context})
        held = list(identity_documents(identity))
        said_by_identity = self._ask_identity(query, identity, held)
        said_by_resource, policy = Decision.SILENT, None
        if demand.policy:
            policy = parse(demand.policy)
            said_by_resource = ask_resource(
                policy, query, identity.principal, ignore_resource=demand.action.startswith("sts:")
            )
        is_foreign = owner != identity.principal.account
        if not _together(said_by_identity, said_by_resource, is_foreign=is_foreign, demand=demand):
            return False
        if said_by_identity is Decision.ALLOWED:
            self.usage.allowed(holder_of(identity.role or identity.user), held, query)
        if policy is not None and said_by_resource is not Decision.SILENT and not demand.policy_must_allow:
            self.usage.allowed(demand.resource.partition("/")[0], [("policy", policy)], query)
        return True

    def require(self, call: Call, identity: Identity, demands: list[Demand]) -> None:
        """Raise `AwsError` AccessDenied (or the service's word for it) unless every demand is allowed."""
        context = self.context(call, identity)
        for demand in demands:
            if not self.allows(demand, identity, context):
                self.usage.refused(identity.principal.arn, demand.action, demand.resource)
                raise denied(call, identity, demand)

    def _ask_identity(self, query: Query, identity: Identity, held: list[Named]) -> Decision:
        if query.action.partition(":")[0] in ENFORCED - self._settings.enforce:
            return Decision.ALLOWED
        said = ask_identity((document for _, document in held), query)
        for limit in limits(identity):
            bound = ask_identity(limit, query)
            if bound is Decision.DENIED:
                return Decision.DENIED
            if bound is Decision.SILENT and said is Decision.ALLOWED:
                said = Decision.SILENT
        return said


def _together(by_identity: Decision, by_resource: Decision, *, is_foreign: bool, demand: Demand) -> bool:
    """Tell whether what both kinds of policies say is enough."""
    if Decision.DENIED in (by_identity, by_resource):
        return False
    if not is_foreign and by_resource is Decision.ALLOWED:
        return True
    if is_foreign or demand.policy_must_allow:
        return by_identity is Decision.ALLOWED and by_resource is not Decision.SILENT
    return by_identity is Decision.ALLOWED


def denied(call: Call, identity: Identity, demand: Demand) -> AwsError:
    """Return the refusal of a demand in the service's words."""
    message = f"User: {identity.principal.arn} is not authorized to perform: {demand.action}"
    if demand.resource != "*":
        message += f" on resource: {demand.resource}"
    return AwsError(
        _DENIED_CODES.get(call.service, "AccessDenied"),
        message,
        _DENIED_STATUSES.get(call.service, 403),
        reason="UNAUTHORIZED_ACCOUNT" if call.service == "ebs" else None,
    )


def identity_documents(identity: Identity) -> Iterator[Named]:
    """Yield the inline and attached policies of the signer's role or user (groups included), by name."""
    holders = [holder for holder in (identity.role, identity.user) if holder is not None]
    if identity.user is not None:
        holders += state.iam(identity.principal.account).get_groups_for_user(identity.user.name)
    for holder in holders:
        yield from named_documents(holder)


def limits(identity: Identity) -> list[list[Document]]:
    """Return what must allow besides the identity policies: the permissions boundary and session policies."""
    found: list[list[Document]] = []
    holder = identity.role if identity.role is not None else identity.user
    boundary = getattr(holder, "permissions_boundary_arn", None)
    if boundary:
        policy = state.iam(identity.principal.account).managed_policies.get(boundary)
        # A boundary whose policy is gone allows nothing.
        found.append([parse(managed_text(policy))] if policy is not None else [])
    if identity.session is not None and identity.session.policies:
        found.append([parse(text) for text in identity.session.policies])
    return found
