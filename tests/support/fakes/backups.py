"""Copies of the ledger in memory (`orchestrator.ports.BackupStore`)."""

from __future__ import annotations

import hashlib
from typing import IO

from orchestrator.errors import Missing, WrongRequest
from orchestrator.ports import Kept


class FakeBackups:
    """Remembers what was put; `bodies` may be changed by a test that damages one."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.bodies: dict[str, bytes] = {}
        self._digests: dict[str, tuple[str, str]] = {}

    def kept(self) -> list[Kept]:
        """See the port."""
        return [Kept(name=name, size=len(self.bodies[name])) for name in sorted(self.bodies, reverse=True)]

    def content(self, name: str) -> str | None:
        """See the port."""
        return self._digests[name][1] if name in self.bodies else None

    def put(self, name: str, file: IO[bytes], *, sha256: str, content: str) -> None:
        """See the port."""
        file.seek(0)
        self.bodies[name], self._digests[name] = file.read(), (sha256, content)

    def fetch(self, name: str, file: IO[bytes]) -> None:
        """See the port."""
        if name not in self.bodies:
            raise Missing(f"there is no copy {name}")
        if hashlib.sha256(self.bodies[name]).hexdigest() != self._digests[name][0]:
            raise WrongRequest(f"the copy {name} of the ledger is damaged", remedy="Take another one")
        file.write(self.bodies[name])
        file.seek(0)

    def absent(self, name: str) -> None:
        """See the port."""
        self.bodies.pop(name, None)
