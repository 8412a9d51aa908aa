"""What a removal has not come to the end of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Left:
    """Something is still there. `is_refused` says that AWS would not remove it; else it is on its way."""

    what: str
    is_refused: bool = False
