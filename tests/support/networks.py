"""Networks for tests: one that a worker can stand in, to be spoilt as a test likes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

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
from orchestrator.network import Requirement, services_of_a_worker

REGION = "eu-west-1"
SERVICES = services_of_a_worker(region=REGION, control_region=REGION, repository_region=REGION)
EVERYWHERE = Rule(cidrs=("0.0.0.0/0",))


def subnet(name: str = "subnet-a", **changes: Any) -> Subnet:
    """Return a subnet of `vpc-1` with free addresses."""
    values: dict[str, Any] = {
        "id": name, "vpc": "vpc-1", "zone": "eu-west-1a", "cidr": "10.1.0.0/24", "free_addresses": 200,
    }  # fmt: skip
    return Subnet(**{**values, **changes})


def network(*subnets: Subnet, **changes: Any) -> Network:
    """Return a VPC whose subnets are routed to a NAT gateway; its default security group lets everything out."""
    values: dict[str, Any] = {
        "vpcs": (Vpc(id="vpc-1", cidrs=("10.1.0.0/16",), is_default=True),),
        "subnets": subnets or (subnet(), subnet("subnet-b", zone="eu-west-1b", cidr="10.1.1.0/24")),
        "route_tables": (table("nat-1"),),
        "nat_gateways": (NatGateway(id="nat-1"),),
        "groups": (SecurityGroup(id="sg-1", vpc="vpc-1", name="default", egress=(EVERYWHERE,)),),
    }
    return Network(**{**values, **changes})


def table(target: str | None, **changes: Any) -> RouteTable:
    """Return the main route table of `vpc-1`, with a default route to a target."""
    routes: tuple[Route, ...] = (Route(destination="10.1.0.0/16", target="local"),)
    if target is not None:
        routes = (*routes, Route(destination="0.0.0.0/0", target=target))
    return replace(RouteTable(id="rtb-1", vpc="vpc-1", is_main=True, routes=routes), **changes)


def endpoints(*, groups: Sequence[str] = ("sg-1",)) -> tuple[Endpoint, ...]:
    """Return an endpoint in `vpc-1` for each service of a worker: S3's is a gateway in `rtb-1`."""
    return tuple(
        Endpoint(
            id=f"vpce-{one.name}",
            vpc="vpc-1",
            service=one.endpoint,
            is_interface=one.name != "s3",
            route_tables=("rtb-1",) if one.name == "s3" else (),
            groups=() if one.name == "s3" else tuple(groups),
        )
        for one in SERVICES
    )


def requirement(**changes: Any) -> Requirement:
    """Return what a worker asks of `eu-west-1` when nothing is configured."""
    return Requirement(**{"region": REGION, "services": SERVICES, **changes})
