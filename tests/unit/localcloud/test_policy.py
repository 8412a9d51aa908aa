"""Policy documents: reading them strictly, and what they say to a query."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.call import Principal
from localcloud.conditions import UnknownOperator
from localcloud.policy import (
    Decision,
    MalformedPolicy,
    Query,
    ask_identity,
    ask_resource,
    parse,
    trusts_service,
)

ROLE = Principal(
    "111111111111",
    "arn:aws:sts::111111111111:assumed-role/backup/session",
    "arn:aws:iam::111111111111:role/backup",
    "AROA1:session",
)


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    """Return a document; Effect, Action and Resource have defaults."""
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"} | one for one in statements],
    }


#: (statements, action, resource, decision)
IDENTITY: list[tuple[list[dict[str, Any]], str, str, Decision]] = [
    ([{}], "s3:GetObject", "arn:aws:s3:::b/k", Decision.ALLOWED),
    ([{"Action": "s3:Get*"}], "s3:GetObject", "arn:aws:s3:::b/k", Decision.ALLOWED),
    ([{"Action": "S3:getobject"}], "s3:GetObject", "arn:aws:s3:::b/k", Decision.ALLOWED),
    ([{"Action": "s3:Get*"}], "s3:PutObject", "arn:aws:s3:::b/k", Decision.SILENT),
    ([{"Action": ["s3:Put*", "s3:Get?bject"]}], "s3:GetObject", "arn:aws:s3:::b/k", Decision.ALLOWED),
    ([{"Resource": "arn:aws:s3:::b/*"}], "s3:GetObject", "arn:aws:s3:::b/k/deep", Decision.ALLOWED),
    ([{"Resource": "arn:aws:s3:::b/*"}], "s3:ListBucket", "arn:aws:s3:::b", Decision.SILENT),
    ([{"Resource": "arn:aws:s3:::B/*"}], "s3:GetObject", "arn:aws:s3:::b/k", Decision.SILENT),
    ([{}, {"Effect": "Deny", "Action": "s3:*"}], "s3:GetObject", "arn:aws:s3:::b/k", Decision.DENIED),
    ([{"Effect": "Deny", "Action": "s3:*"}, {}], "s3:GetObject", "arn:aws:s3:::b/k", Decision.DENIED),
    ([{}, {"Effect": "Deny", "Action": "ec2:*"}], "s3:GetObject", "arn:aws:s3:::b/k", Decision.ALLOWED),
    (
        [{}, {"Effect": "Deny", "Condition": {"StringNotEquals": {"aws:RequestedRegion": "eu-west-1"}}}],
        "ec2:RunInstances",
        "*",
        Decision.DENIED,
    ),
    ([], "s3:GetObject", "*", Decision.SILENT),
]


@pytest.mark.parametrize(("statements", "action", "resource", "expected"), IDENTITY)
def test_identity_policies_answer(
    statements: list[dict[str, Any]], action: str, resource: str, expected: Decision
) -> None:
    """A denial wins wherever it stands; what nobody mentions is not allowed."""
    assert ask_identity([parse(policy(*statements))], Query(action, resource)) is expected


def test_not_action_and_not_resource_mean_everything_else() -> None:
    """The negated elements cover what they do not name."""
    document = parse(
        {
            "Version": "2012-10-17",
            "Statement": {"Effect": "Allow", "NotAction": "iam:*", "NotResource": ["arn:aws:s3:::secret/*"]},
        }
    )

    assert ask_identity([document], Query("s3:GetObject", "arn:aws:s3:::open/k")) is Decision.ALLOWED
    assert ask_identity([document], Query("s3:GetObject", "arn:aws:s3:::secret/k")) is Decision.SILENT
    assert ask_identity([document], Query("iam:GetRole", "arn:aws:iam::1:role/r")) is Decision.SILENT


def test_one_document_denies_what_another_allows() -> None:
    """Documents of an identity are taken together."""
    documents = [parse(policy({})), parse(policy({"Effect": "Deny", "Action": "sqs:*"}))]

    assert ask_identity(documents, Query("sqs:SendMessage", "*")) is Decision.DENIED
    assert ask_identity(documents, Query("s3:GetObject", "*")) is Decision.ALLOWED


@pytest.mark.parametrize(
    ("principal", "expected"),
    [
        ("*", Decision.ALLOWED),
        ({"AWS": "*"}, Decision.ALLOWED),
        ({"AWS": ROLE.principal_arn}, Decision.ALLOWED),
        ({"AWS": ROLE.arn}, Decision.ALLOWED),
        ({"AWS": "arn:aws:iam::111111111111:root"}, Decision.ALLOWED_ACCOUNT),
        ({"AWS": "111111111111"}, Decision.ALLOWED_ACCOUNT),
        ({"AWS": ["222222222222", ROLE.principal_arn, "111111111111"]}, Decision.ALLOWED),
        ({"AWS": "222222222222"}, Decision.SILENT),
        ({"AWS": "arn:aws:iam::111111111111:role/back*"}, Decision.SILENT),
        ({"AWS": "arn:aws:iam::111111111111:role/path/backup"}, Decision.SILENT),
        ({"Service": "ec2.amazonaws.com"}, Decision.SILENT),
    ],
)
def test_resource_policies_name_principals(principal: Any, expected: Decision) -> None:
    """By ARN directly, by account for the account to decide, never by pattern."""
    document = parse(policy({"Principal": principal}))

    assert ask_resource(document, Query("sqs:SendMessage", "q"), ROLE) is expected


def test_a_resource_policys_denial_wins_and_not_principal_is_everybody_else() -> None:
    """Deny beats allow; NotPrincipal names whom a statement is not about."""
    denied = parse(policy({"Principal": "*"}, {"Effect": "Deny", "Principal": {"AWS": "111111111111"}}))
    others = parse(policy({"NotPrincipal": {"AWS": "arn:aws:iam::222222222222:role/x"}}))
    not_us = parse(policy({"NotPrincipal": {"AWS": ROLE.principal_arn}}))

    assert ask_resource(denied, Query("sqs:SendMessage", "q"), ROLE) is Decision.DENIED
    assert ask_resource(others, Query("sqs:SendMessage", "q"), ROLE) is Decision.ALLOWED
    assert ask_resource(not_us, Query("sqs:SendMessage", "q"), ROLE) is Decision.SILENT


def test_a_statement_without_principal_says_nothing_in_a_resource_policy() -> None:
    """An identity policy put on a resource opens nothing."""
    assert ask_resource(parse(policy({})), Query("sqs:SendMessage", "q"), ROLE) is Decision.SILENT


def test_a_trust_policy_names_services() -> None:
    """EC2 takes the roles that trust it, and only those."""
    trust = policy(
        {"Principal": {"Service": ["ec2.amazonaws.com", "lambda.amazonaws.com"]}, "Action": "sts:AssumeRole"}
    )
    denied = policy(
        {"Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"},
        {"Effect": "Deny", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:*"},
    )

    assert trusts_service(parse(trust), "ec2.amazonaws.com")
    assert not trusts_service(parse(trust), "ecs.amazonaws.com")
    assert not trusts_service(parse(denied), "ec2.amazonaws.com")
    assert not trusts_service(parse(policy({"Principal": {"AWS": "*"}})), "ec2.amazonaws.com")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("[]", "no Statement"),
        ("{}", "no Statement"),
        ('{"Statement": ["x"]}', "not an object"),
        ('{"Statement": {"Effect": "allow", "Action": "*"}}', "Effect"),
        ('{"Statement": {"Effect": "Allow"}}', "Action"),
        ('{"Statement": {"Effect": "Allow", "Action": "*", "Resouce": "*"}}', "Resouce"),
        ('{"Statement": {"Effect": "Allow", "Action": "*", "Principal": 1}}', "Principal"),
    ],
)
def test_a_document_that_is_none_says_what_is_wrong(text: str, said: str) -> None:
    """Reading is strict, so that a misspelt element is not simply without effect."""
    with pytest.raises(MalformedPolicy, match=said):
        parse(text)


def test_an_unknown_operator_is_found_when_the_document_is_read() -> None:
    """Not only when a request happens to need it."""
    with pytest.raises(UnknownOperator):
        parse(policy({"Condition": {"StringSame": {"aws:username": "ada"}}}))


def test_booleans_and_numbers_in_conditions_are_their_texts() -> None:
    """JSON's own true is IAM's "true"."""
    document = parse(policy({"Condition": {"Bool": {"aws:SecureTransport": True}, "NumericEquals": {"n": 3}}}))

    assert ask_identity([document], Query("a:b", "*", {"aws:securetransport": "true", "n": "3"})) is Decision.ALLOWED
