"""KMS keys and what roles may do, looked at without using either: for plans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.aws.credentials import Identities
from orchestrator.aws.errors import translated
from orchestrator.model.plan import Access
from orchestrator.ports import KeyView

_ALLOWED = "allowed"


class AwsKeys:
    """`orchestrator.ports.Keys` on AWS."""

    def __init__(self, identities: Identities, access: Access) -> None:
        """Take the identities and who is meant."""
        self._identities = identities
        self._access = access

    def key(self, key: str) -> KeyView:
        """See the port."""
        client = self._client("kms")
        with translated(f"describe the key {key}"):
            found = client.describe_key(KeyId=key)["KeyMetadata"]
            is_own = found.get("KeyManager") == "AWS"
            policy = "" if is_own else client.get_key_policy(KeyId=found["Arn"], PolicyName="default")["Policy"]
        return KeyView(
            arn=found["Arn"],
            is_enabled=found.get("KeyState", "Enabled") == "Enabled",
            is_managed_by_aws=is_own,
            policy=policy,
        )

    def allows(self, role_arn: str, action: str, resource: str, context: Mapping[str, str]) -> bool:
        """See the port."""
        with translated(f"see what {role_arn} may do"):
            answer = self._client("iam").simulate_principal_policy(
                PolicySourceArn=role_arn,
                ActionNames=[action],
                ResourceArns=[resource],
                ContextEntries=[
                    {"ContextKeyName": name, "ContextKeyValues": [value], "ContextKeyType": "string"}
                    for name, value in sorted(context.items())
                ],
            )
        return all(one["EvalDecision"] == _ALLOWED for one in answer["EvaluationResults"])

    def _client(self, service: str) -> Any:
        return self._identities.client(service, self._access.role, self._access.region)
