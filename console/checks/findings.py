"""What a look at an account may say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """How a thing is. A `note` is nothing that a session of this version needs."""

    OK = "ok"
    NOTE = "note"
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at. `subject` is what it is about: a role's purpose, network, bucket, queue, key.

    `target` is the ARN or name of what is to be changed, `add` the policy statement that it lacks.
    """

    account: str
    subject: str
    state: State
    text: str
    remedy: str = ""
    target: str = ""
    add: Mapping[str, Any] | None = None

    def shown(self) -> dict[str, Any]:
        """Return it for a JSON document."""
        return {
            "account": self.account,
            "subject": self.subject,
            "state": str(self.state),
            "text": self.text,
            "remedy": self.remedy or None,
            "target": self.target or None,
            "add": self.add,
        }


Findings = Iterator[Finding]
