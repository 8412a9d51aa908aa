"""Condition blocks, row by row as the IAM User Guide tells them."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.conditions import UnknownOperator, check_operator, fill, holds, like

CONTEXT: dict[str, str | tuple[str, ...]] = {
    "aws:username": "ada",
    "aws:userid": "AROA1:i-1",
    "aws:principalarn": "arn:aws:iam::111111111111:role/daywork/local/dw-1",
    "aws:sourceip": "192.0.2.7",
    "aws:currenttime": "2026-11-23T12:00:00Z",
    "aws:epochtime": "1795435200",
    "aws:securetransport": "true",
    "aws:requesttag/team": "Blue",
    "aws:tagkeys": ("team", "cost"),
    "s3:max-keys": "10",
    "s3:prefix": "home/ada/",
    "empty": (),
}

#: (operator, key, values, holds)
TABLE: list[tuple[str, str, Any, bool]] = [
    # strings
    ("StringEquals", "aws:RequestTag/team", ["Blue"], True),
    ("StringEquals", "aws:RequestTag/team", ["Red", "Blue"], True),
    ("StringEquals", "aws:RequestTag/team", ["blue"], False),
    ("StringEquals", "aws:RequestTag/team", ["B*"], False),
    ("StringEquals", "aws:RequestTag/missing", ["Blue"], False),
    ("StringEquals", "AWS:REQUESTTAG/TEAM", ["Blue"], True),
    ("StringNotEquals", "aws:RequestTag/team", ["Red"], True),
    ("StringNotEquals", "aws:RequestTag/team", ["Red", "Blue"], False),
    ("StringNotEquals", "aws:RequestTag/missing", ["Red"], True),
    ("StringEqualsIgnoreCase", "aws:RequestTag/team", ["bLUE"], True),
    ("StringNotEqualsIgnoreCase", "aws:RequestTag/team", ["bLUE"], False),
    ("StringLike", "aws:RequestTag/team", ["B?u*"], True),
    ("StringLike", "aws:RequestTag/team", ["b*"], False),
    ("StringNotLike", "aws:RequestTag/team", ["B*"], False),
    ("StringNotLike", "aws:RequestTag/team", ["R*"], True),
    ("StringLike", "s3:prefix", ["home/${aws:username}/*"], True),
    ("StringLike", "s3:prefix", ["home/${aws:nobody}/*"], False),
    ("StringLike", "s3:prefix", ["home/${aws:nobody, 'ada'}/*"], True),
    ("StringEquals", "s3:prefix", ["home/${aws:username}/"], True),
    # numbers, dates, booleans, addresses
    ("NumericEquals", "s3:max-keys", ["10.0"], True),
    ("NumericLessThan", "s3:max-keys", ["10"], False),
    ("NumericLessThanEquals", "s3:max-keys", ["10"], True),
    ("NumericGreaterThan", "s3:max-keys", ["9"], True),
    ("NumericGreaterThanEquals", "s3:max-keys", ["11"], False),
    ("NumericNotEquals", "s3:max-keys", ["10"], False),
    ("NumericEquals", "aws:username", ["10"], False),
    ("DateGreaterThan", "aws:CurrentTime", ["2026-11-23T11:59:59Z"], True),
    ("DateLessThan", "aws:CurrentTime", ["2026-11-23T12:00:00Z"], False),
    ("DateLessThanEquals", "aws:CurrentTime", ["2026-11-23T12:00:00Z"], True),
    ("DateEquals", "aws:CurrentTime", ["2026-11-23T13:00:00+01:00"], True),
    ("DateLessThan", "aws:EpochTime", ["2026-11-24"], True),
    ("DateGreaterThan", "aws:CurrentTime", ["not a date"], False),
    ("Bool", "aws:SecureTransport", ["true"], True),
    ("Bool", "aws:SecureTransport", ["false"], False),
    ("Bool", "aws:MultiFactorAuthPresent", ["false"], False),
    ("BoolIfExists", "aws:MultiFactorAuthPresent", ["true"], True),
    ("IpAddress", "aws:SourceIp", ["192.0.2.0/24"], True),
    ("IpAddress", "aws:SourceIp", ["192.0.2.7"], True),
    ("IpAddress", "aws:SourceIp", ["2001:db8::/32"], False),
    ("NotIpAddress", "aws:SourceIp", ["192.0.2.0/24"], False),
    # ARNs
    ("ArnLike", "aws:PrincipalArn", ["arn:aws:iam::111111111111:role/daywork/local/*"], True),
    ("ArnLike", "aws:PrincipalArn", ["arn:aws:iam::*:role/daywork/*"], True),
    ("ArnEquals", "aws:PrincipalArn", ["arn:aws:iam::*:role/daywork/*"], True),
    ("ArnLike", "aws:PrincipalArn", ["arn:aws:iam::222222222222:role/*"], False),
    ("ArnLike", "aws:PrincipalArn", ["*"], True),
    ("ArnNotLike", "aws:PrincipalArn", ["arn:aws:iam::111111111111:role/other/*"], True),
    ("ArnNotEquals", "aws:Missing", ["arn:aws:iam::111111111111:role/other/*"], True),
    # Null, IfExists, sets
    ("Null", "aws:RequestTag/missing", ["true"], True),
    ("Null", "aws:RequestTag/team", ["true"], False),
    ("Null", "aws:RequestTag/team", ["false"], True),
    ("Null", "empty", ["true"], True),
    ("StringEqualsIfExists", "aws:RequestTag/missing", ["Blue"], True),
    ("StringEqualsIfExists", "aws:RequestTag/team", ["Red"], False),
    ("ForAllValues:StringEquals", "aws:TagKeys", ["team", "cost", "more"], True),
    ("ForAllValues:StringEquals", "aws:TagKeys", ["team"], False),
    ("ForAllValues:StringEquals", "aws:Missing", ["team"], True),
    ("ForAnyValue:StringEquals", "aws:TagKeys", ["cost", "else"], True),
    ("ForAnyValue:StringEquals", "aws:TagKeys", ["else"], False),
    ("ForAnyValue:StringEquals", "aws:Missing", ["else"], False),
    ("ForAnyValue:StringLike", "aws:TagKeys", ["t*"], True),
    ("ForAllValues:StringNotEquals", "aws:TagKeys", ["else"], True),
    ("ForAllValues:StringNotEquals", "aws:TagKeys", ["cost"], False),
]


@pytest.mark.parametrize(("operator", "key", "values", "expected"), TABLE)
def test_an_operator_holds_as_the_guide_says(
    operator: str,
    key: str,
    values: list[str],
    expected: bool,  # noqa: FBT001 - a table column
) -> None:
    """One row of the table."""
    assert holds({operator: {key: values}}, CONTEXT) is expected


def test_every_operator_and_every_key_must_hold() -> None:
    """A block is an and of operators, an operator an and of keys, a key an or of values."""
    good = {"StringEquals": {"aws:username": ["ada"]}, "Bool": {"aws:SecureTransport": ["true"]}}

    assert holds({}, CONTEXT)
    assert holds(good, CONTEXT)
    assert not holds({**good, "NumericLessThan": {"s3:max-keys": ["1"]}}, CONTEXT)
    assert not holds({"StringEquals": {"aws:username": ["ada"], "s3:prefix": ["other"]}}, CONTEXT)


@pytest.mark.parametrize("name", ["StringEqual", "stringEquals", "ForSomeValues:StringEquals", "BinaryEquals", ""])
def test_an_unknown_operator_is_an_error_never_true(name: str) -> None:
    """A misspelt operator is refused when the policy is read, and when it is evaluated."""
    with pytest.raises(UnknownOperator):
        check_operator(name)
    with pytest.raises(UnknownOperator):
        holds({name: {"aws:username": ["ada"]}}, CONTEXT)


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        ("orders/*/${aws:userid}.json", "orders/s-1/AROA1:i-1.json", True),
        ("orders/*/${aws:userid}.json", "orders/s-1/AROA1:i-2.json", False),
        ("orders/*/${aws:userid}.json", "orders/s-1/AROA1:i-1.jsonx", False),
        ("a${*}b", "a*b", True),
        ("a${*}b", "axxb", False),
        ("a${?}${$}", "a?$", True),
        ("line\n*", "line\nanything\nmore", True),
        ("[a-z]+", "b", False),
    ],
)
def test_patterns_know_wildcards_and_variables_alone(pattern: str, value: str, expected: bool) -> None:  # noqa: FBT001 - a table column
    """`*`, `?` and `${...}` mean something; regular expressions and wildcards inside variables do not."""
    assert like(pattern, value, CONTEXT) is expected


def test_a_variables_value_is_never_a_pattern() -> None:
    """Whoever can choose a name with a star in it gains nothing by it."""
    context = {"aws:username": "*"}

    assert not like("home/${aws:username}/x", "home/ada/x", context)
    assert like("home/${aws:username}/x", "home/*/x", context)
    assert fill("home/${aws:username}", context) == "home/*"
    assert fill("home/${aws:nobody}", context) is None
