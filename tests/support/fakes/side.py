"""What one role sees of a `World` in one account and Region."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from orchestrator.model.plan import Access
from support.fakes.world import World


class Side:
    """One role's side of the world; every call asks STS first and may be told to fail."""

    def __init__(self, world: World, access: Access, install: str, assume: Any) -> None:
        """Take the world and who looks at it; `assume` refuses as STS does."""
        self._world = world
        self._access = access
        self._install = install
        self._assume = assume

    def _call(self, operation: str) -> AbstractContextManager[None]:
        self._assume(self._access)
        return self._world.script.call(operation, self._access.account, self._access.role)

    def _is_here(self, thing: Any) -> bool:
        return bool(thing.account == self._access.account and thing.region == self._access.region)
