"""What rules of security groups let through. A rule counts when it may: only what is certainly closed is called closed.

The members of prefix lists are not known, nor the addresses behind groups of other VPCs; both count as let through.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import lru_cache
from ipaddress import IPv4Network, ip_network

from orchestrator.model.network import Rule, SecurityGroup

#: Addresses that are never those of AWS's services.
_PRIVATE = tuple(
    IPv4Network(cidr)
    for cidr in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "127.0.0.0/8")
)
_ALL, _TCP = "-1", ("tcp", "6")


def lets_out_to_internet(groups: Iterable[SecurityGroup], port: int) -> bool:
    """Whether any group lets TCP out on a port to any public address."""
    return any(rule.prefix_lists or any(is_public(cidr) for cidr in rule.cidrs) for rule in _out(groups, port))


def lets_out(groups: Iterable[SecurityGroup], port: int) -> bool:
    """Whether any group lets TCP out on a port to anybody."""
    return bool(_out(groups, port))


def lets_out_to(groups: Iterable[SecurityGroup], port: int, *, cidrs: Collection[str], peers: Collection[str]) -> bool:
    """Whether any group lets TCP out on a port to some address of `cidrs` or a member of the groups `peers`."""
    return any(_meets(rule, cidrs=cidrs, groups=peers) for rule in _out(groups, port))


def lets_in(groups: Iterable[SecurityGroup], port: int, *, cidrs: Collection[str], peers: Collection[str]) -> bool:
    """Whether any group lets TCP in on a port from some address of `cidrs` or a member of the groups `peers`."""
    return any(_meets(rule, cidrs=cidrs, groups=peers) for one in groups for rule in one.ingress if _is_for(rule, port))


def _out(groups: Iterable[SecurityGroup], port: int) -> list[Rule]:
    return [rule for one in groups for rule in one.egress if _is_for(rule, port)]


def _is_for(rule: Rule, port: int) -> bool:
    return rule.protocol == _ALL or (rule.protocol in _TCP and rule.first_port <= port <= rule.last_port)


def _meets(rule: Rule, *, cidrs: Collection[str], groups: Collection[str]) -> bool:
    if rule.prefix_lists or not set(groups).isdisjoint(rule.groups):
        return True
    return any(_overlap(mine, theirs) for mine in rule.cidrs for theirs in cidrs)


@lru_cache(maxsize=4096)
def _overlap(one: str, other: str) -> bool:
    first, second = _network(one), _network(other)
    return first is not None and second is not None and first.overlaps(second)


@lru_cache(maxsize=4096)
def is_public(cidr: str) -> bool:
    """Whether a CIDR holds any address that AWS's services may have on the internet."""
    network = _network(cidr)
    return network is not None and not any(network.subnet_of(private) for private in _PRIVATE)


def _network(cidr: str) -> IPv4Network | None:
    """Return an IPv4 network; IPv6 is not what workers speak."""
    found = ip_network(cidr, strict=False)
    return found if isinstance(found, IPv4Network) else None
