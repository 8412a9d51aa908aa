"""Accounts of the embedded cloud are separate."""

from __future__ import annotations

from support.cloud import CONTROL_ACCOUNT, Keys, LocalCloud, code


def test_accounts_see_nothing_of_each_other(cloud: LocalCloud) -> None:
    """What one account makes is not there in another."""
    first, second = cloud.account(), cloud.account()
    subnet, _ = cloud.network(first)

    made = cloud.admin("ec2", first).run_instances(
        ImageId="ami-0da0000000000002b", InstanceType="t3.small", MinCount=1, MaxCount=1, SubnetId=subnet
    )["Instances"][0]["InstanceId"]
    cloud.role(first, "only-here")

    assert cloud.admin("ec2", second).describe_instances()["Reservations"] == []
    assert code(lambda: cloud.admin("ec2", second).terminate_instances(InstanceIds=[made])) == (
        "InvalidInstanceID.NotFound"
    )
    assert code(lambda: cloud.admin("iam", second).get_role(RoleName="only-here")) == "NoSuchEntity"
    assert code(lambda: cloud.admin("ec2", second).describe_subnets(SubnetIds=[subnet])) == "InvalidSubnetID.NotFound"


def test_arns_and_identity_carry_the_account(cloud: LocalCloud) -> None:
    """An administrator is told its own account, and roles have that account's ARNs."""
    account = cloud.account()

    identity = cloud.admin("sts", account).get_caller_identity()

    assert identity["Account"] == account
    assert identity["Arn"] == f"arn:aws:iam::{account}:user/daywork-administrator"
    assert cloud.role(account, "reader", Path="/a/b/") == f"arn:aws:iam::{account}:role/a/b/reader"


def test_an_unknown_key_is_nobody(cloud: LocalCloud) -> None:
    """A key that was never made reaches no account, whatever the service."""
    stranger = Keys("AKIA" + "X" * 16, "s" * 40)

    assert code(lambda: cloud.client("sts", stranger).get_caller_identity()) == "InvalidClientTokenId"
    assert code(lambda: cloud.client("ec2", stranger).describe_instances()) == "AuthFailure"
    assert code(lambda: cloud.client("kms", stranger).list_keys()) == "UnrecognizedClientException"
    assert code(lambda: cloud.client("sqs", stranger).list_queues()) == "InvalidClientTokenId"
    assert code(lambda: cloud.client("s3", stranger).list_buckets()) == "InvalidAccessKeyId"


def test_a_deleted_or_inactive_key_is_nobody(cloud: LocalCloud) -> None:
    """Deactivating or deleting an access key shuts its holder out at once."""
    account = cloud.account()
    keys = cloud.user(account, "gone")
    iam = cloud.admin("iam", account)
    cloud.client("sts", keys).get_caller_identity()

    iam.update_access_key(UserName="gone", AccessKeyId=keys.access_key, Status="Inactive")
    assert code(lambda: cloud.client("sts", keys).get_caller_identity()) == "InvalidClientTokenId"

    iam.update_access_key(UserName="gone", AccessKeyId=keys.access_key, Status="Active")
    assert cloud.client("sts", keys).get_caller_identity()["Account"] == account
    iam.delete_access_key(UserName="gone", AccessKeyId=keys.access_key)
    assert code(lambda: cloud.client("sts", keys).get_caller_identity()) == "InvalidClientTokenId"


def test_the_control_plane_has_a_user_in_its_account(cloud: LocalCloud) -> None:
    """The cloud writes the control plane's key to a file that only its owner can read."""
    import json

    path = cloud.server.cloud.directory / "control-plane.json"
    document = json.loads(path.read_text())

    keys = Keys(document["accessKeyId"], document["secretAccessKey"])

    assert path.stat().st_mode & 0o777 == 0o600
    assert cloud.client("sts", keys).get_caller_identity()["Account"] == CONTROL_ACCOUNT
