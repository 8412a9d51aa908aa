"""Where the worker of a resource stands, and on which instance types: the registry's word, held against the cloud."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.errors import Refused
from orchestrator.model.account import Account, Tagged
from orchestrator.model.network import Network
from orchestrator.model.plan import WorkerNetwork
from orchestrator.model.status import DeploymentMode
from orchestrator.network import Peer, Requirement, Resolution, resolve, services_of_a_worker


@dataclass(frozen=True, kw_only=True)
class Site:
    """What a resource asks of the place of its worker: its VPC, zones, and what it talks to there."""

    vpc: str | None = None
    zones: tuple[str, ...] = ()
    peers: tuple[Peer, ...] = ()


ANYWHERE = Site()


@dataclass(frozen=True, kw_only=True)
class Place:
    """What was read of an account and Region that workers are to stand in; `offered` are zones by instance type.

    The same question is answered once, however many resources ask it.
    """

    network: Network
    offered: Mapping[str, frozenset[str]]
    _answers: dict[Requirement, Resolution] = field(default_factory=dict, repr=False, compare=False)

    def resolve(self, wanted: Requirement) -> Resolution:
        """Return the network resolver's answer."""
        found = self._answers.get(wanted)
        if found is None:
            found = self._answers[wanted] = resolve(self.network, wanted)
        return found

    def behind(self, subnets: Sequence[str], groups: Sequence[str]) -> Resolution | None:
        """Return the answer that these subnets and security groups were taken from, None if there was none."""
        return next(
            (
                one
                for one in self._answers.values()
                if one.fitting
                and {found.subnet for found in one.fitting} >= set(subnets)
                and one.fitting[0].security_groups == tuple(groups)
            ),
            None,
        )


def requirement(
    account: Account,
    region: str,
    mode: DeploymentMode,
    *,
    control_region: str,
    repository_region: str,
    site: Site = ANYWHERE,
) -> Requirement:
    """Return what a worker asks of an account's network: as configured, else the default VPC or whatever fits."""
    configured = account.configuration(region, site.vpc)
    vpc, subnets, groups = (
        (None, None, None) if configured is None else (configured.vpc, configured.subnets, configured.security_groups)
    )
    return Requirement(
        region=region,
        subnets=subnets if isinstance(subnets, tuple) else (),
        subnet_tags=_pairs(subnets),
        security_groups=groups if isinstance(groups, tuple) else (),
        group_tags=_pairs(groups),
        vpc=site.vpc or (vpc if isinstance(vpc, str) else None),
        vpc_tags=_pairs(vpc),
        default_vpc=configured is None and mode is DeploymentMode.BACKUP,
        zones=site.zones,
        services=services_of_a_worker(
            region=region, control_region=control_region, repository_region=repository_region
        ),
        peers=site.peers,
        public_address=None if configured is None else configured.public_address,
    )


def _pairs(found: object) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(found.tags.items())) if isinstance(found, Tagged) else ()


def settle(
    place: Place, account: Account, wanted: Requirement, types: tuple[str, ...]
) -> tuple[WorkerNetwork, tuple[str, ...]]:
    """Return the configuration that a worker is launched with, and its types: what fits of either, in order.

    Raises `NoNetwork` that names every candidate, `Refused` when none of the types is offered where it fits.
    """
    resolution = place.resolve(wanted)
    if not resolution.fitting:
        raise resolution.refusal(f"{account.name} in {wanted.region}")
    zones = list(dict.fromkeys(one.zone for one in resolution.fitting))
    offered = tuple(one for one in types if place.offered.get(one, frozenset()).intersection(zones))
    if not offered:
        raise Refused(
            f"{_none_of(types)} is offered in {' or '.join(zones)} to account {account.name}",
            field="instanceTypes",
            value=", ".join(types),
            remedy="Name other instance types in the worker profile, or subnets in other zones",
        )
    usable = [one for one in resolution.fitting if any(one.zone in place.offered[kind] for kind in offered)]
    first = usable[0]
    settled = WorkerNetwork(
        region=wanted.region,
        vpc=first.vpc,
        subnets=tuple(one.subnet for one in usable),
        security_groups=first.security_groups,
        public_address=first.public_address,
    )
    return settled, offered


def _none_of(types: tuple[str, ...]) -> str:
    return types[0] if len(types) == 1 else f"none of {', '.join(types)}"
