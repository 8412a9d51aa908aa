"""What a worker asks of the network it stands in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Service:
    """An AWS service that the worker's agent calls, in the Region that it calls: `s3` in `eu-west-1`."""

    name: str
    region: str

    @property
    def endpoint(self) -> str:
        """The service's name as VPC endpoints carry it."""
        return f"com.amazonaws.{self.region}.{self.name}"

    def __str__(self) -> str:
        return f"{self.name} in {self.region}"


@dataclass(frozen=True)
class Peer:
    """Something in the worker's VPC that it talks to: a mount target (2049), a database (5432).

    `groups` are the security groups that must let the worker in; none given, they are not looked at (the job opens them
    itself, or nobody knows them).
    """

    name: str
    port: int
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """Where a worker may stand, and what it must reach from there. Equal requirements have equal answers.

    What is configured is `subnets` (in order of preference), `security_groups`, `vpc`; as ids, or found by `*_tags`
    (pairs that a thing must carry, all of them). What is not is looked for: in `vpc`, else in the Region's default VPC
    (`default_vpc`), else everywhere. `zones` and `vpc` are demands of the resource as well: a configured subnet outside
    them falls out. `public_address`: True and False are the configuration's word; None lets the worker have one where
    the subnet gives them and nothing is reached without.
    """

    region: str
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    vpc: str | None = None
    default_vpc: bool = False
    zones: tuple[str, ...] = ()
    subnet_tags: tuple[tuple[str, str], ...] = ()
    group_tags: tuple[tuple[str, str], ...] = ()
    vpc_tags: tuple[tuple[str, str], ...] = ()
    services: tuple[Service, ...] = ()
    peers: tuple[Peer, ...] = ()
    public_address: bool | None = None

    @property
    def is_configured(self) -> bool:
        """Whether somebody chose the subnets."""
        return bool(self.subnets or self.subnet_tags)


def named(services: Iterable[Service]) -> str:
    """Name services in a sentence: `ebs, sqs in eu-west-1 and s3 in eu-central-1`."""
    regions: dict[str, list[str]] = {}
    for one in services:
        regions.setdefault(one.region, []).append(one.name)
    return " and ".join(f"{', '.join(names)} in {region}" for region, names in regions.items())


def services_of_a_worker(*, region: str, control_region: str, repository_region: str | None) -> tuple[Service, ...]:
    """Return what every worker calls: blocks and roles where it stands, orders and reports, the repository and its key.

    `repository_region` None is a worker without a repository.
    """
    wanted = {
        Service("ebs", region),
        Service("sts", region),
        Service("s3", control_region),
        Service("sqs", control_region),
    }
    if repository_region is not None:
        wanted |= {Service("s3", repository_region), Service("kms", repository_region)}
    return tuple(sorted(wanted))
