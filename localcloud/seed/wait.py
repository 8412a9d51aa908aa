"""Waiting for something in the cloud."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from localcloud.seed.address import CloudError

T = TypeVar("T")


def wait_until(
    look: Callable[[], T | None],
    *,
    seconds: float,
    what: str,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Return what `look` returns as soon as it is something. Raises `CloudError` after `seconds`."""
    end = clock() + seconds
    while (found := look()) is None:
        if clock() > end:
            raise CloudError(f"after {seconds:g} s it is still not true that {what}")
        sleep(0.05)
    return found
