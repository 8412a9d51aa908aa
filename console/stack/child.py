"""One process of the stack as its supervisor sees it: started, ready, ended, to be started again."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from console.stack.processes import Process
from console.stack.programs import Program
from console.stack.record import append_private

#: Pauses before a process that died is started again; one that lived long enough begins at the first again.
PAUSES: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_LIVED: Final = 30.0

#: Variables that the supervisor's own caller used to find its state directory: the children are told theirs.
_CALLERS: Final = frozenset({"DAYWORK_CONFIG", "DAYWORK_STATE_DIR", "NOTIFY_SOCKET"})


@dataclass
class Child:
    """A program and, while it runs, its process. Only the supervisor's main thread may touch it."""

    program: Program
    log: Path
    directory: Path
    process: Process | None = None
    ready: bool = False
    #: When to start it again, on the monotonic clock; None: not to be started by itself.
    due: float | None = None
    _popen: subprocess.Popen[bytes] | None = None
    _started: float = 0.0
    _deaths: int = 0
    _log_start: int = 0

    def start(self, tie: Callable[[], None], notify: str, *, stdin: str | None = None) -> None:
        """Start the process; its output goes to the end of its log."""
        with append_private(self.log) as log:
            self._log_start = log.tell()
            self._popen = subprocess.Popen(
                self.program.command,
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=log if stdin is None else subprocess.PIPE,
                stderr=log,
                cwd=self.directory,
                env=self._environment(notify),
                start_new_session=True,
                preexec_fn=tie,  # noqa: PLW1509 - the supervisor has one thread
            )
        self.process = Process.find(self._popen.pid)
        self.ready = False
        self.due = None
        self._started = time.monotonic()
        if stdin is not None and self._popen.stdin is not None:
            with self._popen.stdin as pipe:
                pipe.write(stdin.encode())

    @property
    def pid(self) -> int | None:
        """The id of the running process."""
        return self._popen.pid if self._popen is not None else None

    def answer(self) -> str:
        """Return what a process that was given something on stdin has written to stdout; it must have ended."""
        if self._popen is None or self._popen.stdout is None:
            return ""
        with self._popen.stdout as pipe:
            return pipe.read().decode()

    def look(self) -> bool:
        """Tell whether the process is ready, asking it when it does not say so itself."""
        if not self.ready and self.program.probe is not None:
            self.ready = self.program.probe()
        return self.ready

    def ended(self, code: int) -> float:
        """Note the process's end; returns the pause before it should be started again."""
        if self._popen is not None:
            self._popen.returncode = code
        self._deaths = 1 if time.monotonic() - self._started > _LIVED else self._deaths + 1
        pause = PAUSES[min(self._deaths, len(PAUSES)) - 1]
        self.process = None
        self.ready = False
        self.due = time.monotonic() + pause
        return pause

    def last_lines(self, count: int = 12) -> str:
        """Return the end of what this process has logged, for the message that it did not start."""
        try:
            with self.log.open("rb") as log:
                log.seek(self._log_start)
                lines = log.read().decode(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-count:])

    def _environment(self, notify: str) -> Mapping[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            # AWS variables of the caller's shell belong to real accounts, or to another account of the embedded cloud
            if name not in _CALLERS and not name.startswith("AWS_")
        }
        return kept | {"NOTIFY_SOCKET": notify, "PYTHONUNBUFFERED": "1"} | dict(self.program.environment)


def told(code: int) -> str:
    """Say how a process ended."""
    return f"exit status {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
