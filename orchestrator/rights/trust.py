"""Does a policy with principals let somebody in? For trust policies that can be read but not tried.

Understands what our own documents say: principals by ARN, account or service, and the text and ARN operators. Whatever
else a condition asks for is not judged, and said so: a look must not cry wolf over a policy that is stricter than ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any, Final

_POSITIVE: Final = frozenset({"StringEquals", "StringLike", "ArnEquals", "ArnLike"})


class Answer(Enum):
    """What a policy says to a question."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Question:
    """Who wants to do what. `account` is empty for a service; `context` holds condition keys in lower case."""

    principal: str
    action: str
    account: str = ""
    resource: str | None = None
    context: Mapping[str, str] | None = None


def lets_in(policy: Mapping[str, Any], question: Question) -> Answer:
    """Judge a policy. A statement that denies and cannot be judged makes the answer unknown."""
    found = Answer.NO
    for statement in _listed(policy.get("Statement", [])):
        fits = _fits(statement, question)
        if fits is Answer.NO:
            continue
        if statement.get("Effect") == "Deny":
            return Answer.NO if fits is Answer.YES else Answer.UNKNOWN
        if found is not Answer.YES:
            found = fits
    return found


def _fits(statement: Mapping[str, Any], question: Question) -> Answer:
    if "NotPrincipal" in statement or "NotAction" in statement or "NotResource" in statement:
        return Answer.UNKNOWN
    if not _names(statement.get("Principal"), question):
        return Answer.NO
    if not any(_like(one.lower(), question.action.lower()) for one in _listed(statement.get("Action", []))):
        return Answer.NO
    if question.resource is not None and not any(
        # A pattern of ours may hold variables; the same text stands for the same resources.
        one == question.resource or _like(one, question.resource)
        for one in _listed(statement.get("Resource", []))
    ):
        return Answer.NO
    return _holds(statement.get("Condition", {}), question.context or {})


def _names(principal: Any, question: Question) -> bool:
    if principal == "*":
        return True
    if not isinstance(principal, Mapping):
        return False
    if not question.account:
        return question.principal in _listed(principal.get("Service", []))
    wanted = {"*", question.principal, question.account, f"arn:aws:iam::{question.account}:root"}
    return bool(wanted & set(_listed(principal.get("AWS", []))))


def _holds(conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> Answer:
    for operator, keys in conditions.items():
        for key, values in keys.items():
            given = context.get(key.lower())
            if operator not in _POSITIVE or given is None:
                return Answer.UNKNOWN
            if not any(_like(value, given) for value in _listed(values)):
                return Answer.NO
    return Answer.YES


def _like(pattern: str, value: str) -> bool:
    return fnmatchcase(value, pattern.replace("[", "[[]"))


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
