"""Task and group ids that can be computed again from the ledger: any link of any chain can be published again."""

from __future__ import annotations

import uuid

from orchestrator.model.status import Step
from orchestrator.model.work import WorkKey

_SPACE = uuid.UUID("6b1d8f4e-6c57-4f0a-9a55-5d6d3a0f2f5e")


def task_id(key: WorkKey, attempt: int, step: Step) -> str:
    """Return the id of the task that carries out a step of an attempt."""
    return str(uuid.uuid5(_SPACE, f"{key.session}/{key.ordinal}/{attempt}/{step}"))


def group_id(session: str) -> str:
    """Return the id of a session's chord."""
    return str(uuid.uuid5(_SPACE, session))
