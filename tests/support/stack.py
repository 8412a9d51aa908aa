"""A whole stack, as `daywork up` starts it, seeded with accounts and instances."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from config.settings import load_settings
from console.demo.eye import Eye, Leftover
from orchestrator.bootstrap import SystemClock
from orchestrator.ledger import sessions
from orchestrator.ledger.store import Ledger, make_engine
from support.servers import wait_for

REGION = "eu-west-1"
HOME = "111111111111"
INSTALL = "local"


@dataclass
class Stack:
    """A running stack; `daywork` runs a command against it."""

    directory: Path
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its commands: nothing of the caller's cloud or settings."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DAYWORK_"))}
        return {**kept, "DAYWORK_STATE_DIR": str(self.directory), **self.more}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command and return whatever became of it."""
        return subprocess.run(
            [sys.executable, "-m", "console", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )

    def daywork(self, *arguments: str, expect: int = 0) -> str:
        """Run a command that must end with `expect`; return its data."""
        done = self.run(*arguments)
        assert done.returncode == expect, f"{arguments} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def show(self, session: str) -> dict[str, Any]:
        """Return a session's record."""
        record: dict[str, Any] = json.loads(self.daywork("session", "show", session, "--output", "json"))
        return record

    def start(self, request: Mapping[str, Any], *, expect: int = 0) -> str:
        """Submit a request; return the session's id."""
        path = self.directory / f"request-{time.time_ns()}.json"
        path.write_text(json.dumps({"source": "test", "id": path.stem, **request}))
        answer = self.daywork("session", "start", "-f", str(path), "--output", "json", expect=expect)
        return str(json.loads(answer)["sessionId"])

    @cached_property
    def ledger(self) -> Ledger:
        """The stack's ledger itself: looking often through the command would cost more than what is looked at."""
        settings = load_settings(default=self.directory / "daywork.toml")
        return Ledger(make_engine(settings.ledger_url), SystemClock())

    def statuses(self, session: str) -> set[str]:
        """Return the statuses that a session's resources show now."""
        with self.ledger.read() as tx:
            return {str(status) for status in sessions.statuses(tx, session)}

    def has_ended(self, session: str) -> bool:
        """Whether a session is final."""
        with self.ledger.read() as tx:
            return sessions.get(tx, session).status.is_final

    def wait(self, session: str, seconds: float = 180) -> dict[str, Any]:
        """Wait for a session's end; return its record."""
        wait_for(lambda: self.has_ended(session), seconds=seconds, every=0.2)
        return self.show(session)

    def wait_for_status(self, session: str, statuses: set[str], seconds: float = 90) -> None:
        """Wait until a resource of a session shows one of these statuses."""
        wait_for(lambda: bool(self.statuses(session) & statuses), seconds=seconds)

    @property
    def record(self) -> dict[str, Any]:
        """What `up` wrote of itself: processes and addresses."""
        document: dict[str, Any] = json.loads((self.directory / "stack.json").read_text())
        return document

    @property
    def eye(self) -> Eye:
        """An auditor's look at the cloud."""
        return Eye(self.record["addresses"]["cloud"], self.directory / "cloud", region=REGION)

    def accounts(self) -> list[str]:
        """Return the registered accounts."""
        return [one["id"] for one in json.loads(self.daywork("account", "list", "--output", "json"))["accounts"]]

    def instances(self) -> dict[str, list[str]]:
        """Return the instances with the tag backup=daily, by account."""
        found: dict[str, list[str]] = {}
        for account in self.accounts():
            reservations = self.eye.client(account, "ec2").describe_instances(
                Filters=[
                    {"Name": "tag:backup", "Values": ["daily"]},
                    {"Name": "instance-state-name", "Values": ["running"]},
                ]
            )["Reservations"]
            if ids := sorted(one["InstanceId"] for reservation in reservations for one in reservation["Instances"]):
                found[account] = ids
        return found

    def left(self, *, kept: frozenset[str] = frozenset()) -> list[Leftover]:
        """List what is left in the cloud, but for what receipts say is kept."""
        found = self.eye.left(
            self.accounts(), install=INSTALL, control_bucket=f"daywork-control-{INSTALL}", control_account=HOME
        )
        return [one for one in found if one.name not in kept]

    @contextmanager
    def fault(self, **rule: Any) -> Iterator[None]:
        """Have the cloud misbehave for a while (`/_sim/faults`)."""
        url = self.record["addresses"]["cloud"] + "/_sim/faults"
        _ask(url, "POST", rule)
        try:
            yield
        finally:
            _ask(url, "DELETE", None)


def _ask(url: str, method: str, body: Any) -> None:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, method=method, data=data)  # noqa: S310 - the cloud's loopback address
    with urllib.request.urlopen(request, timeout=10):  # noqa: S310 - as above
        return


@contextmanager
def running_stack(
    directory: Path, *, accounts: int, instances: int, up: Sequence[str] = (), **more: str
) -> Iterator[Stack]:
    """Start (with more options for `up`) and seed a stack, and end it for sure; `more` are environment variables."""
    stack = Stack(directory, more)
    try:
        stack.daywork("up", "--detach", "--flower-port", "0", *up)
        stack.daywork("cloud", "seed", "--accounts", str(accounts), "--instances", str(instances))
        yield stack
    finally:
        if "ledger" in vars(stack):
            stack.ledger.close()
        stack.run("down")


def until(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    """Wait for something that a stack does."""
    wait_for(condition, seconds=seconds, every=0.2)
