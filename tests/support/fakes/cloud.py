"""How the steps get at a `World` (`orchestrator.ports.Cloud`)."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.errors import AccessDenied
from orchestrator.model.plan import Access
from orchestrator.services import Install
from support.fakes.archives import FakeArchive
from support.fakes.compute import FakeCompute
from support.fakes.data import FakeDatabases, FakeFileSystems
from support.fakes.machines import FakeMachines
from support.fakes.orders import FakeOrders, FakeReports
from support.fakes.premises import FakeKeys, FakeLimits, FakeNetworks
from support.fakes.roles import FakeRoles
from support.fakes.world import World


class FakeCloud:
    """The clients of one process. Roles are taken as in STS: they must trust us and the external id must be right."""

    def __init__(self, world: World, install: Install, external_id: Callable[[str], str | None]) -> None:
        """Take the world, the install, and where external ids are read."""
        self._world = world
        self._install = install
        self._external_id = external_id

    def compute(self, access: Access, *, yields: bool = False) -> FakeCompute:
        """See the port."""
        del yields
        return FakeCompute(self._world, access, self._install.id, self._assume)

    def machines(self, access: Access) -> FakeMachines:
        """See the port."""
        return FakeMachines(self._world, access, self._install.id, self._assume)

    def databases(self, access: Access) -> FakeDatabases:
        """See the port."""
        return FakeDatabases(self._world, access, self._assume)

    def file_systems(self, access: Access) -> FakeFileSystems:
        """See the port."""
        return FakeFileSystems(self._world, access, self._assume)

    def roles(self, access: Access) -> FakeRoles:
        """See the port."""
        return FakeRoles(self._world, access, self._install.path, self._assume)

    def networks(self, access: Access) -> FakeNetworks:
        """See the port."""
        return FakeNetworks(self._world, access, self._assume)

    def limits(self, access: Access) -> FakeLimits:
        """See the port."""
        return FakeLimits(self._world, access, self._assume)

    def keys(self, access: Access) -> FakeKeys:
        """See the port."""
        return FakeKeys(self._world, access, self._assume)

    def archive(self, access: Access, url: str) -> FakeArchive:
        """See the port."""
        return FakeArchive(self._world, access, url, self._assume)

    def orders(self) -> FakeOrders:
        """See the port."""
        return FakeOrders(self._world, self._install.home_account)

    def reports(self) -> FakeReports:
        """Return the report queue."""
        return FakeReports(self._world, self._install.home_account)

    def check(self, access: Access) -> None:
        """See the port."""
        with self._world.script.call("check", access.account, access.role):
            self._assume(access)

    def _assume(self, access: Access) -> None:
        if access.role is None:
            return
        account, name = access.role.split(":")[4], access.role.rsplit("/", 1)[-1]
        role = self._world.roles.get((account, name))
        is_ours = role is not None and role.is_trusting and role.arn == access.role
        if role is None or not is_ours or role.external_id not in (None, self._external_id(account)):
            raise AccessDenied(
                f"the role {access.role} cannot be assumed",
                code="AccessDenied",
                remedy="Let the role's trust policy name the control plane, and check the account's external id",
            )
