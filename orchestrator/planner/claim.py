"""What a policy lays claim to, by its document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.model.request import Exclusion, ResourceSelector, TagSelector


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a policy of the same operation lays claim to."""

    policy: str
    priority: int
    resources: tuple[ResourceSelector, ...] = ()
    select: tuple[TagSelector, ...] = ()
    exclude: tuple[Exclusion, ...] = ()

    @classmethod
    def of(cls, policy: str, document: Mapping[str, Any]) -> Claim:
        """Read the claim of a policy's document, as it is stored."""
        return cls(
            policy=policy,
            priority=int(document.get("priority", 0)),
            resources=tuple(ResourceSelector.model_validate(one) for one in document.get("resources", ())),
            select=tuple(TagSelector.model_validate(one) for one in document.get("select", ())),
            exclude=tuple(Exclusion.model_validate(one) for one in document.get("exclude", ())),
        )

    def __str__(self) -> str:
        """Name it with its rank."""
        return f"{self.policy} (priority {self.priority})"


def ranked(claims: Iterable[Claim]) -> list[Claim]:
    """Return claims by their rank: the higher priority first, among equals the earlier name."""
    return sorted(claims, key=lambda one: (-one.priority, one.policy))
