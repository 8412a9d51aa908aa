"""Where the steps get their clients."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.aws.archives import AwsArchive
from orchestrator.aws.backups import AwsBackups
from orchestrator.aws.compute import AwsCompute
from orchestrator.aws.credentials import Identities
from orchestrator.aws.databases import AwsDatabases
from orchestrator.aws.file_systems import AwsFileSystems
from orchestrator.aws.keys import AwsKeys
from orchestrator.aws.limits import AwsLimits
from orchestrator.aws.network import AwsNetworks
from orchestrator.aws.orders import AwsOrders
from orchestrator.aws.reports import AwsReports
from orchestrator.aws.restored import AwsMachines
from orchestrator.aws.rights import AwsDoors, AwsRights
from orchestrator.aws.roles import AwsRoles
from orchestrator.model.plan import Access
from orchestrator.ports import Limiter
from orchestrator.services import Install


class AwsCloud:
    """`orchestrator.ports.Cloud` on AWS, or on whatever `AWS_ENDPOINT_URL` names."""

    def __init__(
        self, *, install: Install, external_id: Callable[[str], str | None], limiter: Limiter | None = None
    ) -> None:
        """Take the install, where external ids are read, and what keeps to AWS's rates (None: few calls are made)."""
        self._install = install
        self._limiter = limiter
        self._identities = Identities(install=install.id, region=install.control_region, external_id=external_id)

    def compute(self, access: Access, *, yields: bool = False) -> AwsCompute:
        """See the port."""
        return AwsCompute(self._identities, access, self._install.id, self._limiter, yields=yields)

    def machines(self, access: Access) -> AwsMachines:
        """See the port."""
        return AwsMachines(self._identities, access, self._limiter)

    def databases(self, access: Access) -> AwsDatabases:
        """See the port."""
        return AwsDatabases(self._identities, access)

    def file_systems(self, access: Access) -> AwsFileSystems:
        """See the port."""
        return AwsFileSystems(self._identities, access)

    def roles(self, access: Access) -> AwsRoles:
        """See the port."""
        return AwsRoles(self._identities, access, self._install.path)

    def networks(self, access: Access) -> AwsNetworks:
        """See the port."""
        return AwsNetworks(self._identities, access)

    def limits(self, access: Access) -> AwsLimits:
        """See the port."""
        return AwsLimits(self._identities, access)

    def keys(self, access: Access) -> AwsKeys:
        """See the port."""
        return AwsKeys(self._identities, access)

    def archive(self, access: Access, url: str) -> AwsArchive:
        """See the port."""
        return AwsArchive(self._identities, access, url)

    def orders(self) -> AwsOrders:
        """See the port."""
        return AwsOrders(self._identities, self._install)

    def reports(self) -> AwsReports:
        """Return the report queue."""
        return AwsReports(self._identities, self._install)

    def rights(self, access: Access) -> AwsRights:
        """Return what IAM says of roles, for one role in one account."""
        return AwsRights(self._identities, access)

    def doors(self) -> AwsDoors:
        """Return the policies of the control bucket and of the report queue."""
        return AwsDoors(self._identities, self._install)

    def backups(self) -> AwsBackups:
        """Return where copies of the ledger are kept."""
        return AwsBackups(self._identities, self._install)

    def check(self, access: Access) -> None:
        """See the port."""
        self._identities.check(access)
