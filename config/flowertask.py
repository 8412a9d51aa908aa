"""How Flower shows a step: what failed as a failure with its reason, what waits as waiting."""

from __future__ import annotations

import ast
from typing import Any, Final

_FAILED: Final = "failed: "
_NEEDLESS: Final = ("skipped: ", "repeat: ")


def format_task(task: Any) -> Any:
    """Change a copy of a Celery event's task for Flower's pages.

    A step never raises, so Celery counts it as a success; its words say how it went. Celery's events carry the Python
    representation of what a task returned: quotes around words.
    """
    words = plain(getattr(task, "result", None))
    if words is None:
        return task
    task.result = words
    if words.startswith(_FAILED):
        task.state = "FAILURE"
        task.exception = words.removeprefix(_FAILED)
    elif words.startswith(_NEEDLESS):
        task.state = "SKIPPED"
    return task


def plain(shown: Any) -> str | None:
    """Return the words of a step as it returned them, or None when it was something else."""
    if not isinstance(shown, str):
        return None
    try:
        value = ast.literal_eval(shown)
    except (ValueError, SyntaxError):
        # words of a custom event, or a representation that was cut at its end
        return shown.lstrip("'\"")
    return value if isinstance(value, str) else None
