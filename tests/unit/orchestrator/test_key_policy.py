"""What a key's policy says of a role that is to use the key."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.key_policy import Says, says

ACCOUNT = "222222222222"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/DayworkData"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
OTHER = f"arn:aws:iam::{ACCOUNT}:role/Administrator"
VIA = {"kms:ViaService": "ec2.eu-west-1.amazonaws.com"}
DECRYPT = {"Action": "kms:Decrypt", "Resource": "*"}


def allow(principal: Any, action: Any = "kms:*", **more: Any) -> dict[str, Any]:
    """Return a statement that allows."""
    return {"Effect": "Allow", "Principal": principal, "Action": action, "Resource": "*", **more}


def deny(principal: Any, action: Any = "kms:*", **more: Any) -> dict[str, Any]:
    """Return a statement that denies."""
    return {**allow(principal, action, **more), "Effect": "Deny"}


def asked(*statements: dict[str, Any]) -> Says:
    """Ask a policy of these statements."""
    policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    return says(policy, role_arn=ROLE, action="kms:Decrypt", context=VIA)


@pytest.mark.parametrize(
    ("expected", "statements"),
    [
        (Says.AS_THE_ACCOUNT_SAYS, [allow({"AWS": ROOT})]),
        (Says.AS_THE_ACCOUNT_SAYS, [allow({"AWS": [OTHER, ACCOUNT]}, ["kms:Encrypt", "kms:De*"])]),
        (Says.ALLOWED, [allow({"AWS": ROLE}, "KMS:decrypt")]),
        (Says.ALLOWED, [allow({"AWS": ROOT}), allow({"AWS": [OTHER, ROLE]}, "kms:Decrypt")]),
        (Says.ALLOWED, [allow("*", Condition={"StringEquals": {"kms:CallerAccount": ACCOUNT, **VIA}})]),
        (Says.ALLOWED, [allow({"AWS": "*"}, Condition={"ArnLike": {"aws:PrincipalArn": f"{ROLE[:-4]}*"}})]),
        (Says.ALLOWED, [allow({"AWS": ROLE}, Condition={"StringLike": {"kms:ViaService": "ec2.*.amazonaws.com"}})]),
        (Says.DENIED, []),
        (Says.DENIED, [allow({"AWS": OTHER})]),
        (Says.DENIED, [allow({"AWS": "arn:aws:iam::333333333333:root"})]),
        (Says.DENIED, [allow({"AWS": ROOT}, "kms:DescribeKey")]),
        (Says.DENIED, [allow({"AWS": ROLE}, Condition={"StringEquals": {"kms:ViaService": "s3.amazonaws.com"}})]),
        (Says.DENIED, [allow({"Service": "logs.amazonaws.com"})]),
        (Says.DENIED, [allow({"AWS": ROOT}), deny({"AWS": ROLE}, "kms:Decrypt")]),
        (Says.DENIED, [allow({"AWS": ROLE}), deny("*", Condition={"StringNotEquals": {"aws:PrincipalArn": OTHER}})]),
        (Says.ALLOWED, [allow({"AWS": ROLE}), deny({"AWS": OTHER})]),
        (Says.UNSURE, [allow({"AWS": ROLE}, Condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}})]),
        (Says.UNSURE, [allow({"AWS": ROLE}, Condition={"StringEquals": {"aws:PrincipalTag/team": "backup"}})]),
        (Says.UNSURE, [allow({"AWS": ROOT}), deny("*", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})]),
        (Says.UNSURE, [{"Effect": "Allow", "NotPrincipal": {"AWS": OTHER}, **DECRYPT}]),
        (Says.ALLOWED, [allow({"AWS": ROLE}), allow("*", Condition={"Null": {"aws:TokenIssueTime": "false"}})]),
    ],
)
def test_a_policy_says(expected: Says, statements: list[dict[str, Any]]) -> None:
    """Who is named decides; a denial wins; what cannot be told is never taken for a yes or a no."""
    assert asked(*statements) is expected


@pytest.mark.parametrize("text", ["", "null", "[]", '{"Statement": [1]}', '{"Statement": {"Effect": "Allow"}}'])
def test_what_is_no_policy_says_nothing(text: str) -> None:
    """Neither yes nor no, and no error."""
    assert says(text, role_arn=ROLE, action="kms:Decrypt", context=VIA) is Says.UNSURE
