"""Whose turn it is: free workers of an account and Region shared between the sessions that wait for them. Pure.

The next worker goes to the session that has the fewest; of two that have as many, to the one that has waited longer. So
a small session never waits for a large one's end, and inside a session the first that came is the first served.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Queue:
    """What one session waits for: how many workers, and since when its first request has waited."""

    session: str
    count: int
    since: datetime


def share(
    queues: list[Queue], busy: Mapping[str, int], *, limit: int | None = None, of_session: int | None = None
) -> dict[str, int]:
    """Return how many workers each waiting session may have now, beside those in `busy`.

    `limit` is for all sessions together, `of_session` for each of them; None: no limit.
    """
    room = None if limit is None else max(0, limit - sum(busy.values()))
    wanted = {one.session: _capped(one.count, busy.get(one.session, 0), of_session) for one in queues}
    if room is None or sum(wanted.values()) <= room:
        return wanted
    granted = dict.fromkeys(wanted, 0)
    turns = [(busy.get(one.session, 0), one.since, one.session) for one in queues if wanted[one.session]]
    heapq.heapify(turns)
    while room and turns:
        has, since, session = heapq.heappop(turns)
        granted[session] += 1
        room -= 1
        if granted[session] < wanted[session]:
            heapq.heappush(turns, (has + 1, since, session))
    return granted


def _capped(count: int, has: int, limit: int | None) -> int:
    return count if limit is None else max(0, min(count, limit - has))
