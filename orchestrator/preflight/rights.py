"""Whether the role that moves the data may use the keys of the volumes: told before a worker finds out.

The control plane cannot take the data role (workers alone can), so it asks about it: IAM's simulation for the role's
own policies and boundary, the key's policy by reading it, both with the operation's role of the account that owns the
key. That role needs iam:SimulatePrincipalPolicy on the role and kms:DescribeKey, kms:GetKeyPolicy on the keys; without
them the plan says that it could not look.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator import key_policy
from orchestrator.errors import AccessDenied, CloudError, Missing
from orchestrator.key_policy import Says
from orchestrator.model.plan import Access, ResourcePlan
from orchestrator.ports import Cloud, KeyView
from orchestrator.preflight.forecast import Finding, Severity

_ACTION = "kms:Decrypt"


@dataclass
class KeyRights:
    """Asks about each role and key once; `path` is the IAM path of temporary roles."""

    cloud: Cloud
    path: str
    _answers: dict[tuple[Access, str, str, bool], Finding | None] = field(default_factory=dict)

    def findings(self, plan: ResourcePlan) -> list[Finding]:
        """Return what is wrong with the keys of a resource's volumes, each naming its volumes."""
        volumes: dict[str, list[str]] = {}
        for volume, key in _keys(plan):
            volumes.setdefault(key, []).append(volume)
        found: list[Finding] = []
        for key, names in volumes.items():
            answer = self._answer(plan, key)
            if answer is not None:
                shown = f"volume{'s' if len(names) > 1 else ''} {', '.join(names)}: {answer.reason}"
                found.append(Finding(answer.severity, shown, answer.remedy))
        return found

    def _answer(self, plan: ResourcePlan, key: str) -> Finding | None:
        role = plan.data_role or plan.worker.role
        is_temporary = role is None
        user = role or f"arn:aws:iam::{plan.worker.access.account}:role{self.path}temporary"
        question = (plan.operation, user, key, is_temporary)
        if question not in self._answers:
            self._answers[question] = self._ask(*question)
        return self._answers[question]

    def _ask(self, access: Access, user: str, key: str, is_temporary: bool) -> Finding | None:  # noqa: FBT001 - a question's part
        try:
            found = self.cloud.keys(access).key(key)
        except Missing:
            return Finding(Severity.REFUSED, f"its key {key} does not exist", "Restore or name a key that exists")
        except AccessDenied as error:
            return Finding(
                Severity.DOUBTFUL,
                f"{access.role or 'the control plane'} may not see its key {key} ({error.code}), so it is not known "
                f"whether {user} may use it",
                "Let the key's policy name the account or both roles, and let the first one see keys (SeeKeys in its "
                "role document)",
            )
        except CloudError as error:
            return Finding(Severity.NOTE, f"its key could not be looked at: {error.reason}", error.remedy)
        if not found.is_enabled:
            return Finding(
                Severity.REFUSED, f"its key {found.arn} is not enabled", "Enable the key, or cancel its deletion"
            )
        return None if found.is_managed_by_aws else self._judge(access, user, found, is_temporary=is_temporary)

    def _judge(self, access: Access, user: str, key: KeyView, *, is_temporary: bool) -> Finding | None:
        context = {"kms:ViaService": f"ec2.{access.region}.amazonaws.com"}
        said = key_policy.says(key.policy, role_arn=user, action=_ACTION, context=context)
        who = "the session's temporary role" if is_temporary else user
        if said is Says.ALLOWED:
            return None
        if said is Says.DENIED:
            return Finding(
                Severity.REFUSED,
                f"{who} may not use its key {key.arn}: the key's policy allows neither the role nor its account",
                f"Allow {_ACTION} to {user if not is_temporary else 'the account'} in the key's policy",
            )
        if said is Says.UNSURE:
            return Finding(
                Severity.DOUBTFUL,
                f"whether {who} may use its key {key.arn} depends on conditions of the key's policy",
                f"See that the key's policy allows {_ACTION} to it",
            )
        return None if is_temporary else self._own_policies(access, user, key, context)

    def _own_policies(self, access: Access, user: str, key: KeyView, context: dict[str, str]) -> Finding | None:
        """Ask whether the role's own policies allow what the key's policy leaves to its account."""
        try:
            is_allowed = self.cloud.keys(access).allows(user, _ACTION, key.arn, context)
        except CloudError as error:
            return Finding(
                Severity.NOTE,
                f"whether {user} may use its key {key.arn} could not be asked: {error.reason}",
                "Let the operation's role simulate it (statement Prove of its role document)",
            )
        if is_allowed:
            return None
        return Finding(
            Severity.REFUSED,
            f"{user} may not use its key {key.arn}: the role's policies do not allow it",
            f"Allow {_ACTION} on the key in the role's policy; compare it with its role document",
        )


def _keys(plan: ResourcePlan) -> list[tuple[str, str]]:
    """List (volume, key) of what the worker reads or fills; keys of other accounts and Regions are not used there."""
    wanted = plan.details.get("kmsKey")
    place = [plan.operation.region, plan.operation.account]
    found = [
        (volume.volume_id, wanted or volume.kms_key)
        for volume in plan.volumes
        if wanted is not None or (volume.encrypted and volume.kms_key is not None)
    ]
    return [(volume, str(key)) for volume, key in found if str(key).split(":")[3:5] == place]
