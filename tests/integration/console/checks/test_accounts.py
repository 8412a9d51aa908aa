"""`daywork account check` on a whole installation: what it says, and how it ends."""

from __future__ import annotations

import json
from typing import Any

from support.desk import Desk
from support.seeded import FIRST, HOME, World

TRUST_NOBODY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def check(desk: Desk, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """Run the command; return exit code and what is not well."""
    said = desk.say("account", "check", *arguments, "--output", "json")
    found = json.loads(said.out)
    assert found["ok"] is (said.code == 0)
    return int(said.code), [one for one in found["findings"] if one["state"] != "ok"]


def test_a_seeded_installation_is_well(desk: Desk) -> None:
    """Roles made from our own documents have all that is asked, and the command says so without a word of secrets."""
    code, wrong = check(desk)

    assert (code, wrong) == (0, [])


def test_nothing_is_made_or_changed(desk: Desk, world: World) -> None:
    """Reads and simulations alone."""
    world.cloud.sim("DELETE", "calls")

    check(desk)

    operations = {one["operation"] for one in world.cloud.sim("GET", "calls")[1]["calls"]}
    reading = ("Describe", "Get", "List", "Simulate", "AssumeRole")
    assert [one for one in operations if not one.partition(":")[2].startswith(reading)] == []


def test_what_is_missing_can_be_pasted_and_then_is_there(desk: Desk, world: World) -> None:
    """The statement that is shown is the one that helps."""
    iam = world.cloud.admin("iam", FIRST)
    document = iam.get_role_policy(RoleName="DayworkRestore", PolicyName="daywork")["PolicyDocument"]
    rest = [one for one in document["Statement"] if one["Sid"] != "MakeVolumes"]
    iam.put_role_policy(
        RoleName="DayworkRestore", PolicyName="daywork", PolicyDocument=json.dumps({**document, "Statement": rest})
    )

    code, (missing,) = check(desk, "production-a")
    shown = desk.say("account", "check", FIRST)
    iam.put_role_policy(
        RoleName="DayworkRestore",
        PolicyName="added",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [missing["add"]]}),
    )

    assert code == 8
    assert (missing["subject"], missing["state"]) == ("restore", "missing")
    assert "MakeVolumes" in missing["text"]
    assert shown.code == 8
    assert json.dumps(missing["add"], indent=2) in shown.out
    assert check(desk, FIRST) == (0, [])


def test_trust_that_lets_the_wrong_in_is_named(desk: Desk, world: World) -> None:
    """Roles that are taken are tried; of the others the trust policy is read."""
    iam = world.cloud.admin("iam", FIRST)
    trusts = {
        role: iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
        for role in ("DayworkBackup", "DayworkWorker", "DayworkData")
    }
    for role in trusts:
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(TRUST_NOBODY))
    try:
        code, wrong = check(desk, FIRST)
    finally:
        for role, trust in trusts.items():
            iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(trust))

    assert code == 8
    found = {one["subject"]: one for one in wrong}
    assert set(found) == {"backup", "worker", "data"}
    assert found["backup"]["add"]["Condition"] == {"StringEquals": {"sts:ExternalId": "<ExternalId>"}}
    assert found["worker"]["add"]["Principal"] == {"Service": "ec2.amazonaws.com"}
    assert found["data"]["add"]["Condition"]["ArnLike"]["aws:PrincipalArn"].startswith(f"arn:aws:iam::{HOME}:role/")
    assert world.external_ids[FIRST] not in json.dumps(wrong)


def test_profile_bucket_queue_and_key_are_looked_at(desk: Desk, world: World) -> None:
    """Each with what to do."""
    iam, s3 = world.cloud.admin("iam", FIRST), world.cloud.admin("s3", HOME)
    kms, sqs = world.cloud.admin("kms", HOME), world.cloud.admin("sqs", HOME)
    bucket, queue = world.install.control_bucket, world.install.report_queue
    key = world.repository["key"]["kms"].rpartition("/")[2]
    policy = s3.get_bucket_policy(Bucket=bucket)["Policy"]
    sending = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["Policy"])["Attributes"]["Policy"]
    iam.remove_role_from_instance_profile(InstanceProfileName="DayworkWorker", RoleName="DayworkWorker")
    s3.delete_bucket_policy(Bucket=bucket)
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": ""})
    kms.disable_key(KeyId=key)
    try:
        code, wrong = check(desk)
    finally:
        iam.add_role_to_instance_profile(InstanceProfileName="DayworkWorker", RoleName="DayworkWorker")
        s3.put_bucket_policy(Bucket=bucket, Policy=policy)
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": sending})
        kms.enable_key(KeyId=key)

    assert code == 8
    found = {(one["subject"], one["state"]) for one in wrong}
    assert found == {("worker", "missing"), ("bucket", "missing"), ("queue", "missing"), ("key", "missing")}
    assert {one["add"]["Sid"] for one in wrong if one["subject"] == "bucket"} == {"OwnOrder", "OwnResult", "OwnFiles"}
    assert all(one["remedy"] for one in wrong)


def test_a_network_without_a_way_out_is_told_with_every_subnet(desk: Desk, world: World) -> None:
    """As planning would say it."""
    ec2 = world.cloud.admin("ec2", FIRST)
    group = world.network(FIRST)[1]
    (rule,) = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissionsEgress"]
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=[rule])
    try:
        code, (wrong,) = check(desk, FIRST)
    finally:
        ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[rule])

    assert code == 8
    assert wrong["subject"] == "network"
    assert group in wrong["text"]
    assert "Let the security group out" in wrong["remedy"]


def test_a_role_that_may_not_ask_is_tried_where_that_changes_nothing(desk: Desk, world: World) -> None:
    """Without the right to simulate: what it may not see or launch is told by EC2 itself, by a dry run."""
    iam = world.cloud.admin("iam", FIRST)
    document = iam.get_role_policy(RoleName="DayworkBackup", PolicyName="daywork")["PolicyDocument"]
    lacking = ("Prove", "LaunchWorkers", "See")
    rest = [one for one in document["Statement"] if one["Sid"] not in lacking]
    iam.put_role_policy(
        RoleName="DayworkBackup", PolicyName="daywork", PolicyDocument=json.dumps({**document, "Statement": rest})
    )
    try:
        code, wrong = check(desk, FIRST)
    finally:
        iam.put_role_policy(RoleName="DayworkBackup", PolicyName="daywork", PolicyDocument=json.dumps(document))

    assert code == 8
    assert {one["subject"] for one in wrong} == {"backup"}
    texts = " / ".join(one["text"] for one in wrong)
    assert "lacks Prove" in texts
    assert "DayworkBackup may not see workers" in texts
    assert "DayworkBackup may not see networks" in texts
    assert "DayworkBackup may not launch workers" in texts


def test_an_unknown_account_is_not_found(desk: Desk) -> None:
    """With exit code 7."""
    assert desk.say("account", "check", "nowhere").code == 7
