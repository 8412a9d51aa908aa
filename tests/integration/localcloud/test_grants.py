"""The report of used and unused grants, and of refusals, through the page `/_sim/grants`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.cloud import LocalCloud, code


def allow(sid: str, actions: str | list[str], resource: str = "*") -> dict[str, Any]:
    """Return a statement."""
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource}


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    """Return a document."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def trust(account: str) -> dict[str, Any]:
    """Return a trust policy for an account's own users."""
    return policy({"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole"})


@pytest.fixture
def account(cloud: LocalCloud) -> str:
    """A new account, and an empty report."""
    made = cloud.account()
    assert cloud.sim("DELETE", "grants") == (200, {"forgotten": True})
    return made


def grants(cloud: LocalCloud, holder: str) -> dict[tuple[str, str], bool]:
    """Return (sid, action) -> used of one holder."""
    found = cloud.sim("GET", "grants")[1]["grants"]
    return {(one["sid"], one["action"]): one["used"] for one in found if one["holder"] == holder}


def test_a_grant_is_used_when_its_statement_allowed_a_call(cloud: LocalCloud, account: str) -> None:
    """Each action of a statement counts by itself; another statement's resource does not."""
    document = policy(
        allow("See", ["ec2:DescribeInstances", "ec2:DescribeVolumes"]),
        allow("Other", "ec2:DescribeInstances", "arn:aws:ec2:*:*:instance/i-1"),
        allow("Names", "iam:Get*"),
    )
    role = cloud.role(account, "seer", trust=trust(account), policy=document)
    user = cloud.user(account, "who", policy(allow("Take", "sts:AssumeRole", role)))

    keys = cloud.assume(user, role)
    cloud.client("ec2", keys).describe_instances()
    cloud.client("iam", keys).get_role(RoleName="seer")

    assert grants(cloud, role) == {
        ("See", "ec2:DescribeInstances"): True,
        ("See", "ec2:DescribeVolumes"): False,
        ("Other", "ec2:DescribeInstances"): False,
        ("Names", "iam:Get*"): True,
    }
    assert grants(cloud, f"arn:aws:iam::{account}:user/who") == {("Take", "sts:AssumeRole"): True}


def test_a_policy_that_was_replaced_counts_anew(cloud: LocalCloud, account: str) -> None:
    """What the same action was allowed by before does not stand for the new statement."""
    user = cloud.user(account, "changed", policy(allow("Old", "ec2:DescribeInstances")))
    holder = f"arn:aws:iam::{account}:user/changed"
    ec2 = cloud.client("ec2", user)

    ec2.describe_instances()
    cloud.admin("iam", account).put_user_policy(
        UserName="changed", PolicyName="own", PolicyDocument=json.dumps(policy(allow("New", "ec2:DescribeInstances")))
    )
    ec2.describe_instances()

    assert grants(cloud, holder) == {("Old", "ec2:DescribeInstances"): True, ("New", "ec2:DescribeInstances"): True}


def test_roles_under_a_path_are_one_holder_also_when_they_are_gone(cloud: LocalCloud, account: str) -> None:
    """Temporary roles are alike, and are removed long before anybody asks."""
    document = policy(allow("See", ["ec2:DescribeInstances", "ec2:DescribeVolumes"]))
    user = cloud.user(account, "taker", policy(allow("Take", "sts:AssumeRole")))
    iam = cloud.admin("iam", account)
    for name, call in (("t-1", "describe_instances"), ("t-2", "describe_volumes")):
        role = cloud.role(account, name, trust=trust(account), policy=document, Path="/temporary/x/")
        getattr(cloud.client("ec2", cloud.assume(user, role)), call)()
        iam.delete_role_policy(RoleName=name, PolicyName="own")
        iam.delete_role(RoleName=name)

    assert grants(cloud, f"arn:aws:iam::{account}:role/temporary/x/*") == {
        ("See", "ec2:DescribeInstances"): True,
        ("See", "ec2:DescribeVolumes"): True,
    }


def test_policies_of_buckets_are_held_by_the_bucket(cloud: LocalCloud, account: str) -> None:
    """A policy for another account is used when that account's call needed it."""
    other = cloud.account()
    s3 = cloud.admin("s3", account)
    bucket = f"shared-{account}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    statement = {
        **allow("Readers", ["s3:GetObject", "s3:PutObject"], f"arn:aws:s3:::{bucket}/*"),
        "Principal": {"AWS": f"arn:aws:iam::{other}:root"},
    }
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy(statement)))
    reader = cloud.user(other, "reader", policy(allow("Read", "s3:GetObject")))

    cloud.client("s3", reader).get_object(Bucket=bucket, Key="a")

    assert grants(cloud, f"arn:aws:s3:::{bucket}") == {
        ("Readers", "s3:GetObject"): True,
        ("Readers", "s3:PutObject"): False,
    }


def test_refusals_are_counted_with_principal_action_and_resource(cloud: LocalCloud, account: str) -> None:
    """The same refusal twice is one entry."""
    user = cloud.user(account, "nobody")
    for _ in range(2):
        assert code(cloud.client("ec2", user).describe_instances) == "UnauthorizedOperation"

    refused = cloud.sim("GET", "grants")[1]["refused"]
    assert refused == [
        {
            "principal": f"arn:aws:iam::{account}:user/nobody",
            "action": "ec2:DescribeInstances",
            "resource": "*",
            "times": 2,
        }
    ]


def test_the_administrators_grants_are_nobodys_concern(cloud: LocalCloud, account: str) -> None:
    """The cloud's own users may do everything and would hide what matters."""
    cloud.admin("ec2", account).describe_instances()

    assert not [one for one in cloud.sim("GET", "grants")[1]["grants"] if "administrator" in one["holder"]]
