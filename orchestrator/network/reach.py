"""How a worker in a subnet reaches an AWS service: by an endpoint of its VPC, or by a route to the internet.

An interface endpoint with private DNS takes the service's name for the whole VPC, and a gateway endpoint the service's
addresses for its route tables: a closed endpoint is not gone around by a NAT gateway. What lies in another network (the
endpoints of a hub behind a transit gateway, those of the owner of a shared VPC) cannot be seen and counts as reached.
Network ACLs are not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.model.network import Endpoint, Network, Route, SecurityGroup, Subnet, Vpc
from orchestrator.network import rules
from orchestrator.network.answer import Problem, Why
from orchestrator.network.requirement import Service

HTTPS = 443
_EVERYTHING = "0.0.0.0/0"
#: Targets of routes behind which there is another network: transit gateway, peering, VPN, core network, an appliance.
_ELSEWHERE = ("tgw-", "pcx-", "vgw-", "arn:", "eni-", "i-")


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A worker as it would stand: its subnet, its security groups, and whether it would have a public address."""

    network: Network
    vpc: Vpc
    subnet: Subnet
    groups: tuple[SecurityGroup, ...]
    public_address: bool

    @property
    def group_ids(self) -> tuple[str, ...]:
        """The ids of its security groups."""
        return tuple(one.id for one in self.groups)


def way_to(spot: Spot, service: Service) -> str | Problem:
    """Return by what a service is reached, or why it is not."""
    endpoints = [one for one in spot.network.endpoints if one.vpc == spot.vpc.id and one.service == service.endpoint]
    interfaces = [one for one in endpoints if one.is_interface]
    if named := [one for one in interfaces if one.has_private_dns and spot.vpc.has_dns_names]:
        return _by_interface(spot, service, named)
    table = spot.network.route_table(spot.subnet)
    gateway = next((one for one in endpoints if table is not None and table.id in one.route_tables), None)
    if gateway is not None and gateway.is_available:
        return _by_gateway(spot, service, gateway)
    way = _by_internet(spot, service)
    if isinstance(way, Problem) and way.why is Why.NO_ROUTE and (unseen := _unseen(spot)) is not None:
        return unseen if rules.lets_out(spot.groups, HTTPS) else _closed(spot, service)
    if isinstance(way, Problem) and interfaces:
        return Problem(
            Why.ENDPOINT_WITHOUT_NAME,
            f"endpoint {interfaces[0].id} does not take the name of {{}} (private DNS)",
            service,
        )
    return way


def _by_interface(spot: Spot, service: Service, endpoints: Sequence[Endpoint]) -> str | Problem:
    problem: Problem | None = None
    for one in endpoints:
        if not one.is_available:
            problem = Problem(Why.ENDPOINT_NOT_AVAILABLE, f"endpoint {one.id} for {{}} is not available", service)
            continue
        if not rules.lets_out_to(spot.groups, HTTPS, cidrs=spot.vpc.cidrs, peers=one.groups):
            problem = _closed(spot, service)
            continue
        theirs = [found for group in one.groups if (found := spot.network.group(group)) is not None]
        if theirs and not rules.lets_in(theirs, HTTPS, cidrs=[spot.subnet.cidr], peers=spot.group_ids):
            problem = Problem(Why.ENDPOINT_CLOSED, f"endpoint {one.id} for {{}} does not let it in on 443", service)
            continue
        return one.id
    return problem or Problem(Why.NO_ROUTE, "no endpoint for {}", service)


def _by_gateway(spot: Spot, service: Service, endpoint: Endpoint) -> str | Problem:
    if rules.lets_out_to_internet(spot.groups, HTTPS):
        return endpoint.id
    return _closed(spot, service)


def _by_internet(spot: Spot, service: Service) -> str | Problem:
    route = _default_route(spot)
    if route is None:
        return Problem(Why.NO_ROUTE, "no route to {} and no endpoint", service)
    if not _leads_out(spot, route):
        return Problem(Why.NO_ROUTE, f"the default route to {route.target} leads nowhere")
    if route.target.startswith("igw-") and not spot.public_address:
        return Problem(
            Why.NO_PUBLIC_ADDRESS,
            f"no endpoint for {{}}, and the route to internet gateway {route.target} needs a public address",
            service,
        )
    if not rules.lets_out_to_internet(spot.groups, HTTPS):
        return _closed(spot, service)
    return route.target


def _default_route(spot: Spot) -> Route | None:
    """Return the route to the internet: the one for everything, or else one for some of it."""
    found = [one for one in _routes(spot) if not one.target.startswith("vpce-") and _is_outside(one.destination)]
    return min(found, key=lambda one: one.destination != _EVERYTHING, default=None)


def _is_outside(destination: str) -> bool:
    """Whether a destination holds public addresses; what a prefix list holds is not known, so it counts."""
    return destination.startswith("pl-") or ("/" in destination and rules.is_public(destination))


def _unseen(spot: Spot) -> str | None:
    """Return what leads to where nobody can look from here, if anything does."""
    if spot.subnet.is_shared:
        return f"whatever the owner of {spot.vpc.id} has"
    return next((one.target for one in _routes(spot) if one.is_active and one.target.startswith(_ELSEWHERE)), None)


def _routes(spot: Spot) -> tuple[Route, ...]:
    table = spot.network.route_table(spot.subnet)
    return () if table is None else table.routes


def _leads_out(spot: Spot, route: Route) -> bool:
    """Whether a route leads to the internet; beyond a transit gateway or a firewall nobody can look from here."""
    if not route.is_active:
        return False
    if not route.target.startswith("nat-"):
        return True
    gateway = spot.network.nat_gateway(route.target)
    return gateway is None or (gateway.is_public and gateway.is_available)


def _closed(spot: Spot, service: Service) -> Problem:
    names = ", ".join(spot.group_ids)
    return Problem(Why.EGRESS_CLOSED, f"security group {names} does not let it out to {{}} on {HTTPS}", service)
