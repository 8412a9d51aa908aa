"""Calls within AWS's rate for an API, as the limiter knows it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.aws.errors import translated
from orchestrator.errors import Throttled
from orchestrator.model.plan import Access
from orchestrator.ports import Limiter


@contextmanager
def paced(limiter: Limiter | None, access: Access, api: str, doing: str, *, resources: int = 0) -> Iterator[None]:
    """As `translated`, within AWS's rate for the API. Raises `Throttled` without a call when it is used up."""
    account, region = access.account, access.region
    if limiter is not None and (wait := limiter.take(account, region, api, resources=resources)):
        seconds = max(1, round(wait.total_seconds()))
        raise Throttled(f"{doing}: the account's rate of {api} is used up for {seconds} s", code="RateUsedUp")
    try:
        with translated(doing):
            yield
    except Throttled:
        if limiter is not None:
            limiter.throttled(account, region, api)
        raise
