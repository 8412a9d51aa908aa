"""Where the steps get their clients."""

from __future__ import annotations

from typing import Protocol

from orchestrator.model.plan import Access
from orchestrator.ports.account import Keys, Limits, Networks
from orchestrator.ports.agents import Orders
from orchestrator.ports.archives import ArchiveStore
from orchestrator.ports.compute import Compute
from orchestrator.ports.machines import Machines
from orchestrator.ports.roles import Roles
from orchestrator.ports.sources import Databases, FileSystems


class Cloud(Protocol):
    """Where the steps get their clients; roles are assumed and credentials refreshed in here and never leave.

    A role is assumed when a client first calls: each method of a client can raise `AccessDenied` for it.
    """

    def compute(self, access: Access, *, yields: bool = False) -> Compute:
        """Return EC2 and EBS for a role, account and Region.

        `yields` is for looks that are repeated anyway: they raise `Throttled` rather than take the last of AWS's rate
        from those who remove something or are waited for.
        """

    def machines(self, access: Access) -> Machines:
        """Return images and restored instances for a role, account and Region."""

    def databases(self, access: Access) -> Databases:
        """Return RDS for a role, account and Region."""

    def file_systems(self, access: Access) -> FileSystems:
        """Return EFS for a role, account and Region."""

    def roles(self, access: Access) -> Roles:
        """Return IAM for a role and account."""

    def networks(self, access: Access) -> Networks:
        """Return the network and the offers of a role's account and Region."""

    def limits(self, access: Access) -> Limits:
        """Return the quotas of a role's account and Region."""

    def keys(self, access: Access) -> Keys:
        """Return the KMS keys of a role's account and Region."""

    def archive(self, access: Access, url: str) -> ArchiveStore:
        """Return the packs of the archive at `s3://bucket/prefix`, for whoever may list them and ask for them."""

    def orders(self) -> Orders:
        """Return the control bucket."""

    def check(self, access: Access) -> None:
        """Make sure that the role can be assumed now. Raises `AccessDenied` with the remedy."""
