"""Killing parts of a running stack, by their process ids, and knowing when others have taken their place."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterable

import psutil

from support.servers import wait_for
from support.stack import Stack

CELERY = ("celery-worker", "celery-periodic", "beat")


def pid_of(stack: Stack, name: str) -> int | None:
    """Return the id of a process of the stack, None while it does not run."""
    return next((int(one["pid"]) for one in stack.record["processes"] if one["name"] == name), None)


def children(stack: Stack, name: str) -> list[int]:
    """Return the ids of a process's children: a Celery worker's pool."""
    pid = pid_of(stack, name)
    return [] if pid is None else [one.pid for one in psutil.Process(pid).children(recursive=True)]


def kill(pids: Iterable[int], number: int = signal.SIGKILL) -> None:
    """Send a signal to processes; those that are gone already are no mistake."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def kill_programs(
    stack: Stack, names: Iterable[str], *, number: int = signal.SIGKILL, with_children: bool = True
) -> dict[str, int]:
    """Send a signal to programs of the stack at once; return their ids. Their children are killed with them."""
    victims = {name: pid for name in names if (pid := pid_of(stack, name)) is not None}
    below = [pid for name in victims for pid in children(stack, name)] if with_children else []
    kill([*victims.values(), *below], number)
    return victims


def wait_for_others(stack: Stack, victims: dict[str, int], *, seconds: float = 60) -> None:
    """Wait until the supervisor has started another process in the place of each."""
    wait_for(lambda: all(pid_of(stack, name) not in (None, pid) for name, pid in victims.items()), seconds=seconds)


def empty_broker(stack: Stack) -> None:
    """Take the broker's files away from under it: killed now, it begins with nothing."""
    files = stack.directory / "valkey" / "appendonlydir"
    shutil.move(files, files.with_name(f"gone-{pid_of(stack, 'valkey')}"))
