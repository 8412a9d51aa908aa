"""Condition blocks of IAM policies: operators, qualifiers, policy variables.

Rules: "IAM JSON policy elements: Condition operators" and "Policy variables" in the IAM User Guide. A condition holds
when every operator holds for every key; an operator holds when one of the values does (for negated ones: when none
does). A missing key makes an operator false, except negated ones, `...IfExists`, `Null` and `ForAllValues`. An
operator that is not known here is an error of the caller's policy, never silently true.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

#: Request context: keys in lower case; a key with several values (`aws:TagKeys`) holds a tuple.
Context = Mapping[str, "str | tuple[str, ...]"]

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_ARN_PARTS: Final = 6
_LITERALS: Final = frozenset("*?$")


class UnknownOperator(ValueError):
    """A condition operator that AWS does not have, or that this cloud does not evaluate."""


@lru_cache(maxsize=16384)
def _compiled(pattern: str, ignore_case: bool) -> re.Pattern[str]:  # noqa: FBT001 - a cache key
    text = "".join(".*" if char == "*" else "." if char == "?" else re.escape(char) for char in pattern)
    return re.compile(text, re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def like(pattern: str, value: str, context: Context | None = None, *, ignore_case: bool = False) -> bool:
    """Tell whether `value` matches `pattern`, in which `*` and `?` are wildcards and `${key}` a policy variable.

    A variable's value is taken literally: wildcards in it mean nothing. An undefined variable without default matches
    nothing.
    """
    if "${" not in pattern:
        return _compiled(pattern, ignore_case).fullmatch(value) is not None
    pieces = []
    last = 0
    for match in _VARIABLE.finditer(pattern):
        pieces.append(_compiled(pattern[last : match.start()], ignore_case).pattern)
        filled = _variable(match[1], context or {})
        if filled is None:
            return False
        pieces.append(re.escape(filled))
        last = match.end()
    pieces.append(_compiled(pattern[last:], ignore_case).pattern)
    return re.fullmatch("".join(pieces), value, re.DOTALL | (re.IGNORECASE if ignore_case else 0)) is not None


def _variable(name: str, context: Context) -> str | None:
    if name in _LITERALS:
        return name
    key, _, default = name.partition(",")
    value = context.get(key.strip().lower())
    if isinstance(value, str):
        return value
    default = default.strip()
    if len(default) > 1 and default[0] == default[-1] == "'":
        return default[1:-1]
    return None


def variables(text: str) -> list[str]:
    """Return the names of the policy variables in a text, those without a value of their own."""
    names = (match[1].partition(",")[0].strip() for match in _VARIABLE.finditer(text))
    return [name for name in names if name not in _LITERALS]


def fill(text: str, context: Context) -> str | None:
    """Return `text` with its policy variables replaced, or None when one is undefined."""
    if "${" not in text:
        return text
    out = []
    last = 0
    for match in _VARIABLE.finditer(text):
        filled = _variable(match[1], context)
        if filled is None:
            return None
        out += [text[last : match.start()], filled]
        last = match.end()
    return "".join([*out, text[last:]])


def _arn_like(pattern: str, value: str, context: Context) -> bool:
    wanted, given = pattern.split(":", _ARN_PARTS - 1), value.split(":", _ARN_PARTS - 1)
    # A variable may hold colons ("${aws:PrincipalArn}"): then the whole is compared, not part by part.
    if len(wanted) != _ARN_PARTS or len(given) != _ARN_PARTS or "${" in pattern:
        return like(pattern, value, context)
    return all(like(one, other) for one, other in zip(wanted, given, strict=True))


def _text(compare: Callable[[str, str], bool]) -> Callable[[str, str, Context], bool]:
    def test(wanted: str, given: str, context: Context) -> bool:
        filled = fill(wanted, context)
        return filled is not None and compare(filled, given)

    return test


def _number(compare: Callable[[float, float], bool]) -> Callable[[str, str, Context], bool]:
    def test(wanted: str, given: str, context: Context) -> bool:
        del context
        try:
            return compare(float(given), float(wanted))
        except ValueError:
            return False

    return test


def _date(compare: Callable[[float, float], bool]) -> Callable[[str, str, Context], bool]:
    def seconds(text: str) -> float:
        try:
            return float(text)
        except ValueError:
            moment = datetime.fromisoformat(text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()

    def test(wanted: str, given: str, context: Context) -> bool:
        del context
        try:
            return compare(seconds(given), seconds(wanted))
        except ValueError:
            return False

    return test


def _address(wanted: str, given: str, context: Context) -> bool:
    del context
    try:
        return ipaddress.ip_address(given) in ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        return False


_TESTS: Final[dict[str, Callable[[str, str, Context], bool]]] = {
    "StringEquals": _text(lambda wanted, given: wanted == given),
    "StringEqualsIgnoreCase": _text(lambda wanted, given: wanted.lower() == given.lower()),
    "StringLike": like,
    "ArnEquals": _arn_like,
    "ArnLike": _arn_like,
    "Bool": _text(lambda wanted, given: wanted.lower() == given.lower()),
    "NumericEquals": _number(lambda given, wanted: given == wanted),
    "NumericLessThan": _number(lambda given, wanted: given < wanted),
    "NumericLessThanEquals": _number(lambda given, wanted: given <= wanted),
    "NumericGreaterThan": _number(lambda given, wanted: given > wanted),
    "NumericGreaterThanEquals": _number(lambda given, wanted: given >= wanted),
    "DateEquals": _date(lambda given, wanted: given == wanted),
    "DateLessThan": _date(lambda given, wanted: given < wanted),
    "DateLessThanEquals": _date(lambda given, wanted: given <= wanted),
    "DateGreaterThan": _date(lambda given, wanted: given > wanted),
    "DateGreaterThanEquals": _date(lambda given, wanted: given >= wanted),
    "IpAddress": _address,
}
_NEGATED: Final[dict[str, str]] = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
    "NotIpAddress": "IpAddress",
}

_QUALIFIERS: Final = frozenset({"", "ForAllValues", "ForAnyValue"})


def check_operator(name: str) -> None:
    """Raise `UnknownOperator` when `name` (with qualifier and IfExists) is not evaluated here."""
    qualifier, _, base = name.rpartition(":")
    base = base.removesuffix("IfExists")
    if qualifier not in _QUALIFIERS or (base != "Null" and base not in _TESTS and base not in _NEGATED):
        raise UnknownOperator(f"condition operator {name!r} is not known")


def holds(conditions: Mapping[str, Mapping[str, Sequence[str]]], context: Context) -> bool:
    """Tell whether a whole Condition block holds in a context. Values are lists of strings."""
    return all(
        _operator_holds(name, key.lower(), values, context)
        for name, keys in conditions.items()
        for key, values in keys.items()
    )


def _operator_holds(name: str, key: str, wanted: Sequence[str], context: Context) -> bool:
    check_operator(name)
    qualifier, _, base = name.rpartition(":")
    optional = base.endswith("IfExists")
    base = base.removesuffix("IfExists")
    given = context.get(key)
    values: tuple[str, ...] = () if given is None else (given,) if isinstance(given, str) else given
    if base == "Null":
        return (not values) == (bool(wanted) and wanted[0].lower() == "true")
    negated = base in _NEGATED
    if not values:
        return optional or negated or qualifier == "ForAllValues"
    test = _TESTS[_NEGATED.get(base, base)]

    def one(value: str) -> bool:
        return any(test(option, value, context) for option in wanted) != negated

    return any(map(one, values)) if qualifier == "ForAnyValue" else all(map(one, values))
