"""Archived packs as the control plane sees them: the port. Its promises are those of `orchestrator.ports`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class PackState(StrEnum):
    """Whether a pack can be read."""

    ARCHIVED = "archived"
    RETRIEVING = "retrieving"
    READABLE = "readable"


@dataclass(frozen=True, kw_only=True)
class PackView:
    """A pack as listed; size in bytes. `until` is when a retrieved one can no longer be read, None: always readable."""

    key: str
    size: int
    state: PackState
    until: datetime | None = None


class ArchiveStore(Protocol):
    """The packs of one archive. Raises only `CloudError`s. No content is ever read."""

    def packs(self, folder: str, owner: str) -> list[PackView]:
        """List the packs in a folder whose names say that they are the owner's (16 hex digits behind the key id)."""

    def retrieve(self, keys: Sequence[str], *, tier: str, days: int) -> None:
        """Ask for packs: readable some time later, for so many days. `tier` is standard, bulk or expedited.

        May be repeated: one that is under way stays so, one that is readable stays so for longer. Raises `NoCapacity`
        when AWS has none for this tier now.
        """
