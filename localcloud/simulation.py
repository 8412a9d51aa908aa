"""`iam:SimulatePrincipalPolicy`: what a role's or user's policies say to calls that nobody makes.

moto does not offer it. The answer has the form that IAM gives now: one result for each action, with the decisions for
each named resource in `ResourceSpecificResults`; the result itself is the strictest of them. As on AWS, only what the
caller tells of a call is known (`ContextEntries`), besides who the simulated caller is and what time it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from localcloud import state, wire
from localcloud.attached import managed_text
from localcloud.call import Call, Principal, Reply
from localcloud.conditions import UnknownOperator, variables
from localcloud.errors import AwsError
from localcloud.policy import Decision, Document, MalformedPolicy, Query, Statement, ask_identity, ask_resource, parse
from localcloud.spans import Span, statement_spans

_ALLOWED: Final = "allowed"
_IMPLICIT: Final = "implicitDeny"
_EXPLICIT: Final = "explicitDeny"
#: Strictest first.
_STRICTNESS: Final = (_EXPLICIT, _IMPLICIT, _ALLOWED)
_PAGE: Final = 100
#: What IAM calls the kinds of ARN, by service and the beginning of the resource part.
_TEMPLATES: Final[Mapping[str, str]] = {
    "s3:": "arn:${Partition}:s3:::${BucketName}",
    "sqs:": "arn:${Partition}:sqs:${Region}:${Account}:${QueueName}",
    "kms:key": "arn:${Partition}:kms:${Region}:${Account}:key/${KeyId}",
    "iam:role": "arn:${Partition}:iam::${Account}:role/${RoleNameWithPath}",
    "iam:instance-profile": "arn:${Partition}:iam::${Account}:instance-profile/${InstanceProfileNameWithPath}",
    "ec2:snapshot": "arn:${Partition}:ec2:${Region}::snapshot/${SnapshotId}",
    "ec2:image": "arn:${Partition}:ec2:${Region}::image/${ImageId}",
    "ec2:instance": "arn:${Partition}:ec2:${Region}:${Account}:instance/${InstanceId}",
    "ec2:volume": "arn:${Partition}:ec2:${Region}:${Account}:volume/${VolumeId}",
    "ec2:subnet": "arn:${Partition}:ec2:${Region}:${Account}:subnet/${SubnetId}",
    "ec2:security-group": "arn:${Partition}:ec2:${Region}:${Account}:security-group/${SecurityGroupId}",
    "ec2:network-interface": "arn:${Partition}:ec2:${Region}:${Account}:network-interface/${NetworkInterfaceId}",
}
_ARN_PARTS: Final = 6


@dataclass(frozen=True)
class Source:
    """A policy that takes part: how IAM names it, of which type it is, its text read, its statements' places."""

    id: str
    type: str
    document: Document
    spans: Sequence[Span]

    @classmethod
    def of(cls, name: str, kind: str, text: str) -> Source:
        """Read a policy. Raises `AwsError` InvalidInput for a text that is none."""
        try:
            return cls(name, kind, parse(text), statement_spans(text))
        except (MalformedPolicy, UnknownOperator) as error:
            raise AwsError("InvalidInput", f"The policy {name} cannot be read: {error}") from None


@dataclass(frozen=True)
class Simulated:
    """Whose policies are asked: the sources, the boundary (None: there is none), and who is meant to call.

    `keys` are the condition keys that follow from the caller.
    """

    sources: Sequence[Source]
    boundary: Sequence[Source] | None
    caller: Principal
    keys: Mapping[str, str]


class Simulation:
    """Answers `iam:SimulatePrincipalPolicy` (a `Plugin`)."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def before(self, call: Call) -> Reply | None:
        """Answer a simulation. Raises `AwsError` NoSuchEntity, InvalidInput."""
        if call.name != "iam:SimulatePrincipalPolicy":
            return None
        given = call.parameters
        if given.get("PolicyExclusionList"):
            raise AwsError("NotImplemented", "The embedded cloud does not leave policies out of a simulation.")
        actions = [str(one) for one in given.get("ActionNames") or []]
        if wrong := [one for one in actions if ":" not in one]:
            raise AwsError("InvalidInput", f"Invalid Entity Action: {wrong[0]}")
        simulated = _simulated(call)
        context = self._context(given, simulated.keys)
        begin, most = int(given.get("Marker") or 0), int(given.get("MaxItems") or _PAGE)
        results = [_result(given, simulated, action, context) for action in actions[begin : begin + most]]
        end = begin + most
        return wire.answer(
            call,
            {
                "EvaluationResults": results,
                "IsTruncated": end < len(actions),
                **({"Marker": str(end)} if end < len(actions) else {}),
            },
        )

    def after(self, call: Call, reply: Reply) -> Reply:
        """Change nothing."""
        del call
        return reply

    def _context(self, given: Mapping[str, Any], keys: Mapping[str, str]) -> dict[str, str | tuple[str, ...]]:
        now = self._clock()
        context: dict[str, str | tuple[str, ...]] = {
            "aws:currenttime": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "aws:epochtime": str(int(now)),
            **keys,
        }
        for entry in given.get("ContextEntries") or []:
            values = tuple(str(one) for one in entry.get("ContextKeyValues") or [])
            several = str(entry.get("ContextKeyType", "string")).endswith("List")
            context[str(entry["ContextKeyName"]).lower()] = values if several or len(values) != 1 else values[0]
        return context


def _simulated(call: Call) -> Simulated:
    given = call.parameters
    arn = str(given.get("PolicySourceArn", ""))
    holder, kind = _holder(call, arn)
    sources = list(_attached(holder, kind))
    if kind == "user":
        for group in state.iam(call.account).get_groups_for_user(holder.name):
            sources += _attached(group, "group")
    for number, text in enumerate(given.get("PolicyInputList") or [], start=1):
        sources.append(Source.of(f"PolicyInputList.{number}", "none", str(text)))
    if given.get("ResourcePolicy") and kind == "role":
        raise AwsError("InvalidInput", "Resource policies cannot be simulated for roles.")
    caller = str(given.get("CallerArn") or arn)
    account = caller.split(":")[4] if caller.count(":") >= _ARN_PARTS - 1 else call.account
    keys = {"aws:principalarn": caller, "aws:principalaccount": account}
    if kind == "user":
        # A role's user id has the session's name in it, which nobody knows.
        keys |= {"aws:userid": holder.id, "aws:username": holder.name}
    return Simulated(sources, _boundary(call, holder), Principal(account, caller, caller, holder.id), keys)


def _holder(call: Call, arn: str) -> tuple[Any, str]:
    parts = arn.split(":", _ARN_PARTS - 1)
    if len(parts) == _ARN_PARTS and parts[2] == "iam" and parts[4] == call.account:
        kind, _, name = parts[5].partition("/")
        if kind == "role" and (role := state.role_by_arn(arn)) is not None:
            return role, kind
        user = state.iam(call.account).users.get(name.rpartition("/")[2]) if kind == "user" else None
        if user is not None and user.arn == arn:
            return user, kind
    raise AwsError("NoSuchEntity", f"Entity {arn} is not found")


def _attached(holder: Any, kind: str) -> Iterator[Source]:
    for name, text in list(holder.policies.items()):
        yield Source.of(f"{kind}_{holder.name}_{name}", kind, str(text))
    for policy in list(holder.managed_policies.values()):
        owner = "aws-managed" if str(policy.arn).startswith("arn:aws:iam::aws:") else "user-managed"
        yield Source.of(str(policy.name), owner, managed_text(policy))


def _boundary(call: Call, holder: Any) -> list[Source] | None:
    given = call.parameters.get("PermissionsBoundaryPolicyInputList") or []
    if given:
        return [Source.of("PermissionsBoundaryPolicyInputList.1", "none", str(given[0]))]
    arn = getattr(holder, "permissions_boundary_arn", None)
    if not arn:
        return None
    policy = state.iam(call.account).managed_policies.get(arn)
    # A boundary whose policy is gone allows nothing.
    return [] if policy is None else [Source.of(str(policy.name), "user-managed", managed_text(policy))]


def _result(
    given: Mapping[str, Any], simulated: Simulated, action: str, context: Mapping[str, str | tuple[str, ...]]
) -> dict[str, Any]:
    resources = [str(one) for one in given.get("ResourceArns") or []] or ["*"]
    asked = [_one(given, simulated, Query(action, resource, context)) for resource in resources]
    decision = min((one["EvalResourceDecision"] for one in asked), key=_STRICTNESS.index)
    matched: list[Any] = []
    for one in asked:
        if one["EvalResourceDecision"] == decision:
            matched += [statement for statement in one["MatchedStatements"] if statement not in matched]
    missing = sorted({key for one in asked for key in one["MissingContextValues"]})
    result: dict[str, Any] = {
        "EvalActionName": action,
        "EvalResourceName": _template(resources[0]),
        "EvalDecision": decision,
        "MatchedStatements": matched,
        "MissingContextValues": missing,
    }
    if simulated.boundary is not None:
        bounded = all(one["PermissionsBoundaryDecisionDetail"]["AllowedByPermissionsBoundary"] for one in asked)
        result["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": bounded}
    if resources != ["*"]:
        result["ResourceSpecificResults"] = asked
        result["EvalDecisionDetails"] = {
            kind: min((one["EvalDecisionDetails"].get(kind, _ALLOWED) for one in asked), key=_STRICTNESS.index)
            for kind in sorted({kind for one in asked for kind in one["EvalDecisionDetails"]})
        }
    return result


def _one(given: Mapping[str, Any], simulated: Simulated, query: Query) -> dict[str, Any]:
    """Decide one action on one resource."""
    said = ask_identity([source.document for source in simulated.sources], query)
    by_resource = Decision.SILENT
    policy = None
    if given.get("ResourcePolicy"):
        policy = Source.of("ResourcePolicy", "resource", str(given["ResourcePolicy"]))
        by_resource = ask_resource(policy.document, query, simulated.caller)
    owner = _owner(given, query.resource, simulated.caller.account)
    decision = _decide(said, by_resource, within=owner == simulated.caller.account)
    result: dict[str, Any] = {"EvalResourceName": query.resource}
    if simulated.boundary is not None:
        bound = ask_identity([source.document for source in simulated.boundary], query)
        result["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": bound is Decision.ALLOWED}
        if bound is Decision.DENIED:
            decision = _EXPLICIT
        elif bound is Decision.SILENT and decision == _ALLOWED:
            decision = _IMPLICIT
    taking_part = [*simulated.sources, *([policy] if policy is not None else [])]
    return {
        **result,
        "EvalResourceDecision": decision,
        "MatchedStatements": [] if decision == _IMPLICIT else list(_matched(taking_part, query, decision)),
        "MissingContextValues": _missing([*taking_part, *(simulated.boundary or [])], query),
        "EvalDecisionDetails": (
            {}
            if owner == simulated.caller.account
            else {"IAM Policy": _word(said), "Resource Policy": _word(by_resource)}
        ),
    }


def _decide(said: Decision, by_resource: Decision, *, within: bool) -> str:
    if Decision.DENIED in (said, by_resource):
        return _EXPLICIT
    if within:
        return _ALLOWED if said is Decision.ALLOWED or by_resource is Decision.ALLOWED else _IMPLICIT
    return _ALLOWED if said is Decision.ALLOWED and by_resource is not Decision.SILENT else _IMPLICIT


def _word(decision: Decision) -> str:
    if decision is Decision.DENIED:
        return _EXPLICIT
    return _IMPLICIT if decision is Decision.SILENT else _ALLOWED


def _owner(given: Mapping[str, Any], resource: str, caller: str) -> str:
    parts = resource.split(":", _ARN_PARTS - 1)
    if len(parts) == _ARN_PARTS and parts[4].isdigit():
        return parts[4]
    return str(given.get("ResourceOwner") or caller).removesuffix(":root").rpartition(":")[2]


def _matched(sources: Sequence[Source], query: Query, decision: str) -> Iterator[dict[str, Any]]:
    effect = "Deny" if decision == _EXPLICIT else "Allow"
    for source in sources:
        for statement, span in zip(source.document.statements, source.spans, strict=True):
            if statement.effect == effect and statement.covers(query):
                yield {
                    "SourcePolicyId": source.id,
                    "SourcePolicyType": source.type,
                    "StartPosition": {"Line": span.start[0], "Column": span.start[1]},
                    "EndPosition": {"Line": span.end[0], "Column": span.end[1]},
                }


def _missing(sources: Sequence[Source], query: Query) -> list[str]:
    """Return the keys that statements about the action ask for and nobody told."""
    wanted: set[str] = set()
    for source in sources:
        for statement in source.document.statements:
            if statement.about(query.action):
                wanted |= _keys(statement)
    return sorted(key for key in wanted if key.lower() not in query.context)


def _keys(statement: Statement) -> set[str]:
    keys = {key for keys in statement.conditions.values() for key in keys}
    texts = [*(statement.resources or ()), *(statement.not_resources or ())]
    texts += [value for keyed in statement.conditions.values() for values in keyed.values() for value in values]
    return keys | {name for text in texts for name in variables(text)}


def _template(resource: str) -> str:
    parts = resource.split(":", _ARN_PARTS - 1)
    if len(parts) != _ARN_PARTS:
        return "*"
    service, name = parts[2], parts[5]
    if service == "s3" and "/" in name:
        return "arn:${Partition}:s3:::${BucketName}/${KeyName}"
    kind = "" if service in ("s3", "sqs") else name.partition("/")[0]
    return _TEMPLATES.get(f"{service}:{kind}", "*")
