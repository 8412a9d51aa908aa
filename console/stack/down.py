"""Ending a stack: everything that the record names and that still is what it names."""

from __future__ import annotations

import fcntl
import signal
import time
from typing import Final

from console.stack.layout import Layout
from console.stack.record import Record

#: Longer than all of the supervisor's own patience with its processes.
_PATIENCE: Final = 60.0
_LAST: Final = 10.0


class NotEnded(RuntimeError):
    """Something of the stack still runs; the message names it."""


def end(layout: Layout) -> bool:
    """End the stack of a state directory and wait until all of it is gone; tell whether anything ran.

    Raises `NotEnded` when a process does not even end by force.
    """
    record = Record.read(layout)
    ran = bool(record.alive)
    supervisor = record.supervisor
    if supervisor is not None:
        supervisor.signal(signal.SIGTERM)
        if not supervisor.wait(_PATIENCE):
            supervisor.signal(signal.SIGKILL)
            supervisor.wait(_LAST)
    # what a supervisor leaves behind that was killed itself
    for entry in record.alive:
        entry.process.signal(signal.SIGKILL)
    left = [entry for entry in record.entries if not entry.process.wait(_LAST)]
    if left:
        raise NotEnded(", ".join(f"{entry.name} (process {entry.process.pid}) does not end" for entry in left))
    _wait_for_lock(layout)
    layout.record.unlink(missing_ok=True)
    return ran


def _wait_for_lock(layout: Layout) -> None:
    """Wait until nobody holds the directory, so that the next `up` finds it free."""
    if not layout.lock.exists():
        return
    end_of_patience = time.monotonic() + _LAST
    with layout.lock.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end_of_patience:
                    raise NotEnded(f"a stack is starting in {layout.root}: try again") from None
                time.sleep(0.05)
            else:
                return
