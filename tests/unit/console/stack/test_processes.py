"""Processes are named by their id and their start, so that an id used again is nobody's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from console.stack.processes import Process, descendants, tied_to_me


def sleeper() -> subprocess.Popen[bytes]:
    """Start a process that waits for the end of its stdin."""
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)


def test_a_process_is_alive_until_it_has_ended() -> None:
    """Also before its parent has asked for its exit status."""
    with sleeper() as child:
        process = Process.find(child.pid)
        assert process is not None
        assert process.is_alive

        process.signal(signal.SIGKILL)

        assert process.wait(10)
        assert not process.is_alive


def test_a_stranger_with_the_same_id_is_neither_alive_nor_signalled() -> None:
    """An id that was used again belongs to somebody else."""
    with sleeper() as child:
        real = Process.find(child.pid)
        assert real is not None
        stranger = Process(child.pid, real.started - 1)

        stranger.signal(signal.SIGKILL)

        assert not stranger.is_alive
        assert stranger.wait(0)
        assert real.is_alive
        child.kill()


def test_who_does_not_exist_cannot_be_found() -> None:
    """No id is taken for granted."""
    with sleeper() as child:
        child.kill()
    gone = Process(child.pid, 1)

    gone.signal(signal.SIGTERM)

    assert Process.find(child.pid) is None
    assert gone.wait(0)


def test_a_tied_child_dies_with_its_parent() -> None:
    """A parent that is killed leaves nobody behind."""
    parent_code = (
        "import subprocess, sys, time\n"
        "from console.stack.processes import tied_to_me\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], preexec_fn=tied_to_me())\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", parent_code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = Process.find(int(parent.stdout.readline()))
        assert child is not None
        assert child in descendants()

        parent.kill()

    assert child.wait(10)


def test_tying_to_a_parent_that_is_gone_ends_at_once() -> None:
    """Between the fork and the tie the parent may die: nobody would ever end the child then."""
    tie = tied_to_me()
    middle = os.fork()
    if middle == 0:
        tie()
        os._exit(0)
    _, of_child = os.waitpid(middle, 0)
    # a grandchild has another parent than the one it is tied to
    middle = os.fork()
    if middle == 0:
        grandchild = os.fork()
        if grandchild == 0:
            tie()
            os._exit(0)
        _, status = os.waitpid(grandchild, 0)
        os._exit(os.waitstatus_to_exitcode(status))
    _, of_grandchild = os.waitpid(middle, 0)

    assert os.waitstatus_to_exitcode(of_child) == 0
    assert os.waitstatus_to_exitcode(of_grandchild) == 1
