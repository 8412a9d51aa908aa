"""The way from a seeded VPC to the services that workers call: endpoints, as there is no route to the internet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

#: What a worker calls (`orchestrator.network.services_of_a_worker`): S3 by a gateway, the others by interfaces.
_INTERFACES: Final = ("ebs", "kms", "sqs", "sts")


def make_ways_out(ec2: Any, region: str, vpc: str, subnets: Sequence[str], group: str) -> None:
    """Make an endpoint for each service that a worker of the security group `group` calls in its own Region."""
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
    ec2.create_vpc_endpoint(
        VpcId=vpc,
        ServiceName=f"com.amazonaws.{region}.s3",
        VpcEndpointType="Gateway",
        RouteTableIds=[one["RouteTableId"] for one in tables],
    )
    front = ec2.create_security_group(GroupName="daywork-endpoints", Description="Endpoints", VpcId=vpc)["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=front,
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "UserIdGroupPairs": [{"GroupId": group}]}],
    )
    for service in _INTERFACES:
        ec2.create_vpc_endpoint(
            VpcId=vpc,
            ServiceName=f"com.amazonaws.{region}.{service}",
            VpcEndpointType="Interface",
            SubnetIds=list(subnets),
            SecurityGroupIds=[front],
            PrivateDnsEnabled=True,
        )
