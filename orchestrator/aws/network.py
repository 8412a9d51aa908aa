"""What stands in an account and Region: VPCs, subnets, routes, endpoints, security groups, and the types on offer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.aws import views
from orchestrator.aws.credentials import Identities
from orchestrator.aws.errors import translated
from orchestrator.model.network import (
    Endpoint,
    NatGateway,
    Network,
    Route,
    RouteTable,
    Rule,
    SecurityGroup,
    Subnet,
    Vpc,
)
from orchestrator.model.plan import Access

#: Ids in one filter; EC2 takes 200 values.
_PAGE = 100
_ALL_PORTS = (0, 65_535)
#: Where a route may lead, in the order in which EC2 names it.
_TARGETS = (
    "NatGatewayId",
    "TransitGatewayId",
    "VpcPeeringConnectionId",
    "NetworkInterfaceId",
    "InstanceId",
    "LocalGatewayId",
    "CarrierGatewayId",
    "CoreNetworkArn",
    "EgressOnlyInternetGatewayId",
    "GatewayId",
)


class AwsNetworks:
    """`orchestrator.ports.Networks` on AWS."""

    def __init__(self, identities: Identities, access: Access) -> None:
        """Take the identities and who is meant."""
        self._identities = identities
        self._access = access

    @property
    def _ec2(self) -> Any:
        return self._identities.client("ec2", self._access.role, self._access.region)

    def network(self, *, subnets: Sequence[str] = (), vpcs: Sequence[str] = (), default_only: bool = False) -> Network:
        """See the port."""
        with translated(f"describe the network of {self._access.region}"):
            if not (subnets or vpcs or default_only):
                return self._inside([], self._all("describe_vpcs", "Vpcs"))
            named = [self._subnet(one) for one in self._by_ids("describe_subnets", "Subnets", "subnet-id", subnets)]
            wanted = sorted({*vpcs, *(one.vpc for one in named)})
            if default_only:
                described = self._all("describe_vpcs", "Vpcs", [{"Name": "is-default", "Values": ["true"]}])
            else:
                described = self._by_ids("describe_vpcs", "Vpcs", "vpc-id", wanted)
            found = list(described)
            if not found:
                return Network(subnets=tuple(named))
            scope = [{"Name": "vpc-id", "Values": sorted(one["VpcId"] for one in found)}]
            return self._inside(scope, found, None if not named or vpcs else named)

    def offered(self, types: Sequence[str]) -> dict[str, frozenset[str]]:
        """See the port."""
        zones: dict[str, set[str]] = {one: set() for one in types}
        with translated(f"see which instance types {self._access.region} offers"):
            pages = self._ec2.get_paginator("describe_instance_type_offerings").paginate(
                LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": sorted(set(types))}]
            )
            for page in pages:
                for one in page["InstanceTypeOfferings"]:
                    zones.setdefault(one["InstanceType"], set()).add(one["Location"])
        return {kind: frozenset(zones[kind]) for kind in types}

    def _inside(
        self, scope: list[dict[str, Any]], vpcs: Sequence[Mapping[str, Any]] | Iterator[Any], subnets: Any = None
    ) -> Network:
        """Describe what stands in VPCs; `subnets` are those that are described already, if they are all we want."""
        if subnets is None:
            subnets = [self._subnet(one) for one in self._all("describe_subnets", "Subnets", scope)]
        endpoints = tuple(_endpoint(one) for one in self._all("describe_vpc_endpoints", "VpcEndpoints", scope))
        used = {one.vpc for one in subnets}
        named = {one.vpc for one in endpoints if one.is_interface and one.has_private_dns}
        return Network(
            vpcs=tuple(self._with_dns(_vpc(one), used=used, named=named) for one in vpcs),
            subnets=tuple(subnets),
            route_tables=tuple(_route_table(one) for one in self._all("describe_route_tables", "RouteTables", scope)),
            nat_gateways=tuple(_nat(one) for one in self._all("describe_nat_gateways", "NatGateways", scope)),
            endpoints=endpoints,
            groups=tuple(_group(one) for one in self._all("describe_security_groups", "SecurityGroups", scope)),
        )

    def _subnet(self, described: Mapping[str, Any]) -> Subnet:
        return replace(
            _subnet(described), is_shared=described.get("OwnerId", self._access.account) != self._access.account
        )

    def _with_dns(self, vpc: Vpc, *, used: set[str], named: set[str]) -> Vpc:
        """Ask for a VPC's DNS attributes where they matter: one call each, and no listing has them."""
        if vpc.id not in used:
            return vpc
        return replace(
            vpc,
            has_dns=self._attribute(vpc.id, "enableDnsSupport", "EnableDnsSupport"),
            has_dns_names=vpc.id not in named or self._attribute(vpc.id, "enableDnsHostnames", "EnableDnsHostnames"),
        )

    def _attribute(self, vpc: str, name: str, key: str) -> bool:
        return bool(self._ec2.describe_vpc_attribute(VpcId=vpc, Attribute=name)[key]["Value"])

    def _by_ids(self, operation: str, key: str, name: str, ids: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        for page in (list(ids[start : start + _PAGE]) for start in range(0, len(ids), _PAGE)):
            yield from self._all(operation, key, [{"Name": name, "Values": page}])

    def _all(
        self, operation: str, key: str, filters: list[dict[str, Any]] | None = None
    ) -> Iterator[Mapping[str, Any]]:
        options = {"Filters": filters} if filters else {}
        for page in self._ec2.get_paginator(operation).paginate(**options, PaginationConfig={"PageSize": 500}):
            yield from page[key]


# --- as described -> as we know it --------------------------------------------------------------------------------


def _vpc(described: Mapping[str, Any]) -> Vpc:
    blocks = [one["CidrBlock"] for one in described.get("CidrBlockAssociationSet", [])]
    return Vpc(
        id=described["VpcId"],
        cidrs=tuple(dict.fromkeys([described["CidrBlock"], *blocks])),
        is_default=described.get("IsDefault", False),
        tags=views.tags_of(described),
    )


def _subnet(described: Mapping[str, Any]) -> Subnet:
    return Subnet(
        id=described["SubnetId"],
        vpc=described["VpcId"],
        zone=described["AvailabilityZone"],
        cidr=described.get("CidrBlock", ""),
        free_addresses=described.get("AvailableIpAddressCount", 0),
        gives_public_addresses=described.get("MapPublicIpOnLaunch", False),
        is_available=described.get("State", "available") == "available",
        tags=views.tags_of(described),
    )


def _route_table(described: Mapping[str, Any]) -> RouteTable:
    associations = described.get("Associations", [])
    return RouteTable(
        id=described["RouteTableId"],
        vpc=described["VpcId"],
        is_main=any(one.get("Main", False) for one in associations),
        subnets=tuple(one["SubnetId"] for one in associations if one.get("SubnetId")),
        routes=tuple(
            Route(
                destination=one.get("DestinationCidrBlock") or one.get("DestinationPrefixListId") or "",
                target=next((one[name] for name in _TARGETS if one.get(name)), ""),
                is_active=one.get("State", "active") == "active",
            )
            for one in described.get("Routes", [])
        ),
    )


def _nat(described: Mapping[str, Any]) -> NatGateway:
    return NatGateway(
        id=described["NatGatewayId"],
        is_public=described.get("ConnectivityType", "public") == "public",
        is_available=described.get("State") == "available",
    )


def _endpoint(described: Mapping[str, Any]) -> Endpoint:
    return Endpoint(
        id=described["VpcEndpointId"],
        vpc=described["VpcId"],
        service=described["ServiceName"],
        is_interface=described.get("VpcEndpointType", "Gateway") == "Interface",
        is_available=str(described.get("State", "available")).lower() == "available",
        has_private_dns=bool(described.get("PrivateDnsEnabled", False)),
        route_tables=tuple(described.get("RouteTableIds", [])),
        groups=tuple(one["GroupId"] for one in described.get("Groups", [])),
    )


def _group(described: Mapping[str, Any]) -> SecurityGroup:
    return SecurityGroup(
        id=described["GroupId"],
        vpc=described.get("VpcId", ""),
        name=described.get("GroupName", ""),
        egress=tuple(_rule(one) for one in described.get("IpPermissionsEgress", [])),
        ingress=tuple(_rule(one) for one in described.get("IpPermissions", [])),
        tags=views.tags_of(described),
    )


def _rule(described: Mapping[str, Any]) -> Rule:
    protocol = str(described.get("IpProtocol", "-1"))
    first, last = (described.get("FromPort"), described.get("ToPort")) if protocol != "-1" else (None, None)
    return Rule(
        protocol=protocol,
        first_port=_ALL_PORTS[0] if first is None else max(0, first),
        last_port=_ALL_PORTS[1] if last is None else last if last >= 0 else _ALL_PORTS[1],
        cidrs=tuple(one["CidrIp"] for one in described.get("IpRanges", [])),
        groups=tuple(one["GroupId"] for one in described.get("UserIdGroupPairs", []) if one.get("GroupId")),
        prefix_lists=tuple(one["PrefixListId"] for one in described.get("PrefixListIds", [])),
    )
