"""The security token service: taking roles, and telling callers who they are.

moto hands out credentials for any role to anybody; this part answers every `sts` call itself. A role must exist in
its own account, its trust policy must allow the caller there (external id included), and durations are limited as AWS
does.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from localcloud import state, wire
from localcloud.attached import managed_text
from localcloud.authority import Authority, Demand, denied
from localcloud.call import Call, Reply
from localcloud.errors import AwsError
from localcloud.identity import Identities, Identity
from localcloud.policy import MalformedPolicy, parse
from localcloud.settings import is_account

_ROLE_ARN = re.compile(r"arn:aws:iam::\d{12}:role/[\x21-\x7e]{1,576}")
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)
_SHORTEST: Final = timedelta(minutes=15)
_LONGEST: Final = timedelta(hours=12)
#: A role session that takes another role gets at most this ("role chaining").
_LONGEST_CHAINED: Final = timedelta(hours=1)
_POLICY_LIMIT: Final = 2048


class SecurityTokens:
    """Answers `sts` calls (a `Plugin`)."""

    def __init__(self, identities: Identities, authority: Authority) -> None:
        self._identities = identities
        self._authority = authority

    def before(self, call: Call) -> Reply | None:
        """Answer every `sts` call. Raises `AwsError`."""
        if call.service != "sts":
            return None
        identity = call.identity
        if identity is None:
            raise AwsError("MissingAuthenticationToken", "Request is missing Authentication Token")
        if call.operation == "GetCallerIdentity":
            principal = identity.principal
            return wire.answer(call, {"UserId": principal.user_id, "Account": principal.account, "Arn": principal.arn})
        if call.operation == "AssumeRole":
            return self._assume_role(call, identity)
        if call.operation == "GetAccessKeyInfo":
            return wire.answer(call, {"Account": self._key_account(call.parameters.get("AccessKeyId", ""))})
        raise AwsError("NotImplemented", f"The embedded cloud does not offer {call.name}.")

    def after(self, call: Call, reply: Reply) -> Reply:
        """Change nothing."""
        del call
        return reply

    def _key_account(self, key: str) -> str:
        for account in state.iam_accounts():
            if key in state.iam(account).access_keys and is_account(account):
                return account
        raise AwsError("ValidationError", "The access key is not valid.")

    def _assume_role(self, call: Call, identity: Identity) -> Reply:
        given = call.parameters
        arn, name = _checked(given)
        external_id = given.get("ExternalId")
        tags = {tag["Key"]: tag.get("Value", "") for tag in given.get("Tags", [])}
        role = state.role_by_arn(arn)
        demand = Demand(
            action="sts:AssumeRole",
            resource=arn,
            owner=arn.split(":")[4],
            policy=None if role is None else role.assume_role_policy_document,
            policy_must_allow=True,
            context=_trust_context(name, external_id, tags),
        )
        demands = [demand]
        if tags:
            demands.append(
                Demand(
                    action="sts:TagSession",
                    resource=arn,
                    owner=demand.owner,
                    policy=demand.policy,
                    policy_must_allow=True,
                    context=demand.context,
                )
            )
        if role is None:
            raise denied(call, identity, demand)
        self._authority.require(call, identity, demands)
        duration = _duration(given, role, chained=identity.session is not None)
        session = self._identities.open_session(
            role, name, duration, policies=_session_policies(given, role), tags=tags
        )
        return wire.answer(
            call,
            {
                "Credentials": {
                    "AccessKeyId": session.access_key,
                    "SecretAccessKey": session.secret,
                    "SessionToken": session.token,
                    "Expiration": datetime.fromtimestamp(int(session.expires), UTC).replace(tzinfo=None),
                },
                "AssumedRoleUser": {"AssumedRoleId": session.user_id, "Arn": session.arn},
                "PackedPolicySize": 6 if session.policies else 0,
            },
        )


def _trust_context(name: str, external_id: str | None, tags: dict[str, str]) -> dict[str, str | tuple[str, ...]]:
    context: dict[str, str | tuple[str, ...]] = {"sts:rolesessionname": name}
    if external_id is not None:
        context["sts:externalid"] = external_id
    for key, value in tags.items():
        context[f"aws:requesttag/{key.lower()}"] = value
    if tags:
        context["aws:tagkeys"] = tuple(tags)
    return context


def _checked(given: dict[str, Any]) -> tuple[str, str]:
    arn, name = given.get("RoleArn", ""), given.get("RoleSessionName", "")
    if not _ROLE_ARN.fullmatch(arn):
        raise AwsError("ValidationError", f"{arn} is invalid")
    if not _SESSION_NAME.fullmatch(name):
        raise _constraint("roleSessionName", name, r"Member must satisfy regular expression pattern: [\w+=,.@-]*")
    external_id = given.get("ExternalId")
    if external_id is not None and not _EXTERNAL_ID.fullmatch(external_id):
        # The value is a shared secret of two parties: it is not repeated.
        raise _constraint("externalId", "...", r"Member must satisfy regular expression pattern: [\w+=,.@:\/-]*")
    return arn, name


def _duration(given: dict[str, Any], role: Any, *, chained: bool) -> timedelta:
    asked = timedelta(seconds=int(given.get("DurationSeconds", 3600)))
    if asked < _SHORTEST:
        raise _constraint("durationSeconds", f"{asked.seconds}", "Member must have value greater than or equal to 900")
    if asked > _LONGEST:
        raise _constraint(
            "durationSeconds", f"{asked.total_seconds():.0f}", "Member must have value less than or equal to 43200"
        )
    if chained and asked > _LONGEST_CHAINED:
        raise AwsError(
            "ValidationError",
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
        )
    if asked.total_seconds() > int(role.max_session_duration or 3600):
        raise AwsError(
            "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        )
    return asked


def _session_policies(given: dict[str, Any], role: Any) -> tuple[str, ...]:
    texts = [given["Policy"]] if given.get("Policy") else []
    for entry in given.get("PolicyArns", []):
        policy = state.iam(role.account_id).managed_policies.get(entry.get("arn", ""))
        if policy is None:
            raise AwsError("ValidationError", f"The policy {entry.get('arn')} does not exist or is not attachable.")
        texts.append(managed_text(policy))
    if sum(map(len, texts)) > _POLICY_LIMIT:
        raise AwsError("PackedPolicyTooLarge", "The session policies are longer than 2,048 characters.")
    for text in texts:
        try:
            parse(text)
        except MalformedPolicy as error:
            raise AwsError("MalformedPolicyDocument", f"The session policy cannot be read: {error}.") from None
    return tuple(texts)


def _constraint(name: str, value: str, rule: str) -> AwsError:
    return AwsError(
        "ValidationError",
        f"1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: {rule}",
    )
