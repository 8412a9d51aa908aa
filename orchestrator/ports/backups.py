"""Where copies of the ledger are kept: the port. Its promises are those of `orchestrator.ports`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, Protocol


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A copy as listed: names sort by time; size in bytes."""

    name: str
    size: int


class BackupStore(Protocol):
    """Copies of the ledger, by name. Raises only `CloudError`s."""

    def kept(self) -> list[Kept]:
        """List the copies, the newest first."""

    def content(self, name: str) -> str | None:
        """Return the digest of a copy's rows that was given with it, or None when the copy is not there."""

    def put(self, name: str, file: IO[bytes], *, sha256: str, content: str) -> None:
        """Keep a copy, read from the file's beginning, with its digests."""

    def fetch(self, name: str, file: IO[bytes]) -> None:
        """Write a copy to a file, and leave that at its beginning.

        Raises `Missing`; `WrongRequest` when the bytes are not those that were put.
        """

    def absent(self, name: str) -> None:
        """Remove a copy; gone already is success."""
