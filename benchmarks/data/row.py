"""The forms of a row, of a turn, and of what is to be reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.data.lab import Lab
from benchmarks.data.measuring import Run


@dataclass(frozen=True, kw_only=True)
class Contender:
    """Who takes part. `kind` says by which deed of a row; `compression` is the agent's."""

    name: str
    kind: Literal["agent", "restic", "borg"]
    version: str
    compression: str = ""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One contender's way through the rows in one round."""

    lab: Lab
    contender: Contender
    number: int

    @property
    def repository(self) -> str:
        """The name of this turn's repository."""
        return f"{self.contender.name.replace(' ', '-')}-{self.number}"

    @property
    def scratch(self) -> Path:
        """A folder for this turn."""
        folder = self.lab.folder / "scratch"
        folder.mkdir(exist_ok=True)
        return folder


@dataclass(frozen=True)
class Reach:
    """What the agent is to reach: at most `most` times what `peer` takes; without a peer, at most `most` of it."""

    peer: Literal["restic", "borg"] | None
    of: Literal["cpu", "wall", "memory"]
    most: float


Deed = Callable[[Turn], Run]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table. See `benchmarks.data`. One that `is_asked_for` runs only when it is named."""

    name: str
    what: str
    agent: Deed
    restic: Deed | None = None
    borg: Deed | None = None
    after: tuple[str, ...] = ()
    reach: tuple[Reach, ...] = ()
    is_asked_for: bool = False

    def deed(self, contender: Contender) -> Deed | None:
        """Return what a contender does, or None."""
        return {"agent": self.agent, "restic": self.restic, "borg": self.borg}[contender.kind]
