"""A stack whose ledger is on the PostgreSQL that it runs itself, and what may happen to that."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.stack import Stack


@contextmanager
def open_directory() -> Iterator[Path]:
    """Make a directory that everybody can enter: under root, PostgreSQL runs as another user."""
    directory = Path(tempfile.mkdtemp(prefix="daywork-stack-"))
    directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def server(stack: Stack) -> int:
    """Return the process id of the stack's PostgreSQL."""
    return next(int(one["pid"]) for one in stack.record["processes"] if one["name"] == "postgres")


@contextmanager
def frozen(stack: Stack) -> Iterator[None]:
    """Stop the server and every process of it in the middle of whatever it does: it neither answers nor refuses."""
    pid = server(stack)
    os.kill(pid, signal.SIGSTOP)
    # Stopped first, the server makes no more of them.
    all_of_it = [pid, *(int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    try:
        for one in all_of_it:
            os.kill(one, signal.SIGSTOP)
        yield
    finally:
        for one in reversed(all_of_it):
            os.kill(one, signal.SIGCONT)
