"""Several policies over one resource: allowed, and the one of the highest priority has it when they collide. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.planner.claim import Claim, ranked
from orchestrator.planner.context import Context
from orchestrator.planner.selection import Subject, is_meant


def covering(context: Context, claims: Iterable[Claim], subject: Subject) -> list[Claim]:
    """Return the claims that cover a resource, by rank: the first one wins when they collide."""
    return ranked(
        one
        for one in claims
        if is_meant(context, subject, resources=one.resources, select=one.select, exclude=one.exclude)
    )


def outranking(context: Context, claims: Iterable[Claim], policy: str, subject: Subject) -> list[Claim]:
    """Return the claims over a resource that go before a policy's own, by rank. A policy without a claim has none."""
    found = covering(context, claims, subject)
    own = [number for number, one in enumerate(found) if one.policy == policy]
    return found[: own[0]] if own else []
