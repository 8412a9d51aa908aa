"""Which grants were ever used, which never, and what was refused: the report behind `/_sim/grants`.

A **grant** is one action of one allowing statement, held by a role, a user, a bucket's or a queue's policy. Temporary
roles stand under a path and are alike, so all of a path are one holder. Trust policies are left out: a role that nobody
takes has no used grants either.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from localcloud import state
from localcloud.attached import Named, named_documents
from localcloud.conditions import like
from localcloud.policy import Document, MalformedPolicy, Query, Statement, parse

#: How many different refusals are kept.
_MOST_REFUSALS: Final = 1000


@dataclass(frozen=True, order=True)
class Grant:
    """One action of one statement. `holder` is an ARN, or an ARN pattern for roles under a path."""

    holder: str
    policy: str
    sid: str
    action: str


@dataclass(frozen=True, order=True)
class Refusal:
    """Something that a signer was not allowed to do."""

    principal: str
    action: str
    resource: str


class Usage:
    """Remembers grants that decided. Thread-safe."""

    def __init__(self) -> None:
        self._used: set[Grant] = set()
        self._held: set[Grant] = set()
        self._done: set[tuple[str, str, tuple[int, ...]]] = set()
        self._kept: list[Document] = []
        self._refused: Counter[Refusal] = Counter()
        self._lock = threading.Lock()

    def allowed(self, holder: str, documents: Iterable[Named], query: Query) -> None:
        """Note that these documents, all of one holder, were asked and the call was allowed."""
        documents = list(documents)
        key = (holder, query.action.lower(), tuple(id(document) for _, document in documents))
        if key in self._done:
            return
        used, is_all = set(), True
        for policy, statement in _allowing(documents):
            if statement.about(query.action):
                if statement.covers(query):
                    used |= {one for one in _grants(holder, policy, statement) if _is_for(one, query.action)}
                else:
                    is_all = False
        with self._lock:
            self._used |= used
            if holder.endswith("*"):
                # Such roles are gone when somebody asks for the report.
                self._held |= set(_all(holder, documents))
            if is_all:
                self._done.add(key)
                # An id is a document's only as long as the document is kept.
                self._kept += [document for _, document in documents]

    def refused(self, principal: str, action: str, resource: str) -> None:
        """Note a refusal."""
        one = Refusal(principal, action, resource)
        with self._lock:
            if one in self._refused or len(self._refused) < _MOST_REFUSALS:
                self._refused[one] += 1

    def clear(self) -> None:
        """Forget what was used and refused so far."""
        with self._lock:
            self._used.clear()
            self._held.clear()
            self._done.clear()
            self._kept.clear()
            self._refused.clear()

    def report(self, *, without: frozenset[str] = frozenset()) -> dict[str, Any]:
        """Return all grants with whether they were used, and the refusals, as JSON values.

        `without` names users of the cloud's own, whose grants are nobody's concern.
        """
        known = set(_standing(without))
        with self._lock:
            used, refused = set(self._used), dict(self._refused)
            known |= self._held
        known |= {one for one in used if one.holder.rpartition("/")[2] not in without}
        return {
            "grants": [
                {
                    "holder": one.holder,
                    "policy": one.policy,
                    "sid": one.sid,
                    "action": one.action,
                    "used": one in used,
                }
                for one in sorted(known)
            ],
            "refused": [
                {"principal": one.principal, "action": one.action, "resource": one.resource, "times": times}
                for one, times in sorted(refused.items())
            ],
        }


def holder_of(thing: Any) -> str:
    """Return under which name grants of moto's role or user are kept: its ARN, or the pattern of its path."""
    path = getattr(thing, "path", "/") or "/"
    arn = str(thing.arn)
    return arn if path == "/" else f"{arn.removesuffix(str(thing.name))}*"


def _standing(without: frozenset[str]) -> Iterator[Grant]:
    """Yield the grants of everything that is there now."""
    for account in state.iam_accounts():
        backend = state.iam(account)
        for holder in [*list(backend.roles.values()), *list(backend.users.values())]:
            if holder.name not in without:
                yield from _all(holder_of(holder), named_documents(holder))
    for resource, policy in state.resource_policies():
        try:
            yield from _all(resource, [("policy", parse(policy))])
        except MalformedPolicy:
            continue


def _allowing(documents: Iterable[Named]) -> Iterator[tuple[str, Statement]]:
    for policy, document in documents:
        for statement in document.statements:
            if statement.effect == "Allow":
                yield policy, statement


def _all(holder: str, documents: Iterable[Named]) -> Iterator[Grant]:
    for policy, statement in _allowing(documents):
        yield from _grants(holder, policy, statement)


def _grants(holder: str, policy: str, statement: Statement) -> Iterator[Grant]:
    for action in statement.actions or ("(all but some)",):
        yield Grant(holder, policy, statement.sid, action)


def _is_for(grant: Grant, action: str) -> bool:
    return grant.action.startswith("(") or like(grant.action, action, ignore_case=True)
