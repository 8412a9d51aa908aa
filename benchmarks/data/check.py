"""Row: a health check of the first point, every pack of it read."""

from __future__ import annotations

from benchmarks.data.lab import ACCOUNT, INSTANCE, REGION
from benchmarks.data.measuring import Run
from benchmarks.data.peers import borg, restic
from benchmarks.data.row import Reach, Row, Turn


def _agent(turn: Turn) -> Run:
    job = {
        "repository": turn.lab.repository(turn.repository),
        "source": {"account": ACCOUNT, "region": REGION, "id": INSTANCE},
        "restorePoint": "rp-0",
    }
    return turn.lab.agent("ec2-health-check", job)


def _restic(turn: Turn) -> Run:
    return restic(turn, "check", "--read-data")


def _borg(turn: Turn) -> Run:
    return borg(turn, "check", "--verify-data")


ROW = Row(
    name="check",
    what="health check, everything read",
    after=("full",),
    agent=_agent,
    restic=_restic,
    borg=_borg,
    reach=(Reach("restic", "cpu", 0.45), Reach(None, "memory", 512)),
)
