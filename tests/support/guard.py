"""The embedded cloud's report of grants and refusals, held against what is expected: for suites on a whole stack."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from support.stack import Stack


class Expected(NamedTuple):
    """Refusals that belong to what a suite does; patterns with `*`."""

    principal: str
    action: str
    resource: str
    reason: str


class Spare(NamedTuple):
    """Grants that a suite does not use; patterns with `*`. `holder` is a role's, user's, bucket's or queue's name.

    `is_chance`: whether it is used hangs on time, on what dies when.
    """

    holder: str
    sid: str
    action: str
    reason: str
    is_chance: bool = False


class Grant(NamedTuple):
    """A grant, whoever holds it: roles of one name hold the same document in every account."""

    holder: str
    sid: str
    action: str


class Guard:
    """The report of one stack's cloud."""

    def __init__(self, stack: Stack) -> None:
        url = stack.record["addresses"]["cloud"] + "/_sim/grants"
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - the cloud's loopback address
            self._report = json.loads(answer.read())

    def refused(self, expected: Sequence[Expected]) -> list[str]:
        """Return the refusals that nobody expected, each as one line."""
        return [
            f"{one['principal']} may not {one['action']} on {one['resource']} ({one['times']} times)"
            for one in self._report["refused"]
            if not any(
                fnmatchcase(one["principal"], known.principal)
                and fnmatchcase(one["action"], known.action)
                and fnmatchcase(one["resource"], known.resource)
                for known in expected
            )
        ]

    def spare(self, known: Sequence[Spare]) -> list[Grant]:
        """Return the grants that were never used and stand in no exception."""
        used: dict[Grant, bool] = {}
        for one in self._report["grants"]:
            grant = Grant(_name(one["holder"]), one["sid"], one["action"])
            used[grant] = used.get(grant, False) or one["used"]
        return sorted(grant for grant, is_used in used.items() if not is_used and not any(map(_covers(grant), known)))

    def superfluous(self, known: Sequence[Spare]) -> list[Spare]:
        """Return the exceptions that stand for no unused grant: they are out of date."""
        unused = self.spare(())
        return [one for one in known if not one.is_chance and not any(_covers(grant)(one) for grant in unused)]


def _covers(grant: Grant) -> Callable[[Spare], bool]:
    return lambda known: all(
        fnmatchcase(value, pattern)
        for value, pattern in zip(grant, (known.holder, known.sid, known.action), strict=True)
    )


def _name(holder: str) -> str:
    """Return a holder's name; temporary roles are called by their path."""
    return "temporary" if holder.endswith("/*") else holder.rpartition("/")[2].rpartition(":")[2]
