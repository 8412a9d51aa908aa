"""An account's network in one Region, as described: what `orchestrator.network` decides from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True, kw_only=True)
class Vpc:
    """A VPC. `has_dns` is AWS's enableDnsSupport, `has_dns_names` its enableDnsHostnames."""

    id: str
    cidrs: tuple[str, ...] = ()
    is_default: bool = False
    has_dns: bool = True
    has_dns_names: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Subnet:
    """A subnet; `gives_public_addresses` to whoever does not say otherwise at launch.

    One that `is_shared` belongs to another account, whose endpoints and gateways cannot be seen from here.
    """

    id: str
    vpc: str
    zone: str
    cidr: str
    free_addresses: int
    gives_public_addresses: bool = False
    is_available: bool = True
    is_shared: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Route:
    """A route: `destination` is a CIDR or the id of a prefix list; one that is not active leads nowhere (blackhole)."""

    destination: str
    target: str
    is_active: bool = True


@dataclass(frozen=True, kw_only=True)
class RouteTable:
    """A route table: of the subnets that name it, or (`is_main`) of those of its VPC that name none."""

    id: str
    vpc: str
    is_main: bool = False
    subnets: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()


@dataclass(frozen=True, kw_only=True)
class NatGateway:
    """A NAT gateway; a private one does not lead to the internet."""

    id: str
    is_public: bool = True
    is_available: bool = True


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A VPC endpoint: a gateway in `route_tables`, or an interface whose name is found where `has_private_dns`."""

    id: str
    vpc: str
    service: str
    is_interface: bool
    is_available: bool = True
    has_private_dns: bool = True
    route_tables: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule of a security group: `protocol` is tcp, udp, ... or -1 for all; who is on its other side."""

    protocol: str = "-1"
    first_port: int = 0
    last_port: int = 65_535
    cidrs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    prefix_lists: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SecurityGroup:
    """A security group."""

    id: str
    vpc: str
    name: str = ""
    egress: tuple[Rule, ...] = ()
    ingress: tuple[Rule, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Network:
    """All of it, in the order in which it was described."""

    vpcs: tuple[Vpc, ...] = ()
    subnets: tuple[Subnet, ...] = ()
    route_tables: tuple[RouteTable, ...] = ()
    nat_gateways: tuple[NatGateway, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    groups: tuple[SecurityGroup, ...] = ()

    def vpc(self, vpc_id: str) -> Vpc | None:
        """Return a VPC by its id."""
        return self._vpcs.get(vpc_id)

    def subnet(self, subnet_id: str) -> Subnet | None:
        """Return a subnet by its id."""
        return self._subnets.get(subnet_id)

    def group(self, group_id: str) -> SecurityGroup | None:
        """Return a security group by its id."""
        return self._groups.get(group_id)

    def nat_gateway(self, gateway_id: str) -> NatGateway | None:
        """Return a NAT gateway by its id."""
        return next((one for one in self.nat_gateways if one.id == gateway_id), None)

    def route_table(self, subnet: Subnet) -> RouteTable | None:
        """Return the table that a subnet is routed by: its own, or its VPC's main one."""
        return self._tables.get(subnet.id) or self._tables.get(subnet.vpc)

    @cached_property
    def _vpcs(self) -> dict[str, Vpc]:
        return {one.id: one for one in self.vpcs}

    @cached_property
    def _subnets(self) -> dict[str, Subnet]:
        return {one.id: one for one in self.subnets}

    @cached_property
    def _groups(self) -> dict[str, SecurityGroup]:
        return {one.id: one for one in self.groups}

    @cached_property
    def _tables(self) -> dict[str, RouteTable]:
        """Route tables by the subnets that name them, and the main ones by their VPC."""
        named = {subnet: one for one in self.route_tables for subnet in one.subnets}
        return named | {one.vpc: one for one in self.route_tables if one.is_main}
