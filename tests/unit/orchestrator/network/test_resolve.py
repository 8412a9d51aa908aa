"""Where a worker may stand: every reason to fall out, and that its remedy is one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from support.networks import EVERYWHERE, SERVICES, endpoints, network, requirement, subnet, table

from orchestrator.model.network import NatGateway, Network, Route, Rule, SecurityGroup, Vpc
from orchestrator.network import Candidate, Peer, Requirement, Service, Why, resolve

OPEN = SecurityGroup(id="sg-1", vpc="vpc-1", name="default", egress=(EVERYWHERE,), ingress=(EVERYWHERE,))
CLOSED = replace(OPEN, egress=(Rule(protocol="tcp", first_port=80, last_port=80, cidrs=("0.0.0.0/0",)),))
WITHOUT_DNS = Vpc(id="vpc-1", cidrs=("10.1.0.0/16",), has_dns=False)
NFS = Peer("mount target fsmt-1", 2049, ("sg-efs",))


def only(found: Network, wanted: Requirement) -> Candidate:
    """Return the one candidate there is."""
    (candidate,) = resolve(found, wanted).candidates
    return candidate


@dataclass(frozen=True)
class Case:
    """A network in which a worker cannot stand, why, and what its text names; `repaired` is one where it can."""

    why: Why
    broken: Network
    repaired: Network
    text: str
    asked: dict[str, Any]


def case(why: Why, broken: Network, repaired: Network, text: str, **asked: Any) -> Any:
    """Return a case with its reason as its name."""
    return pytest.param(Case(why, broken, repaired, text, asked), id=f"{why}-{text[:18]}")


ONE = subnet()
WITH_ENDPOINTS = network(ONE, route_tables=(table(None),), endpoints=endpoints(), groups=(OPEN,))
SQS = next(one for one in WITH_ENDPOINTS.endpoints if one.id == "vpce-sqs")
OTHERS = tuple(one for one in WITH_ENDPOINTS.endpoints if one is not SQS)
PRIVATE = NatGateway(id="nat-1", is_public=False)


def with_sqs(**changes: Any) -> Network:
    """Return the network of endpoints with another endpoint for SQS."""
    return replace(WITH_ENDPOINTS, endpoints=(*OTHERS, replace(SQS, **changes)))


CASES = [
    case(Why.NO_SUCH_SUBNET, network(subnet("subnet-x")), network(ONE), "does not exist in eu-west-1",
         subnets=("subnet-a",)),
    case(Why.WRONG_VPC, network(subnet(vpc="vpc-2")), network(ONE), "it is in vpc-2, not in vpc-1",
         subnets=("subnet-a",), vpc="vpc-1"),
    case(Why.WRONG_ZONE, network(subnet(zone="eu-west-1c")), network(ONE), "it is not in eu-west-1a or eu-west-1b",
         zones=("eu-west-1a", "eu-west-1b")),
    case(Why.NOT_AVAILABLE, network(subnet(is_available=False)), network(ONE), "not available"),
    case(Why.NO_FREE_ADDRESSES, network(subnet(free_addresses=0)), network(subnet(free_addresses=1)),
         "no free addresses"),
    case(Why.NO_DNS, network(ONE, vpcs=(WITHOUT_DNS,)), network(ONE), "DNS resolution is off in vpc-1"),
    case(Why.NO_SUCH_GROUP, network(ONE, groups=()), network(ONE), "security group sg-1 does not exist",
         security_groups=("sg-1",)),
    case(Why.GROUP_OF_OTHER_VPC, network(ONE, groups=(replace(OPEN, vpc="vpc-2"),)), network(ONE),
         "sg-1 is in vpc-2, not in vpc-1", security_groups=("sg-1",)),
    case(Why.NO_GROUP, network(ONE, groups=()), network(ONE), "vpc-1 has no security group"),
    case(Why.NO_GROUP, network(ONE), network(ONE, groups=(replace(OPEN, tags={"use": "daywork"}),)),
         "no security group of vpc-1 is tagged use=daywork", group_tags=(("use", "daywork"),)),
    case(Why.EGRESS_CLOSED, network(ONE, groups=(CLOSED,)), network(ONE), "sg-1 does not let it out to s3"),
    case(Why.NO_ROUTE, network(ONE, route_tables=()), network(ONE), "no route to sqs in eu-west-1 and no endpoint"),
    case(Why.NO_ROUTE, network(ONE, route_tables=(table(None),)), network(ONE), "no route to kms in eu-west-1"),
    case(Why.NO_ROUTE, network(ONE, nat_gateways=(PRIVATE,)), network(ONE), "the default route to nat-1 leads nowhere"),
    case(Why.NO_ROUTE, replace(WITH_ENDPOINTS, endpoints=OTHERS), WITH_ENDPOINTS,
         "no route to sqs in eu-west-1 and no endpoint"),
    case(Why.NO_PUBLIC_ADDRESS, network(ONE, route_tables=(table("igw-1"),)), network(ONE),
         "internet gateway igw-1 needs a public address"),
    case(Why.ENDPOINT_NOT_AVAILABLE, with_sqs(is_available=False), WITH_ENDPOINTS, "vpce-sqs for sqs in eu-west-1 is"),
    case(Why.ENDPOINT_CLOSED,
         replace(with_sqs(groups=("sg-2",)), groups=(OPEN, SecurityGroup(id="sg-2", vpc="vpc-1"))),
         replace(with_sqs(groups=("sg-2",)),
                 groups=(OPEN, SecurityGroup(id="sg-2", vpc="vpc-1", ingress=(Rule(groups=("sg-1",)),)))),
         "vpce-sqs for sqs in eu-west-1 does not let it in on 443", security_groups=("sg-1",)),
    case(Why.ENDPOINT_WITHOUT_NAME, with_sqs(has_private_dns=False), WITH_ENDPOINTS, "does not take the name of sqs"),
    case(Why.PEER_CLOSED,
         network(ONE, groups=(OPEN, SecurityGroup(id="sg-efs", vpc="vpc-1"))),
         network(ONE, groups=(OPEN, SecurityGroup(id="sg-efs", vpc="vpc-1", ingress=(
             Rule(protocol="tcp", first_port=2049, last_port=2049, cidrs=("10.1.0.0/16",)),)))),
         "mount target fsmt-1 does not let it in on 2049", peers=(NFS,), security_groups=("sg-1",)),
    case(Why.EGRESS_CLOSED,
         network(ONE, groups=(replace(OPEN, egress=(Rule(protocol="tcp", first_port=443, last_port=443,
                                                         cidrs=("0.0.0.0/0",)),)),)),
         network(ONE), "does not let it out to mount target fsmt-1 on 2049", peers=(NFS,)),
]  # fmt: skip


@pytest.mark.parametrize("one", CASES)
def test_a_candidate_falls_out_with_its_reason_and_fits_when_that_is_repaired(one: Case) -> None:
    """The reason names the thing; nothing else is said to be wrong."""
    wanted = requirement(**one.asked)

    broken = only(one.broken, wanted)

    assert {problem.why for problem in broken.problems} == {one.why}
    assert any(one.text in problem.text for problem in broken.problems), broken.problems
    assert all(problem.remedy for problem in broken.problems)
    assert resolve(one.repaired, wanted).fitting


def test_every_reason_has_a_case() -> None:
    """Nothing can fall out for a reason that no test has seen."""
    assert {one.values[0].why for one in CASES} == set(Why)


def test_a_service_is_reached_by_its_endpoint_before_any_route() -> None:
    """S3 by its gateway endpoint, the others by interface endpoints; no route to the internet is needed."""
    found = only(WITH_ENDPOINTS, requirement())

    assert dict(found.ways) == {one.endpoint: f"vpce-{one.name}" for one in SERVICES}


def test_a_closed_endpoint_is_not_gone_around_by_a_nat_gateway() -> None:
    """Private DNS gives the service's name to the endpoint for the whole VPC."""
    closed = replace(with_sqs(groups=("sg-2",)), groups=(OPEN, SecurityGroup(id="sg-2", vpc="vpc-1")))
    routed = replace(closed, route_tables=(table("nat-1"),), nat_gateways=(NatGateway(id="nat-1"),))

    found = only(routed, requirement(security_groups=("sg-1",)))

    assert [problem.why for problem in found.problems] == [Why.ENDPOINT_CLOSED]


def test_an_endpoint_of_another_region_is_of_no_use() -> None:
    """The report queue may be in the control plane's Region, the worker is not."""
    wanted = requirement(services=(Service("sqs", "eu-central-1"),))

    found = only(WITH_ENDPOINTS, wanted)

    assert [problem.text for problem in found.problems] == ["no route to sqs in eu-central-1 and no endpoint"]


HUB = Route(destination="10.0.0.0/8", target="tgw-1")


@pytest.mark.parametrize(
    ("found", "way"),
    [
        (network(ONE, route_tables=(table("tgw-1"),)), "tgw-1"),
        (network(ONE, route_tables=(replace(table(None), routes=(HUB,)),)), "tgw-1"),
        (network(subnet(is_shared=True), route_tables=()), "whatever the owner of vpc-1 has"),
        (network(ONE, route_tables=(replace(table(None), routes=(replace(HUB, destination="52.0.0.0/8"),)),)), "tgw-1"),
    ],
)
def test_what_cannot_be_seen_from_here_counts_as_reached(found: Network, way: str) -> None:
    """A hub's endpoints, a firewall, the owner of a shared VPC: only what is certainly closed is called closed."""
    candidate = only(found, requirement())

    assert candidate.fits, candidate.problems
    assert {reached for _, reached in candidate.ways} == {way}


def test_nobody_gets_out_to_a_hub_through_a_closed_group() -> None:
    """No rule for 443 at all."""
    found = network(ONE, route_tables=(replace(table(None), routes=(HUB,)),), groups=(CLOSED,))

    assert {problem.why for problem in only(found, requirement()).problems} == {Why.EGRESS_CLOSED}


def test_the_route_for_everything_counts_before_one_for_some_of_it() -> None:
    """A detour for a partner's addresses says nothing of AWS's."""
    partner = Route(destination="198.51.100.0/24", target="igw-1")
    found = network(ONE, route_tables=(replace(table("nat-1"), routes=(partner, *table("nat-1").routes)),))

    assert {reached for _, reached in only(found, requirement()).ways} == {"nat-1"}


def test_configured_subnets_keep_their_order_and_tell_apart() -> None:
    """The launch ladder takes them as its owner wrote them, without those that fell out."""
    found = network(subnet(free_addresses=3), subnet("subnet-b", free_addresses=0), subnet("subnet-c"))

    answer = resolve(found, requirement(subnets=("subnet-c", "subnet-b", "subnet-a", "subnet-z")))

    assert [one.subnet for one in answer.fitting] == ["subnet-c", "subnet-a"]
    assert [one.subnet for one in answer.rejected] == ["subnet-b", "subnet-z"]


def test_subnets_that_nobody_chose_come_by_their_free_addresses() -> None:
    """The fullest one last."""
    found = network(subnet(free_addresses=3), subnet("subnet-b", free_addresses=90), subnet("subnet-c"))

    assert [one.subnet for one in resolve(found, requirement()).fitting] == ["subnet-c", "subnet-b", "subnet-a"]


def test_nothing_configured_in_the_default_vpc_stands_as_its_subnets_do() -> None:
    """A public address where the subnet gives one and nothing is reached without, never otherwise."""
    public = subnet(gives_public_addresses=True)
    by_gateway = network(public, route_tables=(table("igw-1"),))
    wanted = requirement(default_vpc=True)

    assert only(by_gateway, wanted).public_address
    assert not only(network(public), wanted).public_address
    assert not only(by_gateway, replace(wanted, public_address=False)).fits


def test_a_region_without_a_default_vpc_says_so() -> None:
    """There is no candidate to name."""
    answer = resolve(network(vpcs=(Vpc(id="vpc-1"),)), requirement(default_vpc=True))

    assert answer.candidates == ()
    assert "there is no default VPC in eu-west-1" in str(answer.refusal("home"))


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"vpc": "vpc-9"}, "vpc-9 does not exist in eu-west-1"),
        ({"vpc_tags": (("use", "backup"),)}, "no VPC of eu-west-1 is tagged use=backup"),
        ({"subnet_tags": (("use", "backup"),)}, "no subnet of eu-west-1 is tagged use=backup"),
    ],
)
def test_nothing_to_choose_from_is_said(asked: dict[str, Any], text: str) -> None:
    """The text names what was looked for."""
    assert text in str(resolve(network(), requirement(**asked)).refusal("home"))


def test_subnets_and_groups_are_found_by_their_tags() -> None:
    """Organisations tag VPC, subnets and security groups instead of listing ids."""
    mine = {"use": "backup"}
    found = network(
        subnet(tags=mine), subnet("subnet-b"),
        vpcs=(Vpc(id="vpc-1", cidrs=("10.1.0.0/16",), tags=mine),),
        groups=(OPEN, replace(OPEN, id="sg-2", name="workers", tags=mine)),
    )  # fmt: skip
    pair = (("use", "backup"),)

    answer = resolve(found, requirement(subnet_tags=pair, group_tags=pair, vpc_tags=pair))

    assert [(one.subnet, one.security_groups) for one in answer.candidates] == [("subnet-a", ("sg-2",))]
    assert answer.candidates[0].fits


def test_a_security_group_that_lets_out_is_chosen_when_the_default_one_does_not() -> None:
    """For a file system: any group with egress to 2049 and 443."""
    found = network(ONE, groups=(CLOSED, replace(OPEN, id="sg-0", name="web")))

    assert only(found, requirement(peers=(Peer("mount target fsmt-1", 2049),))).security_groups == ("sg-0",)


def test_those_that_fit_share_what_a_launch_needs_to_share() -> None:
    """Security groups and VPC are one for a launch; who fits only otherwise falls out and is told why."""
    second = replace(OPEN, id="sg-2", vpc="vpc-2")
    found = replace(
        network(ONE, subnet("subnet-z", vpc="vpc-2", free_addresses=9), groups=(OPEN, second)),
        vpcs=(Vpc(id="vpc-1", cidrs=("10.1.0.0/16",)), Vpc(id="vpc-2", cidrs=("10.1.0.0/16",))),
        route_tables=(table("nat-1"), replace(table("nat-1"), id="rtb-2", vpc="vpc-2")),
    )

    answer = resolve(found, requirement())

    assert [one.subnet for one in answer.fitting] == ["subnet-a"]
    assert answer.rejected[0].problems[0].text == "it is in vpc-2, subnet-a in vpc-1"


def test_services_that_fail_alike_share_a_sentence() -> None:
    """Whoever reads it sees at once what is missing."""
    wanted = requirement(services=(*SERVICES, Service("s3", "eu-central-1")))

    assert only(network(ONE, route_tables=(table(None),)), wanted).reason == (
        "no route to ebs, kms, s3, sqs, sts in eu-west-1 and s3 in eu-central-1 and no endpoint"
    )


def test_the_refusal_names_every_candidate_with_its_reasons() -> None:
    """Those that fell out alike share the sentence; the remedies are those of the reasons."""
    found = network(
        subnet(free_addresses=0), subnet("subnet-b", free_addresses=0), subnet("subnet-c", zone="eu-west-1c")
    )
    zones = ("eu-west-1a", "eu-west-1b")

    refusal = resolve(found, requirement(zones=zones)).refusal("home in eu-west-1")

    assert refusal.reason == (
        "no subnet of home in eu-west-1 fits the worker: "
        "subnet-a (eu-west-1a), subnet-b (eu-west-1a): no free addresses; "
        "subnet-c (eu-west-1c): it is not in eu-west-1a or eu-west-1b"
    )
    assert refusal.remedy == (
        "Free addresses, or add a subnet to the worker configuration; or name a subnet in one of the zones"
    )


@pytest.mark.parametrize(
    ("rule", "is_open"),
    [
        (Rule(cidrs=("0.0.0.0/0",)), True),
        (Rule(protocol="6", first_port=443, last_port=443, cidrs=("52.0.0.0/8",)), True),
        (Rule(protocol="tcp", first_port=1, last_port=442, cidrs=("0.0.0.0/0",)), False),
        (Rule(protocol="udp", first_port=443, last_port=443, cidrs=("0.0.0.0/0",)), False),
        (Rule(cidrs=("10.0.0.0/8", "192.168.1.0/24")), False),
        (Rule(cidrs=("::/0",)), False),
        (Rule(prefix_lists=("pl-1",)), True),
        (Rule(groups=("sg-9",)), False),
    ],
)
def test_egress_to_the_internet_is_what_may_meet_a_public_address(rule: Rule, is_open: bool) -> None:  # noqa: FBT001 - a table
    """What a prefix list holds is not known, so it counts as open."""
    found = network(ONE, groups=(replace(OPEN, egress=(rule,)),))

    assert only(found, requirement()).fits is is_open
