"""What an account holds before anything of ours stands in it: network, quotas, keys; read only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from orchestrator.model.network import Network


class Networks(Protocol):
    """What stands in one account and Region before anything of ours does: read only, a few calls in pages."""

    def network(self, *, subnets: Sequence[str] = (), vpcs: Sequence[str] = (), default_only: bool = False) -> Network:
        """Describe the VPCs of these subnets and these VPCs with all that stands in them, or everything in the Region.

        `default_only` describes the Region's default VPC alone. Of named subnets only themselves are described, not
        their neighbours. What does not exist is left out.
        """

    def offered(self, types: Sequence[str]) -> dict[str, frozenset[str]]:
        """Return the availability zones in which each of these instance types is offered; nowhere: an empty set."""


@dataclass(frozen=True, kw_only=True)
class Room:
    """What is used of a quota, and how much there may be."""

    used: int
    most: int

    @property
    def left(self) -> int:
        """How much more there may be now."""
        return max(0, self.most - self.used)


class Limits(Protocol):
    """Quotas of one account, in one Region where they are regional: read only.

    Plans ask; a launch asks for room and rate, and goes on without an answer.
    """

    def vcpus(self, types: Sequence[str]) -> dict[str, int]:
        """Return how many vCPUs of the standard quota an instance of each type takes; unknown types are left out.

        Types of families that have a quota of their own take 0.
        """

    def room_for_vcpus(self) -> Room:
        """Return the vCPUs of running on-demand instances of the standard families, and their quota."""

    def free_addresses(self, subnets: Sequence[str]) -> dict[str, int]:
        """Return how many addresses are free in subnets; those that do not exist are left out."""

    def launch_rate(self) -> tuple[float, float]:
        """Return how many RunInstances calls may come at once, and how many more each second, as Service Quotas says.

        Raises `Missing` where Service Quotas does not know them.
        """

    def room_for_roles(self) -> Room:
        """Return the account's IAM roles, and their quota."""

    def room_for_profiles(self) -> Room:
        """Return the account's instance profiles, and their quota."""


@dataclass(frozen=True, kw_only=True)
class KeyView:
    """A KMS key as described; `policy` is its key policy as JSON text. The services' own keys serve their account."""

    arn: str
    is_enabled: bool
    is_managed_by_aws: bool
    policy: str


class Keys(Protocol):
    """KMS keys and who may use them, as one role sees them in one account and Region: read only, asked by plans."""

    def key(self, key: str) -> KeyView:
        """Describe a key. Raises `Missing`, `AccessDenied`."""

    def allows(self, role_arn: str, action: str, resource: str, context: Mapping[str, str]) -> bool:
        """Whether a role's own policies and boundary allow an action on a resource; policies of resources do not count.

        `context` are condition keys and their values. Raises `Missing` when there is no such role, `AccessDenied`.
        """
