"""Networks as EC2 describes them, in the forms that its API reference shows and the embedded cloud does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.aws.network import AwsNetworks
from orchestrator.model.network import Endpoint, NatGateway, Network, Route, Rule
from orchestrator.model.plan import Access

ACCESS = Access(account="111122223333", region="eu-west-1", role=None)
ALL_TRAFFIC = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}], "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}


class Described:
    """EC2 with what a test says, in two pages each."""

    def __init__(self, answers: dict[str, list[dict[str, Any]]]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, Any]] = []

    def client(self, *_: Any, **__: Any) -> Any:
        """Return itself for every client."""
        return self

    def get_paginator(self, operation: str) -> Any:
        """Return what pages through an operation's answer."""
        key = {
            "describe_vpcs": "Vpcs", "describe_subnets": "Subnets", "describe_route_tables": "RouteTables",
            "describe_nat_gateways": "NatGateways", "describe_vpc_endpoints": "VpcEndpoints",
            "describe_security_groups": "SecurityGroups",
        }[operation]  # fmt: skip
        described = self

        class Pages:
            def paginate(self, **parameters: Any) -> Iterator[dict[str, Any]]:
                described.asked.append((operation, parameters.get("Filters")))
                found = described.answers.get(key, [])
                yield {key: found[:1]}
                yield {key: found[1:]}

        return Pages()

    def describe_vpc_attribute(self, *, VpcId: str, Attribute: str) -> dict[str, Any]:  # noqa: N803 - EC2's own names
        """Answer for one attribute."""
        self.asked.append((Attribute, VpcId))
        return {Attribute[0].upper() + Attribute[1:]: {"Value": Attribute == "enableDnsSupport"}}


def described(**answers: list[dict[str, Any]]) -> tuple[Network, Described]:
    """Describe the whole Region."""
    ec2 = Described(answers)
    networks: Any = AwsNetworks(ec2, ACCESS)  # type: ignore[arg-type]  # stands in for the identities
    return networks.network(), ec2


@pytest.mark.parametrize(
    ("permission", "rule"),
    [
        (ALL_TRAFFIC, Rule(cidrs=("0.0.0.0/0",))),
        (
            {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "PrefixListIds": [{"PrefixListId": "pl-6da54004"}]},
            Rule(protocol="tcp", first_port=443, last_port=443, prefix_lists=("pl-6da54004",)),
        ),
        (
            {"IpProtocol": "icmp", "FromPort": -1, "ToPort": -1, "UserIdGroupPairs": [{"GroupId": "sg-1"}]},
            Rule(protocol="icmp", groups=("sg-1",)),
        ),
        ({"IpProtocol": "50", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}, Rule(protocol="50", cidrs=("10.0.0.0/8",))),
    ],
)
def test_rules_are_read(permission: dict[str, Any], rule: Rule) -> None:
    """All traffic has no ports; ICMP's are types; other protocols have none."""
    found, _ = described(
        Vpcs=[{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/16"}],
        SecurityGroups=[{"GroupId": "sg-0", "VpcId": "vpc-1", "IpPermissionsEgress": [permission]}],
    )

    assert found.groups[0].egress == (rule,)


def test_routes_are_read_with_what_they_lead_to() -> None:
    """The target is whichever field EC2 fills; a blackhole is not active; IPv6 has no destination of ours."""
    routes = [
        {"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local", "State": "active"},
        {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1", "State": "blackhole"},
        {"DestinationPrefixListId": "pl-6da54004", "GatewayId": "vpce-1", "State": "active"},
        {"DestinationCidrBlock": "10.0.0.0/8", "TransitGatewayId": "tgw-1", "State": "active"},
        {"DestinationIpv6CidrBlock": "::/0", "EgressOnlyInternetGatewayId": "eigw-1", "State": "active"},
    ]
    table = {
        "RouteTableId": "rtb-1", "VpcId": "vpc-1", "Routes": routes,
        "Associations": [{"Main": True}, {"Main": False, "SubnetId": "subnet-1"}],
    }  # fmt: skip

    found, _ = described(Vpcs=[{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/16"}], RouteTables=[table])

    (read,) = found.route_tables
    assert (read.is_main, read.subnets) == (True, ("subnet-1",))
    assert read.routes == (
        Route(destination="10.0.0.0/16", target="local"),
        Route(destination="0.0.0.0/0", target="nat-1", is_active=False),
        Route(destination="pl-6da54004", target="vpce-1"),
        Route(destination="10.0.0.0/8", target="tgw-1"),
        Route(destination="", target="eigw-1"),
    )


def test_gateways_and_endpoints_are_read_with_their_states() -> None:
    """A NAT gateway that is being made, a private one; an endpoint that waits for its owner's word."""
    service = "com.amazonaws.eu-west-1.sqs"
    found, _ = described(
        Vpcs=[{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/16"}],
        NatGateways=[
            {"NatGatewayId": "nat-1", "State": "pending", "ConnectivityType": "public"},
            {"NatGatewayId": "nat-2", "State": "available", "ConnectivityType": "private"},
        ],
        VpcEndpoints=[
            {
                "VpcEndpointId": "vpce-1", "VpcId": "vpc-1", "ServiceName": service, "VpcEndpointType": "Interface",
                "State": "PendingAcceptance", "PrivateDnsEnabled": True, "Groups": [{"GroupId": "sg-1"}],
            },
            {
                "VpcEndpointId": "vpce-2", "VpcId": "vpc-1", "ServiceName": "com.amazonaws.eu-west-1.s3",
                "VpcEndpointType": "Gateway", "State": "Available", "RouteTableIds": ["rtb-1"],
            },
        ],
    )  # fmt: skip

    assert found.nat_gateways == (
        NatGateway(id="nat-1", is_available=False),
        NatGateway(id="nat-2", is_public=False),
    )
    waiting, gateway = found.endpoints
    assert waiting == Endpoint(
        id="vpce-1", vpc="vpc-1", service=service, is_interface=True, is_available=False, groups=("sg-1",)
    )
    assert (gateway.is_interface, gateway.is_available, gateway.route_tables) == (False, True, ("rtb-1",))


def test_a_subnet_of_another_account_is_shared_with_us() -> None:
    """As VPC sharing shows it; one of our own is not."""
    base = {
        "VpcId": "vpc-1",
        "AvailabilityZone": "eu-west-1a",
        "CidrBlock": "10.0.0.0/24",
        "AvailableIpAddressCount": 9,
    }
    found, _ = described(
        Vpcs=[{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/16"}],
        Subnets=[
            {**base, "SubnetId": "subnet-1", "OwnerId": "111122223333"},
            {**base, "SubnetId": "subnet-2", "OwnerId": "444455556666"},
        ],
    )

    assert [(one.id, one.is_shared) for one in found.subnets] == [("subnet-1", False), ("subnet-2", True)]


def test_dns_attributes_are_asked_for_where_they_matter() -> None:
    """Hostnames only where an endpoint's private DNS needs them; nothing for a VPC without subnets."""
    base = {"AvailabilityZone": "eu-west-1a", "CidrBlock": "10.0.0.0/24"}
    endpoint = {
        "VpcEndpointId": "vpce-1",
        "VpcEndpointType": "Interface",
        "PrivateDnsEnabled": True,
        "ServiceName": "s",
    }
    found, ec2 = described(
        Vpcs=[{"VpcId": f"vpc-{number}", "CidrBlock": "10.0.0.0/16"} for number in (1, 2, 3)],
        Subnets=[{**base, "SubnetId": f"subnet-{number}", "VpcId": f"vpc-{number}"} for number in (1, 2)],
        VpcEndpoints=[{**endpoint, "VpcId": "vpc-2"}],
    )

    attributes = [one for one in ec2.asked if not one[0].startswith("describe")]
    assert attributes == [
        ("enableDnsSupport", "vpc-1"), ("enableDnsSupport", "vpc-2"), ("enableDnsHostnames", "vpc-2"),
    ]  # fmt: skip
    assert [(one.has_dns, one.has_dns_names) for one in found.vpcs] == [(True, True), (True, False), (True, True)]
