"""The call log: what was asked of the cloud, by whom, with which outcome. Never a secret; of parameters only names."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One call; `time` is Unix time in seconds, `code` the AWS error code, `principal` the signer's ARN.

    `targets` names what the call makes or removes (`localcloud.targets`). `status` 0 means that the connection was cut
    by a fault rule: the call may have had its effect.
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
    targets: tuple[str, ...] = ()


class CallLog:
    """The latest calls, oldest first. Thread-safe.

    Calls that make or remove something have a ring of their own, so that reading does not push them out.
    """

    def __init__(self, size: int) -> None:
        self._entries: deque[Entry] = deque(maxlen=size)
        self._changes: deque[Entry] = deque(maxlen=size)
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
        targets: tuple[str, ...] = (),
    ) -> None:
        """Write one call."""
        with self._lock:
            number, took = next(self._numbers), round(seconds, 6)
            entry = Entry(number, time, account, region, operation, status, code, principal, took, targets)
            (self._changes if targets else self._entries).append(entry)

    def since(self, moment: float = 0.0) -> list[dict[str, Any]]:
        """Return the calls at or after `moment` (Unix time), oldest first, as JSON values."""
        with self._lock:
            found = [entry for ring in (self._entries, self._changes) for entry in ring if entry.time >= moment]
        return [asdict(entry) for entry in sorted(found, key=lambda entry: entry.sequence)]

    def clear(self) -> int:
        """Forget all calls; return how many there were."""
        with self._lock:
            count = len(self._entries) + len(self._changes)
            self._entries.clear()
            self._changes.clear()
            return count
