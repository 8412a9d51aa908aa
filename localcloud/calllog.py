"""The call log: what was asked of the cloud, by whom, with which outcome. Never a parameter, never a secret."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One call; `time` is Unix time in seconds, `code` the AWS error code, `principal` the signer's ARN.

    `status` 0 means that the connection was cut by a fault rule.
    """

    sequence: int
    time: float
    account: str
    region: str
    operation: str
    status: int
    code: str | None
    principal: str | None
    seconds: float


class CallLog:
    """The latest calls, oldest first, in a ring of fixed size. Thread-safe."""

    def __init__(self, size: int) -> None:
        self._entries: deque[Entry] = deque(maxlen=size)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def add(
        self,
        *,
        time: float,
        account: str,
        region: str,
        operation: str,
        status: int,
        code: str | None,
        principal: str | None,
        seconds: float,
    ) -> None:
        """Write one call."""
        with self._lock:
            self._entries.append(
                Entry(next(self._numbers), time, account, region, operation, status, code, principal, round(seconds, 6))
            )

    def since(self, moment: float = 0.0) -> list[dict[str, Any]]:
        """Return the calls at or after `moment` (Unix time), oldest first, as JSON values."""
        with self._lock:
            return [asdict(entry) for entry in self._entries if entry.time >= moment]

    def clear(self) -> int:
        """Forget all calls; return how many there were."""
        with self._lock:
            count = len(self._entries)
            self._entries.clear()
            return count
