"""ClientTokens: the same request twice is one effect.

Rules: "Ensuring idempotency in Amazon EC2 API requests". A token belongs to account, Region and operation. The same
token with the same parameters answers with the first result as it is now (a terminated instance stays the answer);
with other parameters it is refused. Two requests at the same time wait for each other. A request that failed leaves
no trace.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from localcloud import state, wire
from localcloud.call import Call, Reply
from localcloud.errors import AwsError

#: EC2 remembers a token at least this long, in seconds.
_KEPT: Final = 24 * 3600.0
_OPERATIONS: Final = frozenset({"ec2:RunInstances", "ec2:CreateVolume"})
_RESERVATION = re.compile(rb"<reservationId>(r-[0-9a-f]+)</reservationId>")


@dataclass
class _Kept:
    lock: threading.Lock = field(default_factory=threading.Lock)
    asked: str = ""
    reply: Reply | None = None
    at: float = 0.0


class Tokens:
    """Remembers what tokens led to. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._kept: dict[tuple[str, str, str, str], _Kept] = {}
        self._lock = threading.Lock()

    def once(self, call: Call, carry_out: Callable[[Call], Reply]) -> Reply:
        """Carry the call out, or answer with what its token led to. Raises `AwsError` IdempotentParameterMismatch."""
        token = call.parameters.get("ClientToken")
        if call.name not in _OPERATIONS or not token or call.parameters.get("DryRun"):
            return carry_out(call)
        asked = json.dumps({**call.parameters, "ClientToken": ""}, sort_keys=True, default=str)
        with self._lock:
            kept = self._kept.setdefault((call.account, call.region, call.operation, str(token)), _Kept())
        with kept.lock:
            if kept.reply is None or self._clock() - kept.at > _KEPT:
                reply = carry_out(call)
                if reply.status < 300:  # noqa: PLR2004 - HTTP's own limit
                    wire.whole(reply)
                    kept.asked, kept.reply, kept.at = asked, reply, self._clock()
                return reply
            if kept.asked != asked:
                raise AwsError(
                    "IdempotentParameterMismatch",
                    "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
                )
            return _as_it_is_now(call, kept.reply)


def _as_it_is_now(call: Call, reply: Reply) -> Reply:
    match = _RESERVATION.search(wire.whole(reply)) if call.operation == "RunInstances" else None
    reservation: Any = None
    if match is not None:
        reservation = state.ec2(call.account, call.region).reservations.get(match[1].decode())
    if reservation is None:
        return Reply(status=reply.status, headers=list(reply.headers), body=reply.body)
    return wire.answer(call, reservation)
