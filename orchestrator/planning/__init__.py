"""What planning reads of the cloud, in few calls, and what it decides. Nothing is made and nothing is written here.

The first step of a session and `daywork plan` share it: what the one shows is what the other executes. Reading order:
`knowing`, `selecting`, `group`, `reading`, `deciding`.
"""

from __future__ import annotations

from orchestrator.planning.deciding import covering, decide, outranked_by
from orchestrator.planning.group import Group, grouped
from orchestrator.planning.knowing import claims, context
from orchestrator.planning.reading import read
from orchestrator.planning.selecting import drawn, select

__all__ = ["Group", "claims", "context", "covering", "decide", "drawn", "grouped", "outranked_by", "read", "select"]
