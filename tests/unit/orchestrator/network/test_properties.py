"""What holds of every network, drawn by chance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings, strategies as st
from support.networks import EVERYWHERE, REGION

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
from orchestrator.network import Peer, Requirement, Service, resolve

VPCS, ZONES = ("vpc-1", "vpc-2"), ("eu-west-1a", "eu-west-1b")
NAMES = ("subnet-a", "subnet-b", "subnet-c")
SERVICES = (Service("s3", REGION), Service("sqs", REGION))
CIDRS = ("0.0.0.0/0", "10.0.0.0/8", "10.0.1.0/24", "52.0.0.0/8", "192.168.0.0/16")


def mostly(good: Any, *others: Any) -> st.SearchStrategy[Any]:
    """Draw the good value more often than not: a network in which nothing fits shows little."""
    return st.sampled_from([good] * (3 * len(others)) + list(others))


usually = st.sampled_from([True, True, True, False])
rules = st.builds(
    Rule,
    protocol=st.sampled_from(["-1", "tcp", "udp"]),
    first_port=st.sampled_from([0, 443, 2049]),
    last_port=st.sampled_from([443, 2049, 65_535]),
    cidrs=st.lists(st.sampled_from(CIDRS), max_size=2).map(tuple),
    groups=st.lists(st.sampled_from(["sg-1", "sg-2"]), max_size=1).map(tuple),
    prefix_lists=st.sampled_from([(), (), ("pl-1",)]),
)
subnets = st.builds(
    Subnet,
    id=st.sampled_from(NAMES),
    vpc=mostly(*VPCS),
    zone=mostly(*ZONES),
    cidr=st.just("10.0.1.0/24"),
    free_addresses=mostly(7, 0, 9),
    gives_public_addresses=st.booleans(),
    is_available=usually,
)
tables = [
    st.builds(
        RouteTable,
        id=st.just(f"rtb-{vpc}"),
        vpc=st.just(vpc),
        is_main=st.sampled_from([True]),
        routes=st.builds(
            Route,
            destination=mostly("0.0.0.0/0", "10.9.0.0/16"),
            target=mostly("nat-1", "igw-1", "tgw-1", "nat-9"),
            is_active=usually,
        ).map(lambda route: (route,)),
    )
    for vpc in VPCS
]
groups = [
    st.builds(
        SecurityGroup,
        id=st.just(name),
        vpc=mostly(*VPCS),
        name=mostly("default", "workers"),
        egress=st.one_of(st.just((EVERYWHERE,)), st.lists(rules, max_size=2).map(tuple)),
        ingress=st.one_of(st.just((EVERYWHERE,)), st.lists(rules, max_size=2).map(tuple)),
    )
    for name in ("sg-1", "sg-2")
]
endpoints = st.builds(
    Endpoint,
    id=st.sampled_from(["vpce-1", "vpce-2"]),
    vpc=mostly(*VPCS),
    service=st.sampled_from([one.endpoint for one in SERVICES]),
    is_interface=st.booleans(),
    is_available=usually,
    has_private_dns=usually,
    route_tables=mostly(("rtb-vpc-1",), ("rtb-vpc-2",), ()),
    groups=st.lists(st.sampled_from(["sg-1", "sg-2"]), max_size=1).map(tuple),
)
networks = st.builds(
    Network,
    vpcs=st.tuples(
        *[
            st.builds(Vpc, id=st.just(one), cidrs=st.just(("10.0.0.0/16",)), is_default=st.just(one == "vpc-1"),
                      has_dns=usually, has_dns_names=usually)
            for one in VPCS
        ]
    ),
    subnets=st.lists(subnets, unique_by=lambda one: one.id, min_size=1, max_size=3).map(tuple),
    route_tables=st.tuples(*tables),
    nat_gateways=st.builds(NatGateway, id=st.just("nat-1"), is_public=usually).map(lambda one: (one,)),
    endpoints=st.lists(endpoints, unique_by=lambda one: one.id, max_size=2).map(tuple),
    groups=st.tuples(*groups),
)  # fmt: skip
requirements = st.builds(
    Requirement,
    region=st.just(REGION),
    subnets=st.one_of(st.just(()), st.permutations(NAMES).map(tuple)),
    security_groups=st.sampled_from([(), (), ("sg-1",), ("sg-1", "sg-2")]),
    vpc=mostly(None, *VPCS),
    default_vpc=st.booleans(),
    zones=mostly((), ZONES[:1]),
    services=st.just(SERVICES),
    peers=mostly((), (Peer("mount target", 2049, ("sg-2",)),)),
    public_address=st.sampled_from([None, True, False]),
)
examples = settings(max_examples=150, deadline=None)


@examples
@given(networks, requirements)
def test_every_candidate_is_named_once_and_fits_or_says_why(network: Network, wanted: Requirement) -> None:
    """Nobody is forgotten, nobody falls out in silence, and a refusal names all of them."""
    answer = resolve(network, wanted)

    names = [one.subnet for one in answer.candidates]
    assert len(names) == len(set(names))
    if wanted.subnets:
        assert sorted(names) == sorted(wanted.subnets)
    assert bool(names) != bool(answer.nothing)
    for one in answer.rejected:
        assert all(problem.text and problem.remedy for problem in one.problems)
        assert one.subnet in answer.refusal("home").reason


@examples
@given(networks, requirements)
def test_what_fits_keeps_every_demand(network: Network, wanted: Requirement) -> None:
    """Place, addresses, DNS, groups of the same VPC, a way to each service; all of one kind, in the order asked for."""
    fitting = resolve(network, wanted).fitting

    for one in fitting:
        subnet, vpc = network.subnet(one.subnet), network.vpc(one.vpc)
        assert subnet is not None
        assert vpc is not None
        assert (subnet.vpc, subnet.is_available, vpc.has_dns) == (vpc.id, True, True)
        assert subnet.free_addresses > 0
        assert wanted.vpc in (None, vpc.id)
        assert not wanted.zones or subnet.zone in wanted.zones
        assert [name for name, _ in one.ways] == [service.endpoint for service in wanted.services]
        assert {network.group(group).vpc for group in one.security_groups} == {vpc.id}  # type: ignore[union-attr]
        assert wanted.security_groups in ((), one.security_groups)
        assert not one.public_address or wanted.public_address or subnet.gives_public_addresses
        assert wanted.public_address is not False or not one.public_address
    assert len({(one.vpc, one.security_groups, one.public_address) for one in fitting}) <= 1
    if wanted.subnets:
        assert [one.subnet for one in fitting] == [
            name for name in wanted.subnets if name in {one.subnet for one in fitting}
        ]


@examples
@given(networks, requirements)
def test_opening_a_network_takes_no_place_away(network: Network, wanted: Requirement) -> None:
    """More addresses, wider groups: whoever could be served before still is."""
    opened = replace(
        network,
        subnets=tuple(replace(one, free_addresses=one.free_addresses + 5) for one in network.subnets),
        groups=tuple(
            replace(one, egress=(*one.egress, EVERYWHERE), ingress=(*one.ingress, EVERYWHERE)) for one in network.groups
        ),
    )

    before, after = resolve(network, wanted), resolve(opened, wanted)

    assert bool(after.fitting) >= bool(before.fitting)
