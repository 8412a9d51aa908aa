"""What a look at one part of an installation may say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a part is. A `note` is nothing wrong, and should be known; `skipped` needs another part first."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at. `part` is settings, ledger, broker, ..., and decides the exit code."""

    part: str
    state: State
    text: str
    remedy: str = ""

    def shown(self) -> dict[str, str | None]:
        """Return it for a JSON document."""
        return {"part": self.part, "state": str(self.state), "text": self.text, "remedy": self.remedy or None}


Findings = Iterator[Finding]


def ok(part: str, text: str) -> Finding:
    """It is as it should be."""
    return Finding(part=part, state=State.OK, text=text)


def note(part: str, text: str, remedy: str = "") -> Finding:
    """Nothing is wrong, and somebody should know this."""
    return Finding(part=part, state=State.NOTE, text=text, remedy=remedy)


def warning(part: str, text: str, remedy: str) -> Finding:
    """It works, and will not on a bad day."""
    return Finding(part=part, state=State.WARNING, text=text, remedy=remedy)


def failed(part: str, text: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(part=part, state=State.FAILED, text=text, remedy=remedy)


def skipped(part: str, text: str) -> Finding:
    """It could not be looked at, because of something said before."""
    return Finding(part=part, state=State.SKIPPED, text=text)
