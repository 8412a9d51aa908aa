"""Until when a working agent may stay silent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from agent.protocol import parse_time
from orchestrator.services import Deadlines


def job_end(state: Mapping[str, Any], deadlines: Deadlines) -> datetime | None:
    """Return when an ordered job is given up: the order's deadline and a while for the agent's own last words.

    `state` is what the resource's steps remember; None when no order has been written.
    """
    deadline = state.get("deadline")
    return None if deadline is None else parse_time(deadline) + deadlines.stop


def silent_after(state: Mapping[str, Any], heard_at: datetime, deadlines: Deadlines) -> datetime:
    """Return when somebody has to look: no heartbeat came since `heard_at`, or the job is over."""
    silent, end = heard_at + deadlines.heartbeat, job_end(state, deadlines)
    return silent if end is None else min(silent, end)
