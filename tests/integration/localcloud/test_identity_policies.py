"""Identity policies over HTTP: inline, attached, of groups; boundaries, denials, conditions, errors of each service."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.cloud import EVERYTHING, REGION, LocalCloud, code


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    """Return a policy document; Effect, Action and Resource have defaults."""
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"} | one for one in statements],
    }


def test_a_user_without_policies_may_do_nothing(cloud: LocalCloud) -> None:
    """Except asking who it is; each service refuses in its own word."""
    account = cloud.account()
    keys = cloud.user(account, "nobody")
    client = lambda service: cloud.client(service, keys)  # noqa: E731 - a short name

    assert client("sts").get_caller_identity()["Account"] == account
    assert code(lambda: client("ec2").describe_instances()) == "UnauthorizedOperation"
    assert code(lambda: client("iam").list_roles()) == "AccessDenied"
    assert code(lambda: client("s3").list_buckets()) == "AccessDenied"
    assert code(lambda: client("sqs").create_queue(QueueName="q")) == "AccessDenied"
    assert code(lambda: client("kms").create_key()) == "AccessDeniedException"
    assert code(lambda: client("ebs").start_snapshot(VolumeSize=1)) == "AccessDeniedException"


def test_services_without_rules_of_their_own_are_not_open(cloud: LocalCloud) -> None:
    """Their calls demand their own action; some on the resource that they name."""
    account = cloud.account()
    nobody = cloud.user(account, "nobody-else")
    reads = document(
        {"Action": "rds:DescribeDBInstances", "Resource": f"arn:aws:rds:*:{account}:db:*"},
        {
            "Action": "elasticfilesystem:DescribeFileSystems",
            "Resource": "arn:aws:elasticfilesystem:*:*:file-system/fs-1",
        },
    )
    reader = cloud.user(account, "reads", reads)

    assert code(lambda: cloud.client("rds", nobody).describe_db_instances()) == "AccessDenied"
    assert code(lambda: cloud.client("efs", nobody).describe_file_systems()) == "AccessDeniedException"
    assert code(lambda: cloud.client("sns", nobody).list_topics()) == "AccessDenied"
    assert cloud.client("rds", reader).describe_db_instances()["DBInstances"] == []
    assert code(lambda: cloud.client("efs", reader).describe_file_systems()) == "AccessDeniedException"
    assert code(lambda: cloud.client("efs", reader).describe_file_systems(FileSystemId="fs-1")) == "FileSystemNotFound"


def test_policies_come_inline_attached_and_from_groups(cloud: LocalCloud) -> None:
    """All of them count, and a denial in any of them wins."""
    account = cloud.account()
    keys = cloud.user(account, "member", document({"Action": "iam:ListRoles"}))
    iam, own = cloud.admin("iam", account), cloud.client("iam", keys)
    managed = iam.create_policy(PolicyName="users", PolicyDocument=json.dumps(document({"Action": "iam:ListUsers"})))
    iam.create_group(GroupName="group")
    iam.put_group_policy(
        GroupName="group", PolicyName="own", PolicyDocument=json.dumps(document({"Action": "iam:ListGroups"}))
    )

    assert own.list_roles()["Roles"] == []
    assert code(own.list_users) == "AccessDenied"
    iam.attach_user_policy(UserName="member", PolicyArn=managed["Policy"]["Arn"])
    assert own.list_users()["Users"]
    assert code(own.list_groups) == "AccessDenied"
    iam.add_user_to_group(GroupName="group", UserName="member")
    assert own.list_groups()["Groups"]
    iam.put_group_policy(
        GroupName="group", PolicyName="own", PolicyDocument=json.dumps(document({"Effect": "Deny", "Action": "iam:*"}))
    )
    assert {code(one) for one in (own.list_roles, own.list_users, own.list_groups)} == {"AccessDenied"}


def test_the_default_version_of_a_managed_policy_counts(cloud: LocalCloud) -> None:
    """A new version changes nothing until it is the default."""
    account = cloud.account()
    iam = cloud.admin("iam", account)
    arn = iam.create_policy(PolicyName="roles", PolicyDocument=json.dumps(document({"Action": "iam:ListRoles"})))[
        "Policy"
    ]["Arn"]
    keys = cloud.user(account, "member")
    iam.attach_user_policy(UserName="member", PolicyArn=arn)
    version = iam.create_policy_version(
        PolicyArn=arn, PolicyDocument=json.dumps(document({"Action": "iam:ListUsers"})), SetAsDefault=False
    )["PolicyVersion"]["VersionId"]
    own = cloud.client("iam", keys)

    assert own.list_roles()["Roles"] == []
    iam.set_default_policy_version(PolicyArn=arn, VersionId=version)
    assert own.list_users()["Users"]
    assert code(own.list_roles) == "AccessDenied"


def test_a_boundary_is_the_most_that_anybody_may(cloud: LocalCloud) -> None:
    """What the boundary does not allow is refused, and a boundary that is gone allows nothing."""
    account = cloud.account()
    iam = cloud.admin("iam", account)
    boundary = iam.create_policy(
        PolicyName="limit", PolicyDocument=json.dumps(document({"Action": ["iam:List*", "sts:*"]}))
    )["Policy"]["Arn"]
    trust = document({"Principal": {"AWS": account}, "Action": "sts:AssumeRole"})
    del trust["Statement"][0]["Resource"]
    role = cloud.role(account, "bound", trust=trust, policy=EVERYTHING, PermissionsBoundary=boundary)

    own = cloud.client("iam", cloud.assume(cloud.administrator(account), role))

    assert own.list_roles()["Roles"]
    assert code(lambda: own.get_role(RoleName="bound")) == "AccessDenied"
    iam.delete_policy(PolicyArn=boundary)
    assert code(own.list_roles) == "AccessDenied"


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ({"Resource": f"arn:aws:sqs:{REGION}:*:daywork-*"}, True),
        ({"Resource": f"arn:aws:sqs:{REGION}:*:other-*"}, False),
        ({"Condition": {"StringEquals": {"aws:RequestedRegion": REGION}}}, True),
        ({"Condition": {"StringEquals": {"aws:RequestedRegion": "us-east-1"}}}, False),
        ({"Condition": {"Bool": {"aws:SecureTransport": "true"}}}, True),
        ({"Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-daywork0001"}}}, True),
        ({"Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-another"}}}, False),
        ({"Condition": {"StringEquals": {"aws:username": "member"}}}, True),
        ({"Condition": {"StringEquals": {"aws:PrincipalType": "AssumedRole"}}}, False),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}}, True),
        ({"Condition": {"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}}, False),
    ],
)
def test_resources_and_global_conditions_decide(
    cloud: LocalCloud,
    statement: dict[str, Any],
    allowed: bool,  # noqa: FBT001 - a table column
) -> None:
    """One row of what a policy can limit a call to."""
    account = cloud.account()
    sqs = cloud.client("sqs", cloud.user(account, "member", document({"Action": "sqs:CreateQueue", **statement})))

    if allowed:
        assert sqs.create_queue(QueueName="daywork-reports")["QueueUrl"]
    else:
        assert code(lambda: sqs.create_queue(QueueName="daywork-reports")) == "AccessDenied"


@pytest.mark.parametrize(
    "wrong",
    [
        {"Condition": {"StringEqualz": {"aws:username": "member"}}},
        {"Effect": "Perhaps"},
        {"Principal": {"AWS": "arn:aws:iam::500000000001:role/nobody-of-this-name"}},
        {"Principal": {"AWS": "arn:aws:iam::500000000001:user/nobody-of-this-name"}},
    ],
    ids=["operator", "effect", "role", "user"],
)
def test_a_document_that_cannot_be_evaluated_is_never_kept(cloud: LocalCloud, wrong: dict[str, Any]) -> None:
    """Trust, queue, bucket and key policies are read when they are set, and refused in each service's word."""
    account = cloud.account()
    policy = json.dumps(document({"Principal": {"AWS": account}, **wrong}))
    admin = lambda service: cloud.admin(service, account)  # noqa: E731 - a short name
    queue = admin("sqs").create_queue(QueueName="q")["QueueUrl"]
    bucket = f"bucket-{account}"
    admin("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})

    assert code(lambda: admin("iam").create_role(RoleName="r", AssumeRolePolicyDocument=policy)) == (
        "MalformedPolicyDocument"
    )
    assert code(lambda: admin("sqs").set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})) == (
        "InvalidAttributeValue"
    )
    assert code(lambda: admin("s3").put_bucket_policy(Bucket=bucket, Policy=policy)) == "MalformedPolicy"
    assert code(lambda: admin("kms").create_key(Policy=policy)) == "MalformedPolicyDocumentException"


def test_unguarded_operations_need_a_right_on_everything(cloud: LocalCloud) -> None:
    """An operation whose resources are not modelled passes with a right on *, not with one on some resource."""
    account = cloud.account()
    some = cloud.user(account, "some", document({"Action": "ec2:*", "Resource": f"arn:aws:ec2:{REGION}:*:vpc/*"}))
    every = cloud.user(account, "every", document({"Action": "ec2:CreateVpc"}))

    assert code(lambda: cloud.client("ec2", some).create_vpc(CidrBlock="10.9.0.0/16")) == "UnauthorizedOperation"
    assert cloud.client("ec2", every).create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
