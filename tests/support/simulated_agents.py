"""`python -m support.simulated_agents SECONDS`: all agents of a simulated fleet in one process.

Each says that it is ready when it is born, sends a heartbeat every so many SECONDS while it has an order, and its
result when all are told to go on.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from agent.protocol import JobResult, Progress, Report, format_time
from orchestrator.bootstrap import SystemClock
from support.simulated import BORN, GO, ORDERS, REPORTS, wire

_LOOK = 0.05


@dataclass
class Agent:
    """One agent."""

    session: str
    instance: str
    fence: int = 0
    sequence: int = 0
    beats_at: float = 0.0

    def report(self, kind: Any, **parts: Any) -> str:
        """Return its next report."""
        self.sequence += 1
        made = Report(
            kind=kind,
            session=self.session,
            instance_id=self.instance,
            user_id=f"AROASIMULATED:{self.instance}",
            sequence=self.sequence,
            fence=self.fence,
            sent_at=format_time(SystemClock().now()),
            **parts,
        )
        return str(made.to_json())


@dataclass
class Fleet:
    """All agents; those with an order by their instance."""

    heartbeat: float
    agents: dict[str, Agent] = field(default_factory=dict)
    working: dict[str, Agent] = field(default_factory=dict)

    def act(self) -> bool:
        """Do what is due; returns whether anything was."""
        said = [self._born(*json.loads(one)).report("ready") for one in wire().lpop(BORN, 1000) or []]
        for one in wire().lpop(ORDERS, 1000) or []:
            _, instance, fence = json.loads(one)
            agent = self.working[instance] = self.agents[instance]
            agent.fence, agent.beats_at = fence, time.monotonic() + self.heartbeat
        if wire().exists(GO):
            said += [one.report("result", result=JobResult(outcome="success")) for one in self.working.values()]
            self.working.clear()
        now = time.monotonic()
        for one in self.working.values():
            if one.beats_at <= now:
                one.beats_at += self.heartbeat
                said.append(one.report("progress", progress=Progress(done=1, total=2)))
        if said:
            wire().rpush(REPORTS, *said)
        return bool(said)

    def _born(self, session: str, instance: str) -> Agent:
        made = self.agents[instance] = Agent(session, instance)
        return made


def main() -> None:
    """Be all agents until killed."""
    fleet = Fleet(float(sys.argv[1]))
    while True:
        if not fleet.act():
            time.sleep(_LOOK)


if __name__ == "__main__":
    main()
