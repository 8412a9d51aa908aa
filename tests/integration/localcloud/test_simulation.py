"""`iam:SimulatePrincipalPolicy` of the embedded cloud, through boto3, in the form in which IAM answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.cloud import EVERYTHING, LocalCloud, code

SNAPSHOT = "arn:aws:ec2:eu-west-1::snapshot/snap-1"
POLICY: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [
        {"Sid": "Read", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::kept/*"},
        {
            "Sid": "Blocks",
            "Effect": "Allow",
            "Action": "ebs:*",
            "Resource": "arn:aws:ec2:*::snapshot/*",
            "Condition": {"StringEquals": {"aws:ResourceTag/daywork:install": "blue"}},
        },
        {"Sid": "Orders", "Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::o/${aws:userid}"},
        {"Sid": "Never", "Effect": "Deny", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::kept/secret"},
        {"Sid": "Take", "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"},
    ],
}


@pytest.fixture(scope="module")
def account(cloud: LocalCloud) -> str:
    """An account of this module's own."""
    return cloud.account()


@pytest.fixture(scope="module")
def role(cloud: LocalCloud, account: str) -> str:
    """A role with `POLICY`."""
    return cloud.role(account, "reader", policy=POLICY)


def simulate(cloud: LocalCloud, account: str, source: str, *actions: str, **given: Any) -> list[dict[str, Any]]:
    """Simulate as the administrator; return the results."""
    answer = cloud.admin("iam", account).simulate_principal_policy(
        PolicySourceArn=source, ActionNames=list(actions), **given
    )
    assert answer["IsTruncated"] is False
    return list(answer["EvaluationResults"])


def tagged(value: str) -> list[dict[str, Any]]:
    """Return the context of a snapshot with the install's tag."""
    return [
        {
            "ContextKeyName": "aws:ResourceTag/daywork:install",
            "ContextKeyType": "string",
            "ContextKeyValues": [value],
        }
    ]


def test_an_action_is_decided_once_and_for_each_resource(cloud: LocalCloud, account: str, role: str) -> None:
    """The result itself is the strictest of its resources'."""
    resources = ["arn:aws:s3:::kept/a", "arn:aws:s3:::other/a", "arn:aws:s3:::kept/secret"]

    (result,) = simulate(cloud, account, role, "s3:GetObject", ResourceArns=resources)

    assert result["EvalActionName"] == "s3:GetObject"
    assert result["EvalDecision"] == "explicitDeny"
    assert result["EvalResourceName"] == "arn:${Partition}:s3:::${BucketName}/${KeyName}"
    assert [(one["EvalResourceName"], one["EvalResourceDecision"]) for one in result["ResourceSpecificResults"]] == [
        (resources[0], "allowed"),
        (resources[1], "implicitDeny"),
        (resources[2], "explicitDeny"),
    ]
    assert "PermissionsBoundaryDecisionDetail" not in result


def test_the_statements_that_decided_are_named_by_their_place(cloud: LocalCloud, account: str, role: str) -> None:
    """A denial is the only one named; lines and columns are of the policy's text."""
    resources = ["arn:aws:s3:::kept/a", "arn:aws:s3:::kept/secret"]

    (result,) = simulate(cloud, account, role, "s3:GetObject", ResourceArns=resources)

    allowed, denied = (one["MatchedStatements"] for one in result["ResourceSpecificResults"])
    assert [statement["SourcePolicyId"] for statement in (*allowed, *denied)] == ["role_reader_own"] * 2
    assert allowed[0]["SourcePolicyType"] == "role"
    text = json.dumps(POLICY)
    for (matched,), sid in ((allowed, "Read"), (denied, "Never")):
        begin, end = matched["StartPosition"]["Column"] - 1, matched["EndPosition"]["Column"]
        assert json.loads(text[begin:end])["Sid"] == sid


def test_conditions_hold_by_what_the_caller_tells_alone(cloud: LocalCloud, account: str, role: str) -> None:
    """A key that nobody told is missing, and named."""
    (silent,) = simulate(cloud, account, role, "ebs:GetSnapshotBlock", ResourceArns=[SNAPSHOT])
    (told,) = simulate(
        cloud, account, role, "ebs:GetSnapshotBlock", ResourceArns=[SNAPSHOT], ContextEntries=tagged("blue")
    )
    (other,) = simulate(
        cloud, account, role, "ebs:GetSnapshotBlock", ResourceArns=[SNAPSHOT], ContextEntries=tagged("red")
    )

    assert silent["ResourceSpecificResults"][0]["MissingContextValues"] == ["aws:ResourceTag/daywork:install"]
    assert [one["EvalDecision"] for one in (silent, told, other)] == ["implicitDeny", "allowed", "implicitDeny"]
    assert told["MissingContextValues"] == []


def test_policy_variables_of_the_role_session_must_be_told(cloud: LocalCloud, account: str, role: str) -> None:
    """Nobody knows the session's name beforehand."""
    place = ["arn:aws:s3:::o/AROA:i-1"]
    user = [{"ContextKeyName": "aws:userid", "ContextKeyType": "string", "ContextKeyValues": ["AROA:i-1"]}]

    (silent,) = simulate(cloud, account, role, "s3:PutObject", ResourceArns=place)
    (told,) = simulate(cloud, account, role, "s3:PutObject", ResourceArns=place, ContextEntries=user)

    assert (silent["EvalDecision"], silent["MissingContextValues"]) == ("implicitDeny", ["aws:userid"])
    assert told["EvalDecision"] == "allowed"


def test_without_resources_all_are_meant(cloud: LocalCloud, account: str, role: str) -> None:
    """Then there are no results of resources."""
    taken, described = simulate(cloud, account, role, "sts:AssumeRole", "ec2:DescribeInstances")

    assert [one["EvalDecision"] for one in (taken, described)] == ["allowed", "implicitDeny"]
    assert "ResourceSpecificResults" not in taken
    assert "EvalDecisionDetails" not in taken
    assert described["MatchedStatements"] == []


def test_another_accounts_role_needs_both_sides(cloud: LocalCloud, account: str, role: str) -> None:
    """The details tell which side is silent."""
    (result,) = simulate(cloud, account, role, "sts:AssumeRole", ResourceArns=["arn:aws:iam::999999999999:role/data"])

    assert result["EvalDecision"] == "implicitDeny"
    assert result["EvalDecisionDetails"] == {"IAM Policy": "allowed", "Resource Policy": "implicitDeny"}


def test_a_permissions_boundary_limits_and_is_told(cloud: LocalCloud, account: str) -> None:
    """The boundary's part in the decision is named."""
    boundary = cloud.admin("iam", account).create_policy(
        PolicyName="edge",
        PolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}
        ),
    )["Policy"]["Arn"]
    role = cloud.role(account, "bounded", policy=EVERYTHING, PermissionsBoundary=boundary)

    within, beyond = simulate(cloud, account, role, "s3:GetObject", "ec2:RunInstances")

    assert [one["EvalDecision"] for one in (within, beyond)] == ["allowed", "implicitDeny"]
    details = [one["PermissionsBoundaryDecisionDetail"] for one in (within, beyond)]
    assert details == [{"AllowedByPermissionsBoundary": True}, {"AllowedByPermissionsBoundary": False}]


def test_policies_that_are_only_meant_take_part(cloud: LocalCloud, account: str, role: str) -> None:
    """`PolicyInputList` shows what a statement would help, a boundary given what it would cost."""
    wanted = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"}}
    (helped,) = simulate(cloud, account, role, "ec2:DescribeInstances", PolicyInputList=[json.dumps(wanted)])
    (bounded,) = simulate(
        cloud, account, role, "sts:AssumeRole", PermissionsBoundaryPolicyInputList=[json.dumps(wanted)]
    )

    assert helped["EvalDecision"] == "allowed"
    assert [one["SourcePolicyId"] for one in helped["MatchedStatements"]] == ["PolicyInputList.1"]
    assert bounded["EvalDecision"] == "implicitDeny"


def test_long_answers_come_in_pages(cloud: LocalCloud, account: str, role: str) -> None:
    """The paginator of botocore reads them all."""
    pages = cloud.admin("iam", account).get_paginator("simulate_principal_policy")
    actions = ["s3:GetObject", "s3:PutObject", "sts:AssumeRole"]

    read = [
        result["EvalActionName"]
        for page in pages.paginate(PolicySourceArn=role, ActionNames=actions, MaxItems=2)
        for result in page["EvaluationResults"]
    ]

    assert read == actions


def test_who_may_not_simulate_is_refused(cloud: LocalCloud, account: str, role: str) -> None:
    """The right is one on the role that is asked about."""
    allowed = {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Action": "iam:SimulatePrincipalPolicy", "Resource": role},
    }
    may, may_not = cloud.user(account, "may", allowed), cloud.user(account, "may-not")
    asked = {"PolicySourceArn": role, "ActionNames": ["s3:GetObject"]}

    assert cloud.client("iam", may).simulate_principal_policy(**asked)["EvaluationResults"]
    assert code(lambda: cloud.client("iam", may_not).simulate_principal_policy(**asked)) == "AccessDenied"


def test_wrong_questions_are_refused(cloud: LocalCloud, account: str, role: str) -> None:
    """Unknown roles, actions without a service, policies that cannot be read, resource policies for roles."""
    iam = cloud.admin("iam", account)
    nobody = role.replace("reader", "nobody")

    def ask(source: str = role, action: str = "s3:GetObject", **given: Any) -> str:
        return code(lambda: iam.simulate_principal_policy(PolicySourceArn=source, ActionNames=[action], **given))

    assert ask(nobody) == "NoSuchEntity"
    assert ask(action="GetObject") == "InvalidInput"
    assert ask(PolicyInputList=["{}"]) == "InvalidInput"
    assert ask(ResourcePolicy=json.dumps(EVERYTHING)) == "InvalidInput"
