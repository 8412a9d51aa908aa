"""DB instances and file systems in either laboratory, and a role that may look at them."""

from __future__ import annotations

import itertools

from orchestrator.model.plan import Access
from orchestrator.ports import DatabaseView, FileSystemView, MountTargetView
from support import install as values
from support.labs import FIRST, EmbeddedLab, FakeLab, Lab

_numbers = itertools.count(1)


def reader(lab: Lab) -> Access:
    """Return the access of a role that may describe DB instances and file systems: the role documents say so."""
    return lab.access(FIRST, "backup")


def add_database(lab: Lab, **tags: str) -> DatabaseView:
    """Add a PostgreSQL DB instance of 20 GiB; return what is to be seen of it."""
    name = f"db-{next(_numbers)}"
    if isinstance(lab, EmbeddedLab):
        return _real_database(lab, name, tags)
    assert isinstance(lab, FakeLab)
    made = DatabaseView(
        id=name, engine="postgres", engine_version="16.3", state="available", size_gib=20,
        availability_zone=f"{values.REGION}a", vpc="vpc-fake", address=f"{name}.example", tags=tags,
    )  # fmt: skip
    lab.world.databases.setdefault((FIRST, values.REGION), {})[name] = made
    return made


def _real_database(lab: EmbeddedLab, name: str, tags: dict[str, str]) -> DatabaseView:
    subnet, _ = lab.seeded.network(FIRST)
    ec2, rds = (lab.seeded.cloud.admin(service, FIRST) for service in ("ec2", "rds"))
    vpc = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"]
    rds.create_db_subnet_group(DBSubnetGroupName=name, DBSubnetGroupDescription="for tests", SubnetIds=[subnet])
    rds.create_db_instance(
        DBInstanceIdentifier=name, Engine="postgres", EngineVersion="16.3", AllocatedStorage=20,
        DBInstanceClass="db.t3.medium", MasterUsername="owner", MasterUserPassword="canary-password",
        DBSubnetGroupName=name, Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
    )  # fmt: skip
    return DatabaseView(
        id=name, engine="postgres", engine_version="16.3", state="available", size_gib=20, vpc=vpc, tags=tags
    )


def add_file_system(lab: Lab, **tags: str) -> FileSystemView:
    """Add a file system with one mount target; return what is to be seen of it."""
    if isinstance(lab, EmbeddedLab):
        return _real_file_system(lab, tags)
    assert isinstance(lab, FakeLab)
    name = f"fs-{next(_numbers):08x}"
    target = MountTargetView(
        id="fsmt-1", subnet="subnet-production-a-1", availability_zone=f"{values.REGION}a", vpc="vpc-fake",
        state="available", security_groups=("sg-1",),
    )  # fmt: skip
    made = FileSystemView(id=name, state="available", size_bytes=0, mount_targets=(target,), tags=tags)
    lab.world.file_systems.setdefault((FIRST, values.REGION), {})[name] = made
    return made


def _real_file_system(lab: EmbeddedLab, tags: dict[str, str]) -> FileSystemView:
    subnet, group = lab.seeded.network(FIRST)
    ec2, efs = (lab.seeded.cloud.admin(service, FIRST) for service in ("ec2", "efs"))
    described = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]
    name = efs.create_file_system(
        CreationToken=f"test-{next(_numbers)}", Tags=[{"Key": key, "Value": value} for key, value in tags.items()]
    )["FileSystemId"]
    mount = ec2.create_security_group(GroupName=name, Description="mount target", VpcId=described["VpcId"])["GroupId"]
    peers = [{"IpProtocol": "tcp", "FromPort": 2049, "ToPort": 2049, "UserIdGroupPairs": [{"GroupId": group}]}]
    ec2.authorize_security_group_ingress(GroupId=mount, IpPermissions=peers)
    made = efs.create_mount_target(FileSystemId=name, SubnetId=subnet, SecurityGroups=[mount])
    target = MountTargetView(
        id=made["MountTargetId"], subnet=subnet, availability_zone=described["AvailabilityZone"],
        vpc=described["VpcId"], state="available", security_groups=(mount,),
    )  # fmt: skip
    return FileSystemView(id=name, state="available", size_bytes=0, mount_targets=(target,), tags=tags)
