"""Accounts: their roles with the documents of `orchestrator.policies`, and their networks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from localcloud.seed.address import CloudAddress
from localcloud.seed.names import BACKUP, DATA, DEPLOYMENT, REPOSITORY, RESTORE, SEED_TAG, WORKER, Place, role_arn
from localcloud.seed.network import make_ways_out
from orchestrator import policies

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Network:
    """Where workers and instances of an account stand: subnets in two availability zones, one security group."""

    vpc: str
    subnets: tuple[str, ...]
    security_group: str


@dataclass(frozen=True)
class Shared:
    """What roles of all accounts refer to: the place, the control plane's ARN and the repository's key."""

    place: Place
    control_plane: str
    key: str

    @property
    def repository(self) -> tuple[str, str, str]:
        """The repository as (bucket, prefix, key ARN)."""
        return (self.place.repository_bucket, "", self.key)


def ensure_role(cloud: CloudAddress, place: Place, account: str, name: str, trust: Document, policy: Document) -> str:
    """Make a role with these documents, or give a role that is there these documents; return its ARN."""
    iam = cloud.client("iam", account, place.region)
    try:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    except iam.exceptions.EntityAlreadyExistsException:
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(trust))
    iam.put_role_policy(RoleName=name, PolicyName="daywork", PolicyDocument=json.dumps(policy))
    return role_arn(account, name)


def ensure_profile(cloud: CloudAddress, place: Place, account: str, role: str) -> None:
    """Make an instance profile of the role's name that holds the role."""
    iam = cloud.client("iam", account, place.region)
    try:
        iam.create_instance_profile(InstanceProfileName=role)
        iam.add_role_to_instance_profile(InstanceProfileName=role, RoleName=role)
    except iam.exceptions.EntityAlreadyExistsException:
        return


def deployment_role(cloud: CloudAddress, shared: Shared) -> dict[str, str]:
    """Make the backup account's worker deployment role; return it as in the registry."""
    place = shared.place
    policy = policies.worker_deployment_role(install=place.install, account=place.account, boundary=None)
    trust = policies.operation_trust(shared.control_plane, None)
    return {"workerDeployment": ensure_role(cloud, place, place.account, DEPLOYMENT, trust, policy)}


def operation_roles(cloud: CloudAddress, shared: Shared, account: str, external_id: str | None) -> dict[str, str]:
    """Make an account's backup, restore, worker and data role; return them as in the registry."""
    place = shared.place
    trust = policies.operation_trust(shared.control_plane, external_id)
    worker = role_arn(account, WORKER)
    at_home = account == place.account
    worker_policy = policies.worker_role(
        install=place.install,
        control_bucket=place.control_bucket,
        report_queue_arn=place.report_queue_arn,
        repository=shared.repository if at_home else None,
        repository_role_arn=None if at_home else role_arn(place.account, REPOSITORY),
    )
    made = {
        "backup": ensure_role(
            cloud,
            place,
            account,
            BACKUP,
            trust,
            policies.backup_role(install=place.install, worker_role_arn=worker),
        ),
        "restore": ensure_role(
            cloud,
            place,
            account,
            RESTORE,
            trust,
            policies.restore_role(install=place.install, worker_role_arn=worker),
        ),
        "worker": ensure_role(cloud, place, account, WORKER, policies.ec2_trust(), worker_policy),
    }
    ensure_profile(cloud, place, account, WORKER)
    if not at_home:
        made["data"] = ensure_role(
            cloud,
            place,
            account,
            DATA,
            policies.worker_trust(place.account, place.temporary_roles),
            policies.data_role(place.install),
        )
    return made


def repository_role(cloud: CloudAddress, shared: Shared, accounts: list[str]) -> str:
    """Make the role by which worker roles of `accounts` reach the repository; return its ARN."""
    patterns = [(account, role_arn(account, WORKER)) for account in accounts]
    return ensure_role(
        cloud,
        shared.place,
        shared.place.account,
        REPOSITORY,
        policies.workers_trust(patterns),
        policies.repository_role(*shared.repository),
    )


def ensure_key(cloud: CloudAddress, place: Place) -> str:
    """Make the repository's KMS key; return its ARN. Its policy lets the home account's own policies decide."""
    kms = cloud.client("kms", place.account, place.region)
    alias = f"alias/daywork-{place.install}"
    try:
        return str(kms.describe_key(KeyId=alias)["KeyMetadata"]["Arn"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "NotFoundException":
            raise
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "OwnAccount",
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{place.account}:root"},
                "Action": "kms:*",
                "Resource": "*",
            }
        ],
    }
    key = kms.create_key(Description=f"daywork repository of {place.install}", Policy=json.dumps(policy))
    arn = str(key["KeyMetadata"]["Arn"])
    kms.create_alias(AliasName=alias, TargetKeyId=arn)
    return arn


def ensure_network(cloud: CloudAddress, place: Place, account: str, number: int) -> Network:
    """Make the VPC `10.<number>.0.0/16` of an account, with a subnet in each of two zones and a security group."""
    ec2 = cloud.client("ec2", account, place.region)
    seeded = [{"Name": f"tag:{SEED_TAG}", "Values": ["network"]}]
    marks = [{"Key": SEED_TAG, "Value": "network"}, {"Key": "Name", "Value": "daywork"}]
    if vpcs := ec2.describe_vpcs(Filters=seeded)["Vpcs"]:
        subnets = sorted(ec2.describe_subnets(Filters=seeded)["Subnets"], key=lambda one: one["AvailabilityZone"])
        groups = ec2.describe_security_groups(Filters=seeded)["SecurityGroups"]
        return Network(vpcs[0]["VpcId"], tuple(one["SubnetId"] for one in subnets), groups[0]["GroupId"])
    vpc = ec2.create_vpc(CidrBlock=f"10.{number}.0.0/16", TagSpecifications=[{"ResourceType": "vpc", "Tags": marks}])[
        "Vpc"
    ]["VpcId"]
    zones = sorted(one["ZoneName"] for one in ec2.describe_availability_zones()["AvailabilityZones"])[:2]
    made = tuple(
        ec2.create_subnet(
            VpcId=vpc,
            AvailabilityZone=zone,
            CidrBlock=f"10.{number}.{16 * place_in_vpc}.0/20",
            TagSpecifications=[{"ResourceType": "subnet", "Tags": marks}],
        )["Subnet"]["SubnetId"]
        for place_in_vpc, zone in enumerate(zones)
    )
    # No inbound rule: workers are never connected to. A new group lets everything out.
    group = ec2.create_security_group(
        GroupName="daywork",
        Description="Workers and instances",
        VpcId=vpc,
        TagSpecifications=[{"ResourceType": "security-group", "Tags": marks}],
    )["GroupId"]
    make_ways_out(ec2, place.region, vpc, made, group)
    return Network(vpc, made, group)
