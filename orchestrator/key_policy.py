"""What a KMS key's policy says of a role: KMS asks it of every use, whatever the role's own policies say.

IAM's simulation does not take policies of resources into account for roles, so this much of evaluating is done here. It
never guesses: what it cannot read (NotPrincipal, NotAction, unknown condition keys) makes the answer unsure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any


class Says(StrEnum):
    """What a key policy says of a role and an action."""

    ALLOWED = "allowed"
    """It names the role: the role's own policies need not allow it."""
    AS_THE_ACCOUNT_SAYS = "as-the-account-says"
    """It names the role's account: what the role's own policies say counts."""
    DENIED = "denied"
    """It denies, or allows nobody of whom the role is one."""
    UNSURE = "unsure"
    """It depends on what cannot be seen from here."""


_MATCHES, _DOES_NOT, _UNSURE = "matches", "does-not", "unsure"


def says(policy: str, *, role_arn: str, action: str, context: Mapping[str, str]) -> Says:
    """Return what a key policy says of a role's action; `context` holds the condition keys that are known.

    A text that is no policy is `UNSURE`.
    """
    try:
        statements = _listed(json.loads(policy)["Statement"])
        known = {name.lower(): value for name, value in context.items()} | _of_caller(role_arn)
        judged = [
            (str(one["Effect"]), _kind(one, role_arn), _applies(one, role_arn, action, known)) for one in statements
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return Says.UNSURE
    denials = [applies for effect, _, applies in judged if effect == "Deny"]
    if _MATCHES in denials:
        return Says.DENIED
    allowances = [(kind, applies) for effect, kind, applies in judged if effect == "Allow"]
    if _UNSURE in denials:
        return Says.UNSURE
    if ("role", _MATCHES) in allowances:
        return Says.ALLOWED
    if ("account", _MATCHES) in allowances:
        return Says.AS_THE_ACCOUNT_SAYS
    return Says.UNSURE if any(applies == _UNSURE for _, applies in allowances) else Says.DENIED


def _of_caller(role_arn: str) -> dict[str, str]:
    account = role_arn.split(":")[4]
    return {"aws:principalarn": role_arn, "aws:principalaccount": account, "kms:calleraccount": account}


def _kind(statement: Mapping[str, Any], role_arn: str) -> str:
    """Return whether a statement names the role itself (or everybody), or its account."""
    return "role" if {"*", role_arn} & set(_principals(statement)) else "account"


def _principals(statement: Mapping[str, Any]) -> list[str]:
    if "NotPrincipal" in statement:
        return []
    named = statement["Principal"]
    return ["*"] if named == "*" else [str(one) for one in _listed(named.get("AWS", []))]


def _applies(statement: Mapping[str, Any], role_arn: str, action: str, context: Mapping[str, str]) -> str:
    if "NotPrincipal" in statement or "NotAction" in statement:
        return _UNSURE
    account = role_arn.split(":")[4]
    if not {"*", role_arn, account, f"arn:aws:iam::{account}:root"} & set(_principals(statement)):
        return _DOES_NOT
    if not any(_like(str(one).lower(), action.lower()) for one in _listed(statement["Action"])):
        return _DOES_NOT
    return _conditions(statement.get("Condition", {}), context)


def _conditions(conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> str:
    """Return whether all conditions hold, as far as they can be told."""
    found = [
        _holds(operator, context.get(key.lower()), [str(one) for one in _listed(values)])
        for operator, keys in conditions.items()
        for key, values in keys.items()
    ]
    if _DOES_NOT in found:
        return _DOES_NOT
    return _UNSURE if _UNSURE in found else _MATCHES


def _holds(operator: str, value: str | None, wanted: Iterable[str]) -> str:
    if value is None:
        return _UNSURE
    if operator in ("StringEquals", "ArnEquals"):
        is_met = value in wanted
    elif operator in ("StringLike", "ArnLike"):
        is_met = any(_like(one, value) for one in wanted)
    elif operator == "StringNotEquals":
        is_met = value not in wanted
    else:
        return _UNSURE
    return _MATCHES if is_met else _DOES_NOT


def _like(pattern: str, text: str) -> bool:
    return _compiled(pattern).fullmatch(text) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    """Return the expression for a pattern of IAM: * for anything, ? for one character."""
    return re.compile("".join({"*": ".*", "?": "."}.get(one, re.escape(one)) for one in pattern), re.DOTALL)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
