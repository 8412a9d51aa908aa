"""Everything that belongs to the role of one purpose: trust, policies of a length that AWS takes, profile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.rights.changes import VERSION
from orchestrator.rights.facts import Facts
from orchestrator.rights.parameters import Parameter, filled, placeholder
from orchestrator.rights.purposes import Kind, Purpose
from orchestrator.statements import INLINE_LIMIT, MANAGED_LIMIT, Document, size


@dataclass(frozen=True, kw_only=True)
class RoleDocuments:
    """What to make for a purpose. `policies` are managed ones when they are too long to stand in the role itself."""

    purpose: Purpose
    name: str
    trust: Document | None
    policies: Mapping[str, Document]
    is_managed: bool
    is_addition: bool

    def with_values(self, values: Mapping[str, str]) -> RoleDocuments:
        """Return them with these placeholders filled in."""

        def write(one: Parameter) -> str:
            return values.get(one.name, placeholder(one.name))

        return replace(
            self,
            name=filled(self.name, write),
            trust=filled(self.trust, write),
            policies=filled(self.policies, write),
        )

    def shown(self) -> dict[str, Any]:
        """Return it as JSON values, placeholders included."""
        return {
            "purpose": self.purpose.name,
            "version": VERSION,
            "title": self.purpose.title,
            "madeBy": "Daywork" if self.purpose.is_made_by_us else "you",
            "putOn": "a further policy of a role" if self.is_addition else self.purpose.kind.value,
            "name": self.name,
            "trust": self.trust,
            "policies": [{"name": name, "document": document} for name, document in self.policies.items()],
            "policyKind": "managed" if self.is_managed else "inline",
            "instanceProfile": self.purpose.has_profile and not self.is_addition,
        }


def documents(purpose: Purpose, facts: Facts) -> RoleDocuments:
    """Return a purpose's documents.

    All inline policies of a role share 10,240 characters; what is longer becomes managed policies of at most 6,144.
    """
    policy = purpose.policy(facts)
    is_long, is_addition = purpose.kind is Kind.ROLE and size(policy) > INLINE_LIMIT, purpose.is_addition(facts)
    parts = list(split(policy)) if is_long else [policy]
    names = (
        [purpose.policy_name] if len(parts) == 1 else [f"{purpose.policy_name}-{n}" for n in range(1, len(parts) + 1)]
    )
    return RoleDocuments(
        purpose=purpose,
        name=_name(purpose, facts),
        trust=purpose.trust(facts) if purpose.trust is not None and not is_addition else None,
        policies=dict(zip(names, parts, strict=True)),
        is_managed=is_long or purpose.kind is Kind.BOUNDARY,
        is_addition=is_addition,
    )


def _name(purpose: Purpose, facts: Facts) -> str:
    if purpose.kind is Kind.BUCKET:
        return facts.control_bucket
    if purpose.kind is Kind.QUEUE:
        return facts.report_queue.rpartition(":")[2]
    if purpose.key is None:
        return purpose.policy_name if purpose.kind is Kind.BOUNDARY else "dw-SESSION"
    # The path is not part of a role's name.
    return facts.role(purpose.key).rpartition("/")[2]


def split(policy: Document, limit: int = MANAGED_LIMIT) -> Iterator[Document]:
    """Yield documents of at most `limit` characters that together say the same.

    Statements stay whole where they fit; one whose list of resources is too long becomes several.
    """
    held: list[Document] = []
    for statement in (part for one in policy["Statement"] for part in _pieces(one, limit)):
        if held and size({**policy, "Statement": [*held, statement]}) > limit:
            yield {**policy, "Statement": held}
            held = []
        held.append(statement)
    if held:
        yield {**policy, "Statement": held}


def _pieces(statement: Document, limit: int) -> Iterator[Document]:
    resources = statement["Resource"]
    if size({"Version": "2012-10-17", "Statement": [statement]}) <= limit or len(resources) == 1:
        yield statement
        return
    half = len(resources) // 2
    for number, part in enumerate((resources[:half], resources[half:])):
        # Within a policy no two statements may have the same Sid; in two policies they may, and do not.
        yield from _pieces({**statement, "Sid": f"{statement['Sid']}{'AB'[number]}", "Resource": part}, limit)
