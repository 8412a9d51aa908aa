"""Sessions that stand at each of their steps at the same time, so that one fault meets all of them there.

    with Tableau(stack, sources).set_up(MOMENTS) as tableau:
        ... kill something ...                   # calls of every step are under way, agents are at work
    for session in tableau.sessions: ...         # now everything goes on

The embedded cloud holds a call of each step (`hold` rules); nothing is left to luck or to sleeping. A held call is
carried out when the tableau ends, also when whoever made it is dead by then: the effect is there, nobody heard of it.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import redis
import sqlalchemy as sa

from orchestrator.ledger import schema, sessions, things
from orchestrator.model.work import WorkKey
from support.canaries import settings_of
from support.servers import wait_for
from support.sources import Source
from support.stack import REGION, Stack

#: How long everything may take to get into place on a busy machine.
_PATIENCE: Final = 90

#: In production mode `assuming` makes no call of its own: that session is met while it waits for the backup chain of
#: the one that is `running`, which is the step's one way of waiting.
WAITING: Final = ("production", "assuming")

#: (mode, step): all moments at which a session can be met.
MOMENTS: Final = tuple(
    (mode, step)
    for mode in ("backup", "production")
    for step in ("planning", "assuming", "launching", "booting", "running", "tearing-down", "releasing")
)

#: Those of resources at work and of sessions at their end.
AT_WORK: Final = tuple(moment for moment in MOMENTS if moment[1] != "planning")


@dataclass
class Standing:
    """A session at its moment. `snapshot` and `instance` are its resource's, once there are any."""

    mode: str
    step: str
    source: Source
    session: str = ""

    @property
    def mark(self) -> str:
        """What names of the session's own role and profile hold."""
        return self.session.removeprefix("s-").lower()


@dataclass
class Tableau:
    """Brings sessions to their moments and holds them there; each moment has a source."""

    stack: Stack
    sources: Sequence[Source]
    standing: list[Standing] = field(default_factory=list)

    @property
    def sessions(self) -> list[str]:
        """The sessions' ids."""
        return [one.session for one in self.standing]

    def at(self, mode: str, step: str) -> Standing:
        """Return the session at a moment."""
        return next(one for one in self.standing if (one.mode, one.step) == (mode, step))

    @contextmanager
    def set_up(self, moments: Sequence[tuple[str, str]], **request: Any) -> Iterator[Tableau]:
        """Start a session for each moment and bring it there; let everything go at the end."""
        url = self.stack.record["addresses"]["cloud"] + "/_sim/faults"
        try:
            self._start(url, moments, request)
            yield self
        finally:
            _ask(url, "DELETE")

    def _start(self, url: str, moments: Sequence[tuple[str, str]], request: Mapping[str, Any]) -> None:
        self.standing = [
            Standing(mode, step, source) for (mode, step), source in zip(moments, self.sources, strict=True)
        ]
        first = [one for one in self.standing if (one.mode, one.step) != WAITING]
        # None goes further than its planning before its own rule is there: only then its id is known.
        gates = {one.source: _hold(url, "ec2:DescribeInstances", about=one.source[1]) for one in first}
        for one in first:
            one.session = submit(self.stack, one.source, one.mode, **request)
        early = {one.session: self._early_rule(url, one) for one in first}
        for one in first:
            if one.step != "planning":
                _ask(f"{url}/{gates[one.source]}", "DELETE")
        for one in first:
            if one.step in ("running", "tearing-down"):
                self._hold_later(url, one, early[one.session])
        for one in first:
            self._wait_for(one)
        for one in self.standing:
            if one not in first:
                one.source = self.at("production", "running").source
                one.session = submit(self.stack, one.source, one.mode, **request)
                self._wait_for(one)
        wait_for(lambda: all(rule["waiting"] for rule in _rules(url)), seconds=_PATIENCE)

    def _wait_for(self, one: Standing) -> None:
        wait_for(lambda: self._stands(one), seconds=_PATIENCE)

    def _early_rule(self, url: str, one: Standing) -> str | None:
        """Hold the call at which a session stands, or one before it while the true one cannot be named yet."""
        if one.step == "assuming" and one.mode == "backup":
            return _hold(url, "iam:CreateRole", about=f"dw-{one.mark}-*")
        if one.step in ("launching", "running", "tearing-down"):
            return _hold(url, "ec2:RunInstances", about=one.session)
        if one.step == "booting":
            # Only agents ask who they are.
            return (
                _hold(url, "sts:GetCallerIdentity", principal=f"*:assumed-role/dw-{one.mark}-*")
                if one.mode == "backup"
                else _hold(url, "sts:GetCallerIdentity", account=one.source[0])
            )
        if one.step == "releasing":
            return (
                _hold(url, "iam:DeleteRole", about=f"dw-{one.mark}-*")
                if one.mode == "backup"
                else _hold(url, "ec2:DescribeInstances", about=one.session)
            )
        return None

    def _hold_later(self, url: str, one: Standing, early: str | None) -> None:
        """Hold what is done with the session's snapshot, or that its order is removed; then let its launch go on."""
        wait_for(lambda: self.snapshot(one) is not None, seconds=_PATIENCE)
        if one.step == "running":
            _hold(url, "ebs:*", about=str(self.snapshot(one)))
        else:
            _hold(url, "s3:DeleteObject", about=f"orders/{one.session}/*")
        wait_for(lambda: any(rule["id"] == early and rule["waiting"] for rule in _rules(url)), seconds=_PATIENCE)
        _ask(f"{url}/{early}", "DELETE")

    def snapshot(self, one: Standing) -> str | None:
        """Return the snapshot that a session has taken, or None."""
        with self.stack.ledger.read() as tx:
            found = things.of_session(tx, one.session, kinds=["snapshot"])
        return found[0].cloud_id if found else None

    def instance(self, one: Standing) -> str:
        """Return the session's worker."""
        with self.stack.ledger.read() as tx:
            found = sessions.resource(tx, WorkKey(one.session, 0)).instance_id
        if found is None:
            raise AssertionError(f"{one} has no worker")
        return found

    def _stands(self, one: Standing) -> bool:
        """Whether the ledger shows the session where it should be; that its call waits is the cloud's to say."""
        with self.stack.ledger.read() as tx:
            row = tx.row(
                sa.select(schema.work.c.step, schema.work.c.parked, schema.resources.c.status, schema.work.c.wait_for)
                .join_from(
                    schema.resources,
                    schema.work,
                    sa.and_(
                        schema.work.c.session_id == schema.resources.c.session_id,
                        schema.work.c.ordinal == schema.resources.c.ordinal,
                    ),
                    isouter=True,
                )
                .where(schema.resources.c.session_id == one.session)
            )
            release = tx.row(
                sa.select(schema.work.c.claimed_until).where(
                    schema.work.c.session_id == one.session, schema.work.c.ordinal == -1
                )
            )
        if row is None:
            return False
        if one.step == "planning":
            return row.step is None
        if one.step == "releasing":
            return row.step == "done" and release is not None and release.claimed_until is not None
        if (one.mode, one.step) == WAITING:
            return bool(row.parked) and str(row.wait_for).startswith("chain:")
        wanted = {
            "assuming": "assuming-role",
            "launching": "launching",
            "booting": "booting",
            "running": "running",
            "tearing-down": "tearing-down",
        }[one.step]
        # A launch that is called for the first time is shown a moment later.
        return row.status == wanted or (one.step == "launching" and row.status == "waiting-for-capacity")


def submit(stack: Stack, source: Source, mode: str, **request: Any) -> str:
    """Submit a backup as other programs do, through the intake; return the session's id."""
    account, instance = source
    name = f"{mode}-{instance}-{work_number(stack)}"
    body = {
        "source": "faults",
        "id": name,
        "operation": "ec2-backup",
        "mode": mode,
        "resources": [{"account": account, "region": REGION, "id": instance}],
        **request,
    }
    with redis.Redis.from_url(settings_of(stack).broker_url) as broker:
        broker.lpush("daywork.requests", json.dumps(body))
    query = sa.select(schema.sessions.c.id).where(
        schema.sessions.c.source == "faults", schema.sessions.c.request_id == name
    )

    def found() -> str | None:
        with stack.ledger.read() as tx:
            row = tx.row(query)
        return None if row is None else str(row.id)

    wait_for(found, seconds=_PATIENCE)
    return str(found())


def work_number(stack: Stack) -> int:
    """Return how many sessions there are: a number that no request has had."""
    with stack.ledger.read() as tx:
        return int(tx.execute(sa.select(sa.func.count()).select_from(schema.sessions)).scalar_one())


def _hold(url: str, operation: str, **rule: str) -> str:
    return str(_ask(url, "POST", {"operation": operation, "kind": "hold", **rule})["id"])


def _rules(url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = _ask(url, "GET")["rules"]
    return found


def _ask(url: str, method: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, method=method, data=data)  # noqa: S310 - the cloud's loopback address
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
        return json.load(answer)
