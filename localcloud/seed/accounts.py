"""Accounts: their roles with the documents of `orchestrator.rights`, and their networks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from botocore.exceptions import ClientError

from localcloud.seed.address import CloudAddress
from localcloud.seed.names import SEED_TAG, Place
from localcloud.seed.network import make_ways_out
from orchestrator.rights.facts import ROLE_NAMES, Facts, Kept, role_arn
from orchestrator.rights.purposes import PURPOSES, Purpose

#: Purposes in the order in which they are made; an addition comes after its role.
_EVERYWHERE: Final = ("worker", "backup-ec2", "backup-rds", "backup-efs", "restore-ec2", "restore-rds", "files")
_AT_HOME: Final = ("worker-deployment",)
_ABROAD: Final = ("data",)


@dataclass(frozen=True)
class Network:
    """Where workers and instances of an account stand: subnets in two availability zones, one security group."""

    vpc: str
    subnets: tuple[str, ...]
    security_group: str


@dataclass(frozen=True)
class Shared:
    """What roles of all accounts refer to: the place, the control plane's ARN, the repository's key, who there is."""

    place: Place
    control_plane: str
    key: str
    accounts: tuple[str, ...]

    def facts(self, account: str, external_id: str | None = None) -> Facts:
        """Return what the role documents of an account are made of."""
        place, everywhere = self.place, (self.place.account, *self.accounts)
        kept = Kept(
            account=place.account,
            bucket=place.repository_bucket,
            prefix="",
            key=self.key,
            role=role_arn(place.account, ROLE_NAMES["repository"]),
            archive_url=f"s3://{place.archive_bucket}",
        )
        return Facts(
            install=place.install,
            home=place.account,
            account=account,
            control_plane=self.control_plane,
            control_bucket=place.control_bucket,
            report_queue=place.report_queue_arn,
            repository=kept,
            external_id=external_id,
            roles=self._repository_roles(kept.role) if account == place.account else {},
            workers=tuple((one, role_arn(one, ROLE_NAMES["worker"])) for one in everywhere),
        )

    def _repository_roles(self, role: str) -> dict[str, str]:
        near = {key: role_arn(self.place.account, ROLE_NAMES[key]) for key in ("repositoryReader", "repositoryOpener")}
        return near | ({"repository": role} if self.accounts else {})


def ensure_role(cloud: CloudAddress, shared: Shared, purpose: Purpose, facts: Facts) -> str:
    """Make the role of a purpose with its documents, or give a role that is there these documents; return its ARN."""
    iam = cloud.client("iam", facts.account, shared.place.region)
    name, policy = str(purpose.role_name), json.dumps(purpose.policy(facts))
    if not purpose.is_addition(facts) and purpose.trust is not None:
        trust = json.dumps(purpose.trust(facts))
        try:
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
        except iam.exceptions.EntityAlreadyExistsException:
            iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust)
    iam.put_role_policy(RoleName=name, PolicyName=purpose.policy_name, PolicyDocument=policy)
    if purpose.has_profile:
        ensure_profile(cloud, shared.place, facts.account, name)
    return role_arn(facts.account, name)


def ensure_profile(cloud: CloudAddress, place: Place, account: str, role: str) -> None:
    """Make an instance profile of the role's name that holds the role."""
    iam = cloud.client("iam", account, place.region)
    try:
        iam.create_instance_profile(InstanceProfileName=role)
        iam.add_role_to_instance_profile(InstanceProfileName=role, RoleName=role)
    except iam.exceptions.EntityAlreadyExistsException:
        return


def ensure_roles(cloud: CloudAddress, shared: Shared, account: str, external_id: str | None) -> dict[str, str]:
    """Make an account's roles; return them as in the registry.

    The backup account has the worker deployment role and no data role: its own workers need none.
    """
    facts = shared.facts(account, external_id)
    made: dict[str, str] = {}
    for name in (*_EVERYWHERE, *(_AT_HOME if facts.is_home else _ABROAD)):
        purpose = PURPOSES[name]
        arn = ensure_role(cloud, shared, purpose, facts)
        if not purpose.is_addition(facts):
            made[str(purpose.key)] = arn
    return made


def repository_role(cloud: CloudAddress, shared: Shared) -> str:
    """Make the role by which worker roles of all accounts reach the repository; return its ARN."""
    return ensure_role(cloud, shared, PURPOSES["repository"], shared.facts(shared.place.account))


def repository_reader(cloud: CloudAddress, shared: Shared) -> str:
    """Make the role by which the control plane reads what restore points there are; return its ARN."""
    return ensure_role(cloud, shared, PURPOSES["repository-reader"], shared.facts(shared.place.account))


def repository_opener(cloud: CloudAddress, shared: Shared) -> str:
    """Make the role by which the command line opens restore points; return its ARN."""
    return ensure_role(cloud, shared, PURPOSES["repository-opener"], shared.facts(shared.place.account))


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
