"""From an account's network and what a worker asks of it to the subnets it may stand in. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from orchestrator.model.network import Network, SecurityGroup, Subnet, Vpc
from orchestrator.network import rules
from orchestrator.network.answer import Candidate, Problem, Resolution, Why
from orchestrator.network.reach import Spot, way_to
from orchestrator.network.requirement import Requirement

#: The name of the security group that every VPC has.
_DEFAULT_GROUP = "default"


def resolve(network: Network, requirement: Requirement) -> Resolution:
    """Return every candidate: those that fit in the order to be tried, then those that do not, each with its reasons.

    Configured subnets keep their order; others come by their free addresses, the most first. A worker without a public
    address is preferred. Those that fit share VPC, security groups and kind of address, as one launch needs: the first
    one decides, and whoever fits only otherwise falls out.
    """
    found, nothing = _subnets(network, requirement)
    candidates = [_candidate(network, requirement, name, subnet) for name, subnet in found]
    fitting = [one for one in candidates if one.fits]
    if not requirement.is_configured:
        fitting.sort(key=lambda one: (one.public_address, -one.free_addresses, one.subnet))
    elif any(not one.public_address for one in fitting):
        fitting.sort(key=lambda one: one.public_address)
    together = [one for one in fitting if _kind(one) == _kind(fitting[0])]
    rejected = [one for one in candidates if not one.fits]
    apart = [_apart(one, fitting[0]) for one in fitting if _kind(one) != _kind(fitting[0])]
    return Resolution((*together, *apart, *rejected), nothing if not candidates else "")


def _kind(one: Candidate) -> tuple[str, tuple[str, ...], bool]:
    return one.vpc, one.security_groups, one.public_address


def _apart(one: Candidate, first: Candidate) -> Candidate:
    """Return a candidate that fits by itself and not beside the first one."""
    if one.vpc != first.vpc:
        problem = Problem(Why.WRONG_VPC, f"it is in {one.vpc}, {first.subnet} in {first.vpc}")
    elif one.public_address != first.public_address:
        problem = Problem(Why.NO_PUBLIC_ADDRESS, f"it needs a public address, {first.subnet} does not")
    else:
        problem = Problem(Why.NO_GROUP, f"it needs other security groups than {first.subnet}")
    return replace(one, problems=(problem,))


# --- who is looked at ---------------------------------------------------------------------------------------------


def _subnets(network: Network, wanted: Requirement) -> tuple[list[tuple[str, Subnet | None]], str]:
    """Return the subnets to look at by name, and why there are none."""
    if wanted.subnets:
        return [(name, network.subnet(name)) for name in wanted.subnets], ""
    tags = dict(wanted.subnet_tags)
    if tags:
        found = sorted((one for one in network.subnets if _carries(one.tags, tags)), key=lambda one: one.id)
        return [(one.id, one) for one in found], f"no subnet of {wanted.region} is tagged {_shown(tags)}"
    vpcs = {one.id for one in network.vpcs if _is_wanted(one, wanted)}
    if not vpcs:
        return [], _no_vpc(wanted)
    found = sorted((one for one in network.subnets if one.vpc in vpcs), key=lambda one: one.id)
    return [(one.id, one) for one in found], f"{', '.join(sorted(vpcs))} has no subnet in {wanted.region}"


def _is_wanted(vpc: Vpc, wanted: Requirement) -> bool:
    if wanted.vpc is not None:
        return vpc.id == wanted.vpc
    if wanted.vpc_tags:
        return _carries(vpc.tags, dict(wanted.vpc_tags))
    return vpc.is_default or not wanted.default_vpc


def _no_vpc(wanted: Requirement) -> str:
    if wanted.vpc is not None:
        return f"{wanted.vpc} does not exist in {wanted.region}"
    if wanted.vpc_tags:
        return f"no VPC of {wanted.region} is tagged {_shown(dict(wanted.vpc_tags))}"
    kind = "default VPC" if wanted.default_vpc else "VPC"
    return f"there is no {kind} in {wanted.region}"


def _carries(tags: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return wanted.items() <= tags.items()


def _shown(tags: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(tags.items()))


# --- one candidate ------------------------------------------------------------------------------------------------


def _candidate(network: Network, wanted: Requirement, name: str, subnet: Subnet | None) -> Candidate:
    if subnet is None:
        problem = Problem(Why.NO_SUCH_SUBNET, f"it does not exist in {wanted.region}")
        return Candidate(subnet=name, problems=(problem,))
    base = Candidate(subnet=name, vpc=subnet.vpc, zone=subnet.zone, free_addresses=subnet.free_addresses)
    if wrong := tuple(_wrong_place(network, wanted, subnet)):
        return replace(base, problems=wrong)
    vpc = network.vpc(subnet.vpc) or Vpc(id=subnet.vpc)
    own = tuple(_own_problems(vpc, subnet))
    choices = _group_choices(network, wanted, vpc)
    if isinstance(choices, Problem):
        return replace(base, problems=(*own, choices))
    tried: list[Candidate] = []
    for public in _addresses(wanted, subnet):
        for groups in choices:
            spot = Spot(network=network, vpc=vpc, subnet=subnet, groups=groups, public_address=public)
            ways, problems = _reached(spot, wanted)
            found = replace(
                base, security_groups=spot.group_ids, public_address=public, ways=ways, problems=(*own, *problems)
            )
            if not problems:
                return found
            tried.append(found)
    return min(tried, key=lambda one: len(one.problems), default=replace(base, problems=(*own, _no_group(vpc))))


def _wrong_place(network: Network, wanted: Requirement, subnet: Subnet) -> Iterator[Problem]:
    if wanted.vpc is not None and subnet.vpc != wanted.vpc:
        yield Problem(Why.WRONG_VPC, f"it is in {subnet.vpc}, not in {wanted.vpc}")
    elif wanted.vpc_tags:
        vpc = network.vpc(subnet.vpc)
        if vpc is None or not _carries(vpc.tags, dict(wanted.vpc_tags)):
            yield Problem(Why.WRONG_VPC, f"{subnet.vpc} is not tagged {_shown(dict(wanted.vpc_tags))}")
    if wanted.zones and subnet.zone not in wanted.zones:
        yield Problem(Why.WRONG_ZONE, f"it is not in {' or '.join(wanted.zones)}")


def _own_problems(vpc: Vpc, subnet: Subnet) -> Iterator[Problem]:
    if not subnet.is_available:
        yield Problem(Why.NOT_AVAILABLE, "it is not available")
    if subnet.free_addresses < 1:
        yield Problem(Why.NO_FREE_ADDRESSES, "no free addresses")
    if not vpc.has_dns:
        yield Problem(Why.NO_DNS, f"DNS resolution is off in {vpc.id}")


def _addresses(wanted: Requirement, subnet: Subnet) -> tuple[bool, ...]:
    """Return the kinds of address to try: without a public one first."""
    if wanted.public_address is not None:
        return (wanted.public_address,)
    return (False, True) if subnet.gives_public_addresses else (False,)


def _group_choices(network: Network, wanted: Requirement, vpc: Vpc) -> list[tuple[SecurityGroup, ...]] | Problem:
    """Return the sets of security groups to try, in order, or what is wrong with the configured ones."""
    if wanted.security_groups:
        chosen: list[SecurityGroup] = []
        for name in wanted.security_groups:
            group = network.group(name)
            if group is None:
                return Problem(Why.NO_SUCH_GROUP, f"security group {name} does not exist in {wanted.region}")
            if group.vpc != vpc.id:
                return Problem(Why.GROUP_OF_OTHER_VPC, f"security group {name} is in {group.vpc}, not in {vpc.id}")
            chosen.append(group)
        return [tuple(chosen)]
    own = [one for one in network.groups if one.vpc == vpc.id]
    if wanted.group_tags:
        tags = dict(wanted.group_tags)
        tagged = tuple(sorted((one for one in own if _carries(one.tags, tags)), key=lambda one: one.id))
        if not tagged:
            return Problem(Why.NO_GROUP, f"no security group of {vpc.id} is tagged {_shown(tags)}")
        return [tagged]
    return [(one,) for one in sorted(own, key=lambda one: (one.name != _DEFAULT_GROUP, one.id))]


def _no_group(vpc: Vpc) -> Problem:
    return Problem(Why.NO_GROUP, f"{vpc.id} has no security group")


def _reached(spot: Spot, wanted: Requirement) -> tuple[tuple[tuple[str, str], ...], tuple[Problem, ...]]:
    """Return by what each service is reached, and what is not reached."""
    ways: list[tuple[str, str]] = []
    problems: list[Problem] = []
    for service in wanted.services:
        way = way_to(spot, service)
        if isinstance(way, Problem):
            problems.append(way)
        else:
            ways.append((service.endpoint, way))
    problems += _closed_peers(spot, wanted)
    return tuple(ways), tuple(problems)


def _closed_peers(spot: Spot, wanted: Requirement) -> Iterable[Problem]:
    for peer in wanted.peers:
        if not rules.lets_out_to(spot.groups, peer.port, cidrs=spot.vpc.cidrs, peers=peer.groups):
            names = ", ".join(spot.group_ids)
            yield Problem(
                Why.EGRESS_CLOSED, f"security group {names} does not let it out to {peer.name} on {peer.port}"
            )
        theirs = [found for group in peer.groups if (found := spot.network.group(group)) is not None]
        if theirs and not rules.lets_in(theirs, peer.port, cidrs=[spot.subnet.cidr], peers=spot.group_ids):
            yield Problem(Why.PEER_CLOSED, f"{peer.name} does not let it in on {peer.port}")
