"""What every client of EC2 has: an identity in one account and Region, and AWS's rate for its calls."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from orchestrator.aws.credentials import Identities
from orchestrator.aws.pacing import paced
from orchestrator.model.plan import Access
from orchestrator.ports import Limiter


class Ec2:
    """EC2 for one role in one account and Region."""

    def __init__(self, identities: Identities, access: Access, limiter: Limiter | None = None) -> None:
        """Take the identities, who is meant, and what keeps to AWS's rates."""
        self._identities = identities
        self._access = access
        self._limiter = limiter

    @property
    def _ec2(self) -> Any:
        return self._identities.client("ec2", self._access.role, self._access.region)

    def _paced(self, api: str, doing: str, *, resources: int = 0) -> AbstractContextManager[None]:
        return paced(self._limiter, self._access, api, doing, resources=resources)
