"""Processes of this machine, named so that a number used again is never mistaken for the one that was meant."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
#: Of `/proc/<pid>/stat`, counted after the command's closing parenthesis: state, and start in clock ticks since boot.
_STATE, _START = 0, 19


@dataclass(frozen=True)
class Process:
    """A process: its id, and when it started in clock ticks since boot. Two processes never share both."""

    pid: int
    started: int

    @classmethod
    def find(cls, pid: int) -> Process | None:
        """Return the process that has this id now, or None."""
        fields = _stat(pid)
        return cls(pid, int(fields[_START])) if fields else None

    @property
    def is_alive(self) -> bool:
        """Whether it still runs; one that has ended and waits for its parent does not."""
        fields = _stat(self.pid)
        return bool(fields) and int(fields[_START]) == self.started and fields[_STATE] not in "ZX"

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; to nobody when it is gone, and never to a stranger with its id."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            # the handle keeps the id from being given to another one between the look and the signal
            if self.is_alive:
                signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return
        finally:
            os.close(handle)

    def wait(self, seconds: float) -> bool:
        """Wait for its end; tell whether it has ended."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            if self.is_alive:
                select.select([handle], [], [], seconds)
        finally:
            os.close(handle)
        return not self.is_alive


def _stat(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()


def descendants() -> list[Process]:
    """Return everything that stems from this process, the deepest last."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[int] = []
    waiting = [os.getpid()]
    while waiting:
        mine = children.get(waiting.pop(), [])
        found += mine
        waiting += mine
    return [one for pid in found if (one := Process.find(pid)) is not None and one.is_alive]


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies, so that none can get out of sight."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def tied_to_me() -> Callable[[], None]:
    """Return what a child runs before it becomes its program: it then dies at once when this process does.

    The caller must be the main thread: Linux ties the child to the thread that made it.
    """
    libc = _libc()
    parent = os.getpid()

    def tie() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return tie


def end_with_parent(parent: int) -> None:
    """Tie this process to its parent, whose id is given: it dies at once when that one does, or has died already."""
    _prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        os._exit(1)


def _prctl(option: int, value: int) -> None:
    if _libc().prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl failed")


def _libc() -> ctypes.CDLL:
    if sys.platform != "linux":
        raise OSError("a stack runs on Linux")
    return ctypes.CDLL(None, use_errno=True)
