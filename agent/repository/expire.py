"""Expiring: restore points go by their heads. What they alone needed becomes garbage, for the collector."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from agent.repository.damage import is_damaged
from agent.repository.errors import Damaged, Missing, Unusable
from agent.repository.layout import Chain, damage_key, point_key, point_prefix
from agent.repository.lease import Lease
from agent.repository.objects import Entry
from agent.repository.repository import Repository


@dataclass(frozen=True, kw_only=True)
class Expired:
    """What became of the points that were due: deleted (or gone already), the last good one, under Object Lock."""

    deleted: tuple[str, ...]
    spared: tuple[str, ...]
    locked: tuple[str, ...]


def expire(
    repository: Repository, chain: Chain, due: Collection[str], lease: Lease, *, locked: float, now: float
) -> Expired:
    """Delete the heads of the points that are due, under the chain's lease, but never the last good point.

    `locked` is for how many seconds the bucket's Object Lock keeps what was written. Raises `Fenced`.
    """
    there = {entry.key.rpartition("/")[2]: entry for entry in repository.objects.list(point_prefix(chain))}
    held = {point for point in due if point in there and _is_locked(there[point], locked, now)}
    staying = sorted(there.keys() - set(due) | held, reverse=True)
    spared: set[str] = set()
    if not any(_is_good(repository, chain, point) for point in staying):
        leaving = sorted(set(due) & there.keys() - held, reverse=True)
        spared = set(next(([point] for point in leaving if _is_good(repository, chain, point)), []))
    going = [point for point in sorted(due) if point not in spared | held]
    lease.hold()
    for point in going:
        # Gone already is deleted: an earlier attempt may have died before it could say so.
        repository.objects.delete(point_key(chain, point))
        repository.objects.delete(damage_key(chain, point))
    return Expired(deleted=tuple(going), spared=tuple(sorted(spared)), locked=tuple(sorted(held)))


def _is_locked(entry: Entry, locked: float, now: float) -> bool:
    return bool(locked) and entry.modified + locked > now


def _is_good(repository: Repository, chain: Chain, point: str) -> bool:
    """Whether a point can be opened and nothing is known to be wrong with it."""
    try:
        repository.point(chain, point)
    except (Missing, Damaged, Unusable):
        return False
    return not is_damaged(repository, chain, point)
