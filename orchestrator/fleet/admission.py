"""Whose turn it is: free workers of an account and Region shared between the sessions that wait for them. Pure.

The next worker goes to the session that has the fewest; of two that have as many, to the one that has waited longer. So
a small session never waits for a large one's end, and inside a session the first that came is the first served. Who
needs more vCPUs than are free when it is its turn keeps them free: smaller workers of others do not overtake it.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Queue:
    """What one session waits for: how many workers, of how many vCPUs, and since when its first request has waited."""

    session: str
    count: int
    since: datetime
    vcpus: int = 0


@dataclass(frozen=True, kw_only=True)
class Vcpus:
    """How many vCPUs are free, and how many there may be at all; None: no limit."""

    free: int | None = None
    most: int | None = None


def share(
    queues: list[Queue],
    busy: Mapping[str, int],
    *,
    limit: int | None = None,
    of_session: int | None = None,
    vcpus: Vcpus = Vcpus(),
) -> dict[str, int]:
    """Return how many workers each waiting session may have now, beside those in `busy`.

    `limit` is for all sessions together, `of_session` for each of them; None: no limit.
    """
    total = sum(one.count for one in queues)
    room = total if limit is None else max(0, limit - sum(busy.values()))
    free = sum(one.count * one.vcpus for one in queues) if vcpus.free is None else max(0, vcpus.free)
    size = {one.session: one.vcpus for one in queues}
    wanted = {one.session: _capped(one.count, busy.get(one.session, 0), of_session) for one in queues}
    if sum(wanted.values()) <= room and sum(size[one] * wanted[one] for one in wanted) <= free:
        return wanted
    granted = dict.fromkeys(wanted, 0)
    turns = [(busy.get(one.session, 0), one.since, one.session) for one in queues if wanted[one.session]]
    heapq.heapify(turns)
    while room and turns:
        has, since, session = heapq.heappop(turns)
        if size[session] > free:
            if vcpus.most is not None and size[session] > vcpus.most:
                continue
            break
        granted[session] += 1
        room -= 1
        free -= size[session]
        if granted[session] < wanted[session]:
            heapq.heappush(turns, (has + 1, since, session))
    return granted


def _capped(count: int, has: int, limit: int | None) -> int:
    return count if limit is None else max(0, min(count, limit - has))
