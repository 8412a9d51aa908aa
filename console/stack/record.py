"""`stack.json`: which processes run and where they listen. Written by the supervisor, read by everybody."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from console.stack.layout import Layout
from console.stack.processes import Process

SUPERVISOR: Final = "supervisor"
#: Process ids begin anew after a boot; a record of an earlier one names strangers.
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One process of the stack and the file that its output goes to."""

    name: str
    process: Process
    log: Path


@dataclass(frozen=True, kw_only=True)
class Record:
    """The stack as it runs. `addresses` are URLs by name: cloud, flower, broker (without its password)."""

    entries: Sequence[Entry] = ()
    addresses: Mapping[str, str] = field(default_factory=dict)

    @property
    def supervisor(self) -> Process | None:
        """The supervisor, if it is alive."""
        return next((one.process for one in self.alive if one.name == SUPERVISOR), None)

    @property
    def alive(self) -> list[Entry]:
        """The processes that still run."""
        return [one for one in self.entries if one.process.is_alive]

    def write(self, layout: Layout) -> None:
        """Replace the record at once: a reader sees the old or the new one, whole."""
        document = {
            "bootId": _boot_id(),
            "processes": [
                {"name": one.name, "pid": one.process.pid, "startTime": one.process.started, "log": str(one.log)}
                for one in self.entries
            ],
            "addresses": dict(self.addresses),
        }
        write_private(layout.record, json.dumps(document, indent=2) + "\n")

    @classmethod
    def read(cls, layout: Layout) -> Record:
        """Read the record; an empty one when there is none, when it is broken, or when the machine has booted since."""
        try:
            document = json.loads(layout.record.read_text())
            if document["bootId"] != _boot_id():
                return cls()
            entries = [
                Entry(name=one["name"], process=Process(one["pid"], one["startTime"]), log=Path(one["log"]))
                for one in document["processes"]
            ]
            return cls(entries=entries, addresses=document["addresses"])
        except (OSError, ValueError, KeyError, TypeError):
            return cls()


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    new.replace(path)


def append_private(path: Path) -> IO[bytes]:
    """Open a file at its end, made so that only its owner can read it."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def _boot_id() -> str:
    return _BOOT_ID.read_text().strip()
