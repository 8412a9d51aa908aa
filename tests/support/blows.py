"""Carrying the blows of a storm out on a whole stack, as an operator with `kill -9` and a failing AWS would."""

from __future__ import annotations

import json
import shutil
import signal
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from botocore.exceptions import BotoCoreError, ClientError

from console.stack.processes import Process
from orchestrator.ledger import schema
from support.stack import Stack
from support.storm import Blow


@dataclass
class Blows:
    """Hits a stack. No resource loses its worker more often than `most_hits` times, so that its attempts suffice."""

    stack: Stack
    most_hits: int
    #: How often each (session, ordinal) has lost a worker.
    hits: Counter[tuple[str, int]] = field(default_factory=Counter)
    #: Instances whose end is on its way: who is dead cannot be killed again.
    _gone: set[str] = field(default_factory=set)

    def strike(self, blow: Blow) -> str | None:
        """Carry a blow out. Returns what was hit, or None when there is no such victim at this moment."""
        if blow.fault is not None:
            self.cloud("faults", blow.fault)
            return str(blow)
        kill = blow.kill or ""
        deeds: dict[str, Callable[[float], str | None]] = {
            "pool child": self._pool_child,
            "celery-worker with its children": self._whole_worker,
            "everything of Celery": self._all_of_celery,
            "broker with its data": lambda _: self._named("valkey"),
            "broker without its data": self._empty_broker,
            "hung pool child": lambda choice: self._pool_child(choice, signal.SIGSTOP),
            "agent": self._agent,
            "hung agent": lambda choice: self._agent(choice, signal.SIGSTOP),
            "instance": self._instance,
        }
        return deeds[kill](blow.choice) if kill in deeds else self._named(kill)

    def heal(self) -> None:
        """End all faults of the cloud."""
        self.cloud("faults", None, method="DELETE")

    # --- the control plane ---

    def _process(self, name: str) -> Process | None:
        """Return a process of the stack if it lives."""
        for one in self.stack.record["processes"]:
            found = Process.find(int(one["pid"]))
            if one["name"] == name and found is not None and found.is_alive:
                return found
        return None

    def _named(self, name: str) -> str | None:
        found = self._process(name)
        if found is None:
            return None
        _kill(found)
        return f"{name} {found.pid}"

    def _pool_child(self, choice: float, number: signal.Signals = signal.SIGKILL) -> str | None:
        parents = [one for name in ("celery-worker", "celery-periodic") if (one := self._process(name)) is not None]
        children = [child for parent in parents for child in _children(parent.pid)]
        if not children:
            return None
        victim = children[int(choice * len(children))]
        _kill(victim, number)
        return f"pool child {victim.pid}"

    def _whole_worker(self, _: float) -> str | None:
        found = self._process("celery-worker")
        if found is None:
            return None
        # The parent first: a child that died before it would be replaced.
        family = [found, *_children(found.pid)]
        for one in family:
            _kill(one)
        return f"celery-worker {[one.pid for one in family]}"

    def _all_of_celery(self, _: float) -> str | None:
        hit = [self._whole_worker(0.0), self._named("celery-periodic"), self._named("beat")]
        return ", ".join(filter(None, hit)) or None

    def _empty_broker(self, _: float) -> str | None:
        found = self._process("valkey")
        if found is None:
            return None
        # Files that are removed first cannot be read by the one that is started again.
        shutil.rmtree(self.stack.directory / "valkey" / "appendonlydir", ignore_errors=True)
        _kill(found)
        return f"valkey {found.pid}, and its data"

    # --- workers ---

    def _agent(self, choice: float, number: signal.Signals = signal.SIGKILL) -> str | None:
        found = [one for one in self.cloud("fleet")["agents"] if one["state"] == "running"]
        victim = self._chosen({one["instance"]: one for one in found}, choice)
        if victim is None:
            return None
        try:
            self.cloud("fleet/kill", {"instance": victim["instance"], "signal": int(number)})
        except urllib.error.HTTPError:
            return None  # it has just ended by itself
        return self._hit("agent of", victim["instance"])

    def _instance(self, choice: float) -> str | None:
        with self.stack.ledger.read() as tx:
            table = schema.workers
            rows = tx.rows(
                sa.select(table.c.instance_id, table.c.account).where(table.c.state.in_(("pending", "running")))
            )
        victim = self._chosen({row.instance_id: row for row in rows}, choice)
        if victim is None:
            return None
        try:
            self.stack.eye.client(victim.account, "ec2").terminate_instances(InstanceIds=[victim.instance_id])
        except (BotoCoreError, ClientError):
            return None  # a fault that was meant for the product
        return self._hit("instance", victim.instance_id)

    def _chosen(self, candidates: dict[str, Any], choice: float) -> Any | None:
        """Draw one whose resource may still be hit."""
        living = sorted(set(candidates) - self._gone)
        owners = {name: owner for name in living if (owner := self._owner(name)) is not None}
        names = [name for name, owner in owners.items() if self.hits[owner] < self.most_hits]
        return candidates[names[int(choice * len(names))]] if names else None

    def _owner(self, instance: str) -> tuple[str, int] | None:
        """Return whose worker it is; None while the ledger does not know, or when it is nobody's."""
        table = schema.workers
        with self.stack.ledger.read() as tx:
            row = tx.row(sa.select(table.c.session_id, table.c.ordinal).where(table.c.instance_id == instance))
        return None if row is None or row.ordinal is None else (row.session_id, row.ordinal)

    def _hit(self, what: str, instance: str) -> str:
        self._gone.add(instance)
        owner = self._owner(instance)
        if owner is not None:
            self.hits[owner] += 1
        return f"{what} {instance} of {owner}"

    # --- the cloud's own pages ---

    def cloud(self, page: str, body: Any = None, *, method: str | None = None) -> Any:
        """Ask one of the cloud's own pages."""
        token = (self.stack.directory / "cloud" / "admin-token").read_text()
        request = urllib.request.Request(  # noqa: S310 - the cloud's loopback address
            f"{self.stack.record['addresses']['cloud']}/_sim/{page}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-Sim-Token": token},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
            return json.load(answer)


def _kill(victim: Process, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal; who is killed is seen dead, so that the next blow finds another one."""
    victim.signal(number)
    if number is signal.SIGKILL:
        victim.wait(10)


def _children(pid: int) -> list[Process]:
    """Return the children of a process, by their ids."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in task.read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return [one for child in sorted(found) if (one := Process.find(child)) is not None and one.is_alive]
