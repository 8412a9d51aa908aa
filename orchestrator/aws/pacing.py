"""Calls within AWS's rate for an API, as the limiter knows it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from orchestrator.aws.errors import translated
from orchestrator.aws.rates import KEPT
from orchestrator.errors import Throttled
from orchestrator.model.plan import Access
from orchestrator.ports import Limiter


@contextmanager
def paced(limiter: Limiter | None, access: Access, api: str, doing: str, *, resources: int = 0) -> Iterator[None]:
    """As `translated`, within AWS's rate for the API. Raises `Throttled` without a call when it is used up."""
    if limiter is not None and (wait := limiter.take(access.account, access.region, api, resources=resources)):
        raise _used_up(doing, api, wait)
    with _learning(limiter, access, api, doing):
        yield


@contextmanager
def looking(
    limiter: Limiter | None, access: Access, api: str, doing: str, *, pages: int, yields: bool
) -> Iterator[None]:
    """As `translated`, with so many describing calls counted against AWS's rate.

    Who `yields` is refused (`Throttled`, without a call) before the last of the rate is gone; nobody else is: they are
    few, and AWS's own client repeats what AWS refuses.
    """
    if limiter is not None:
        for _ in range(pages):
            wait = limiter.take(access.account, access.region, api, keep=KEPT if yields else 0)
            if wait and yields:
                raise _used_up(doing, api, wait)
    with _learning(limiter, access, api, doing):
        yield


@contextmanager
def _learning(limiter: Limiter | None, access: Access, api: str, doing: str) -> Iterator[None]:
    try:
        with translated(doing):
            yield
    except Throttled:
        if limiter is not None:
            limiter.throttled(access.account, access.region, api)
        raise


def _used_up(doing: str, api: str, wait: timedelta) -> Throttled:
    seconds = max(1, round(wait.total_seconds()))
    return Throttled(f"{doing}: the account's rate of {api} is used up for {seconds} s", code="RateUsedUp")
