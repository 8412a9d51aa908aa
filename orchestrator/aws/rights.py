"""What IAM says a role may do and whom it trusts, without doing it: for `daywork account check`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from orchestrator.aws.credentials import Identities
from orchestrator.aws.errors import translated
from orchestrator.errors import Missing
from orchestrator.model.plan import Access
from orchestrator.services import Install
from orchestrator.statements import Document

_ALLOWED = "allowed"
#: Between accounts IAM tells what the role's own policies say apart from what the other account's say.
_OWN_POLICIES = "IAM Policy"


class AwsRights:
    """Questions about roles, asked as one role of their account."""

    def __init__(self, identities: Identities, access: Access) -> None:
        """Take the identities and who asks; a role of None is the control plane's own identity."""
        self._identities = identities
        self._access = access

    def refused(
        self, role_arn: str, *, actions: Sequence[str], resources: Sequence[str], context: Mapping[str, str]
    ) -> set[tuple[str, str]]:
        """Return the (action, resource) pairs that the role's own policies and boundary do not allow.

        Policies of the resources do not count. Raises `Missing` when there is no such role, `AccessDenied` when who
        asks may not ask.
        """
        entries = [
            {"ContextKeyName": name, "ContextKeyValues": [value], "ContextKeyType": "string"}
            for name, value in sorted(context.items())
        ]
        with translated(f"see what {role_arn} may do"):
            pages = self._client("iam").get_paginator("simulate_principal_policy")
            results = [
                result
                for page in pages.paginate(
                    PolicySourceArn=role_arn,
                    ActionNames=list(actions),
                    ResourceArns=list(resources),
                    ContextEntries=entries,
                )
                for result in page["EvaluationResults"]
            ]
        allowed = {pair for result in results for pair in _allowed(result, resources)}
        return {(action, resource) for action in actions for resource in resources} - allowed

    def trust(self, role_arn: str) -> Document:
        """Return a role's trust policy. Raises `Missing`, `AccessDenied`."""
        with translated(f"read whom {role_arn} trusts"):
            role = self._client("iam").get_role(RoleName=role_arn.rpartition("/")[2])["Role"]
        return _document(role["AssumeRolePolicyDocument"])

    def _client(self, service: str) -> Any:
        return self._identities.client(service, self._access.role, self._access.region)


class AwsDoors:
    """The policies of the control bucket and of the report queue, as the control plane reads them."""

    def __init__(self, identities: Identities, install: Install) -> None:
        """Take the identities and the install, which names bucket and queue."""
        self._identities = identities
        self._install = install

    def bucket_policy(self) -> Document:
        """Return the control bucket's policy; one without statements when it has none."""
        try:
            with translated(f"read the policy of the bucket {self._install.control_bucket}"):
                found = self._client("s3").get_bucket_policy(Bucket=self._install.control_bucket)["Policy"]
        except Missing:
            return {"Statement": []}
        return _document(found)

    def queue_policy(self) -> Document:
        """Return the report queue's policy; one without statements when it has none."""
        with translated("read the policy of the report queue"):
            answer = self._client("sqs").get_queue_attributes(
                QueueUrl=self._install.report_queue, AttributeNames=["Policy"]
            )
        found = answer.get("Attributes", {}).get("Policy")
        return _document(found) if found else {"Statement": []}

    def identity(self) -> str:
        """Return the ARN of the user or role behind the control plane's credentials.

        A role under a path cannot be told from its session: then the ARN lacks the path.
        """
        with translated("ask who the control plane is"):
            arn = str(self._client("sts").get_caller_identity()["Arn"])
        _, _, _, _, account, rest = arn.split(":", 5)
        kind, _, name = rest.partition("/")
        return f"arn:aws:iam::{account}:role/{name.split('/')[0]}" if kind == "assumed-role" else arn

    def _client(self, service: str) -> Any:
        return self._identities.client(service, None, self._install.control_region)


def _allowed(result: Mapping[str, Any], resources: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the pairs that a result allows: IAM tells them apart below the result, and once did so in results."""
    action, parts = result["EvalActionName"], result.get("ResourceSpecificResults") or []
    for one in parts:
        if _says_yes(one["EvalResourceDecision"], one):
            yield action, one["EvalResourceName"]
    if not parts and _says_yes(result["EvalDecision"], result):
        named = result.get("EvalResourceName", "*")
        yield from ((action, one) for one in resources if named == one or len(resources) == 1)


def _says_yes(decision: str, one: Mapping[str, Any]) -> bool:
    return decision == _ALLOWED or (one.get("EvalDecisionDetails") or {}).get(_OWN_POLICIES) == _ALLOWED


def _document(value: Any) -> Document:
    if isinstance(value, str):
        # Without botocore's own decoding IAM's documents come percent-encoded.
        value = json.loads(unquote(value) if value.startswith("%7B") else value)
    return dict(value)
