"""Networks, quotas and keys of a `World` (`orchestrator.ports.Networks`, `Limits`, `Keys`): what plans look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from orchestrator.errors import Missing
from orchestrator.model.network import NatGateway, Network, Route, RouteTable, Rule, SecurityGroup, Subnet, Vpc
from orchestrator.model.plan import Access
from orchestrator.ports import KeyView, Room
from support.fakes.world import World

_VCPUS = {"medium": 2, "large": 2, "xlarge": 4, "2xlarge": 8, "4xlarge": 16}


def network_of(world: World, account: str, region: str) -> Network:
    """Return what a test has put there, or one VPC in which every known subnet and security group can be used."""
    given = world.networks.get((account, region))
    if given is not None:
        return given
    anywhere = Rule(cidrs=("0.0.0.0/0",))
    return Network(
        vpcs=(Vpc(id="vpc-fake", cidrs=("10.0.0.0/8",), is_default=True),),
        subnets=tuple(
            Subnet(id=name, vpc="vpc-fake", zone=zone, cidr="10.0.0.0/20", free_addresses=4000)
            for name, zone in world.subnets.items()
        ),
        route_tables=(
            RouteTable(
                id="rtb-fake", vpc="vpc-fake", is_main=True, routes=(Route(destination="0.0.0.0/0", target="nat-fake"),)
            ),
        ),
        nat_gateways=(NatGateway(id="nat-fake"),),
        groups=tuple(SecurityGroup(id=name, vpc="vpc-fake", egress=(anywhere,)) for name in sorted(world.groups)),
    )


class _Premises:
    """Who looks, and at what."""

    def __init__(self, world: World, access: Access, assume: Any) -> None:
        """Take the world and who looks at it; `assume` refuses as STS does."""
        self._world = world
        self._access = access
        self._assume = assume

    def _call(self, operation: str) -> AbstractContextManager[None]:
        self._assume(self._access)
        return self._world.script.call(operation, self._access.account, self._access.role)


class FakeNetworks(_Premises):
    """What stands in one account and Region."""

    def network(self, *, subnets: Sequence[str] = (), vpcs: Sequence[str] = (), default_only: bool = False) -> Network:
        """See the port."""
        with self._call("network"):
            found = network_of(self._world, self._access.account, self._access.region)
        if not (subnets or vpcs or default_only):
            return found
        named = tuple(one for one in found.subnets if one.id in subnets)
        wanted = {*vpcs, *(one.vpc for one in named)}
        if default_only:
            wanted = {one.id for one in found.vpcs if one.is_default}
        return replace(
            found,
            vpcs=tuple(one for one in found.vpcs if one.id in wanted),
            subnets=tuple(
                one for one in found.subnets if one.vpc in wanted and (not subnets or vpcs or one.id in subnets)
            ),
            route_tables=tuple(one for one in found.route_tables if one.vpc in wanted),
            endpoints=tuple(one for one in found.endpoints if one.vpc in wanted),
            groups=tuple(one for one in found.groups if one.vpc in wanted),
        )

    def offered(self, types: Sequence[str]) -> dict[str, frozenset[str]]:
        """See the port."""
        with self._call("offered"):
            everywhere = frozenset(self._world.subnets.values())
            return {one: frozenset(self._world.offers.get(one, everywhere)) for one in types}


class FakeLimits(_Premises):
    """Quotas of one account and Region."""

    def vcpus(self, types: Sequence[str]) -> dict[str, int]:
        """See the port."""
        with self._call("vcpus"):
            return {one: _VCPUS[size] for one in types if (size := one.partition(".")[2]) in _VCPUS}

    def room_for_vcpus(self) -> Room:
        """See the port."""
        with self._call("room_for_vcpus"):
            account, region = self._access.account, self._access.region
            running = [one for one in self._world.alive() if (one.account, one.region) == (account, region)]
            used = sum(_VCPUS.get(one.type.partition(".")[2], 0) for one in running)
            return Room(used=used, most=self._world.vcpu_quotas.get(account, 1152))

    def free_addresses(self, subnets: Sequence[str]) -> dict[str, int]:
        """See the port. Workers in a subnet take its addresses."""
        with self._call("free_addresses"):
            alive = [one.subnet for one in self._world.alive()]
            return {
                one.id: max(0, one.free_addresses - alive.count(one.id))
                for one in network_of(self._world, self._access.account, self._access.region).subnets
                if one.id in subnets
            }

    def launch_rate(self) -> tuple[float, float]:
        """See the port."""
        with self._call("launch_rate"):
            return self._world.launch_rates.get(self._access.account, (5, 2))

    def room_for_roles(self) -> Room:
        """See the port."""
        with self._call("room_for_roles"):
            return Room(used=sum(one.account == self._access.account for one in self._world.roles.values()), most=1000)

    def room_for_profiles(self) -> Room:
        """See the port."""
        with self._call("room_for_profiles"):
            profiles = self._world.profiles.values()
            return Room(used=sum(one.account == self._access.account for one in profiles), most=1000)


class FakeKeys(_Premises):
    """KMS keys, and what roles may do."""

    def key(self, key: str) -> KeyView:
        """See the port."""
        with self._call("key"):
            found = self._world.keys.get(key)
            if found is None:
                raise Missing(f"describe the key {key}: not found", code="NotFoundException")
            return found

    def allows(self, role_arn: str, action: str, resource: str, context: Mapping[str, str]) -> bool:
        """See the port. A role may do what a test has not forbidden it."""
        del context
        with self._call("allows"):
            account, name = role_arn.split(":")[4], role_arn.rsplit("/", 1)[-1]
            if (account, name) not in self._world.roles:
                raise Missing(f"see what {role_arn} may do: NoSuchEntity", code="NoSuchEntity")
            return (role_arn, action, resource) not in self._world.forbidden
