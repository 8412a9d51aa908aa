"""Policy documents that are put somewhere: refused at once when they could never be evaluated.

moto keeps any text. AWS reads a document when it is set and refuses one that is malformed, that asks for something
unknown, or that names a role or user which does not exist.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from localcloud import state
from localcloud.call import Call, Reply
from localcloud.conditions import UnknownOperator
from localcloud.errors import AwsError
from localcloud.policy import MalformedPolicy, parse

#: Where a document stands in a call, and how the service words its refusal.
_PARAMETERS: Final[Mapping[str, str]] = {
    "iam:CreateRole": "AssumeRolePolicyDocument",
    "iam:UpdateAssumeRolePolicy": "PolicyDocument",
    "iam:PutRolePolicy": "PolicyDocument",
    "iam:PutUserPolicy": "PolicyDocument",
    "iam:PutGroupPolicy": "PolicyDocument",
    "iam:CreatePolicy": "PolicyDocument",
    "iam:CreatePolicyVersion": "PolicyDocument",
    "kms:CreateKey": "Policy",
    "kms:PutKeyPolicy": "Policy",
}
_CODES: Final[Mapping[str, str]] = {
    "iam": "MalformedPolicyDocument",
    "kms": "MalformedPolicyDocumentException",
    "s3": "MalformedPolicy",
    "sqs": "InvalidAttributeValue",
}


class Documents:
    """Reads policy documents as they are set (a `Plugin`)."""

    def before(self, call: Call) -> Reply | None:
        """Refuse a document that AWS would refuse. Raises `AwsError`."""
        for text in _documents(call):
            try:
                document = parse(text)
            except (MalformedPolicy, UnknownOperator) as error:
                raise AwsError(_CODES[call.service], f"Syntax errors in policy: {error}") from None
            for statement in document.statements:
                for named in (statement.principals or {}).get("AWS", ()):
                    if not _may_be_named(named):
                        raise AwsError(_CODES[call.service], f'Invalid principal in policy: "AWS":"{named}"')
        return None

    def after(self, call: Call, reply: Reply) -> Reply:
        """Change nothing."""
        del call
        return reply


def _documents(call: Call) -> Iterator[str]:
    if call.name == "s3:PutBucketPolicy":
        yield call.body.decode("utf-8", "replace")
    elif call.name in ("sqs:CreateQueue", "sqs:SetQueueAttributes"):
        # An empty text removes the policy.
        if text := (call.parameters.get("Attributes") or {}).get("Policy"):
            yield str(text)
    elif text := call.parameters.get(_PARAMETERS.get(call.name, "")):
        yield str(text)


def _may_be_named(principal: str) -> bool:
    _, _, resource = principal.rpartition(":")
    if not principal.startswith("arn:aws:iam::") or resource == "root":
        return True
    kind, _, name = resource.partition("/")
    if kind == "role":
        return state.role_by_arn(principal) is not None
    if kind == "user":
        found = state.iam(principal.split(":")[4]).users.get(name.rpartition("/")[2])
        return found is not None and found.arn == principal
    return False
