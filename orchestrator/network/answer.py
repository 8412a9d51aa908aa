"""What the network resolver answers: every candidate, in order, and why those that do not fit fell out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from orchestrator.errors import Refused
from orchestrator.network.requirement import Service, named


class Why(StrEnum):
    """Why a candidate falls out."""

    NO_SUCH_SUBNET = "no-such-subnet"
    WRONG_VPC = "wrong-vpc"
    WRONG_ZONE = "wrong-zone"
    NOT_AVAILABLE = "not-available"
    NO_FREE_ADDRESSES = "no-free-addresses"
    NO_DNS = "no-dns"
    NO_SUCH_GROUP = "no-such-group"
    GROUP_OF_OTHER_VPC = "group-of-other-vpc"
    NO_GROUP = "no-group"
    EGRESS_CLOSED = "egress-closed"
    NO_ROUTE = "no-route"
    NO_PUBLIC_ADDRESS = "no-public-address"
    ENDPOINT_NOT_AVAILABLE = "endpoint-not-available"
    ENDPOINT_CLOSED = "endpoint-closed"
    ENDPOINT_WITHOUT_NAME = "endpoint-without-name"
    PEER_CLOSED = "peer-closed"


_REMEDIES = MappingProxyType(
    {
        Why.NO_SUCH_SUBNET: "correct the subnets of the worker configuration",
        Why.WRONG_VPC: "name subnets of the VPC that the resource is in",
        Why.WRONG_ZONE: "name a subnet in one of the zones",
        Why.NOT_AVAILABLE: "wait until the subnet is available",
        Why.NO_FREE_ADDRESSES: "free addresses, or add a subnet to the worker configuration",
        Why.NO_DNS: "turn DNS resolution on in the VPC",
        Why.NO_SUCH_GROUP: "correct the security groups of the worker configuration",
        Why.GROUP_OF_OTHER_VPC: "name security groups of the subnet's VPC",
        Why.NO_GROUP: "name security groups in the worker configuration",
        Why.EGRESS_CLOSED: "let the security group out on that port",
        Why.NO_ROUTE: "add a VPC endpoint for the service, or a default route to a NAT gateway",
        Why.NO_PUBLIC_ADDRESS: (
            "set publicAddress: true in the worker configuration, add VPC endpoints, or route through a NAT gateway"
        ),
        Why.ENDPOINT_NOT_AVAILABLE: "wait until the endpoint is available, or make it again",
        Why.ENDPOINT_CLOSED: "let the endpoint's security group in on 443 from the worker's",
        Why.ENDPOINT_WITHOUT_NAME: "turn private DNS on for the endpoint, and DNS hostnames in its VPC",
        Why.PEER_CLOSED: "let its security group in from the worker's",
    }
)


@dataclass(frozen=True)
class Problem:
    """One reason: its kind, and the sentence that names the things, with {} where the service stands if it is one's."""

    why: Why
    form: str
    service: Service | None = None

    @property
    def text(self) -> str:
        """The whole sentence."""
        return self.form if self.service is None else self.form.format(self.service)

    @property
    def remedy(self) -> str:
        """What to do, as the end of a sentence."""
        return _REMEDIES[self.why]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A subnet that was looked at, with the security groups a worker would have there.

    `ways` says by what each service is reached: the id of an endpoint, a gateway or another target of a route.
    """

    subnet: str
    vpc: str = ""
    zone: str = ""
    free_addresses: int = 0
    security_groups: tuple[str, ...] = ()
    public_address: bool = False
    ways: tuple[tuple[str, str], ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether a worker can stand here."""
        return not self.problems

    @property
    def reason(self) -> str:
        """Why it does not fit; services that fail alike share a sentence."""
        alike: dict[str, list[Service]] = {}
        for one in self.problems:
            alike.setdefault(one.form, []).extend([] if one.service is None else [one.service])
        return ", ".join(form.format(named(services)) if services else form for form, services in alike.items())


@dataclass(frozen=True)
class Resolution:
    """All candidates, those that fit first, in the order in which they are to be tried.

    `nothing` says why there was no candidate at all.
    """

    candidates: tuple[Candidate, ...]
    nothing: str = ""

    @property
    def fitting(self) -> tuple[Candidate, ...]:
        """The subnets to launch into, in order. All of one VPC, one set of security groups, one kind of address."""
        return tuple(one for one in self.candidates if one.fits)

    @property
    def rejected(self) -> tuple[Candidate, ...]:
        """Those that fell out."""
        return tuple(one for one in self.candidates if not one.fits)

    def refusal(self, where: str) -> NoNetwork:
        """Return the error to raise when none fits; `where` names account and Region."""
        return NoNetwork(self, where)


class NoNetwork(Refused):
    """No candidate fits; `resolution` holds each with why it fell out."""

    def __init__(self, resolution: Resolution, where: str) -> None:
        """Word it."""
        problems = [problem for one in resolution.rejected for problem in one.problems]
        remedies = list(dict.fromkeys(problem.remedy for problem in problems))
        super().__init__(
            f"no subnet of {where} fits the worker: {worded(resolution.rejected) or resolution.nothing}",
            field="workerConfigurations",
            remedy=_sentence(remedies) if remedies else "Name subnets in the account's worker configuration",
        )
        self.resolution = resolution


def worded(rejected: Sequence[Candidate]) -> str:
    """Name each candidate and why it fell out; candidates with equal reasons share them."""
    alike: dict[str, list[str]] = {}
    for one in rejected:
        alike.setdefault(one.reason, []).append(one.subnet + (f" ({one.zone})" if one.zone else ""))
    return "; ".join(f"{', '.join(subnets)}: {reasons}" for reasons, subnets in alike.items())


def _sentence(parts: Sequence[str]) -> str:
    text = "; or ".join(parts)
    return text[0].upper() + text[1:]
