"""The fork server: starts agents by forking a process that has imported them already.

    python -m localcloud.fleet_fork MODULE:FUNCTION

A new interpreter with the agent's libraries costs a third of a second of processor time; a fork costs a few
milliseconds and shares its memory. The child runs the agent's own `main` as `python -m agent` would: an environment of
its own, a process group of its own, output to a file.

It speaks JSON lines. On stdin:

    {"do": "start", "key": ..., "environment": {...}, "console": "<file>"}
    {"do": "kill", "key": ..., "signal": 9}

On stdout, the status as a shell counts it, negative for a signal:

    {"event": "started", "key": ..., "pid": ...}
    {"event": "ended", "key": ..., "status": ...}

At the end of stdin every agent is killed: when the cloud is gone its instances are too, however it went.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import selectors
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any, Final

_PR_SET_PDEATHSIG: Final = 1
_STDIN: Final = 0
_STDOUT: Final = 1
_STDERR: Final = 2
_CHUNK: Final = 65536
#: What the child says when its program ended by an exception; BSD's word for an internal error.
_CRASHED: Final = 70

Program = Callable[[], int]


class ForkServer:
    """Starts, kills and reaps. One thread; nothing here may be done from another."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._keys: dict[int, str] = {}
        self._pids: dict[str, int] = {}
        self._waking: tuple[int, int] = (-1, -1)
        self._selector = selectors.DefaultSelector()
        self._asked = b""

    def serve(self) -> None:
        """Do what stdin asks until it ends; then leave no agent behind."""
        self._waking = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._waking[1], warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # The cloud says when it is over; a Ctrl-C in its terminal is first of all its own business.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._selector.register(_STDIN, selectors.EVENT_READ)
        self._selector.register(self._waking[0], selectors.EVENT_READ)
        open_to_wishes = True
        while open_to_wishes:
            for ready, _ in self._selector.select():
                if ready.fd == _STDIN:
                    open_to_wishes = self._read_wishes()
                else:
                    os.read(self._waking[0], _CHUNK)
            self._reap()
        for pid in list(self._keys):
            self._kill_group(pid, signal.SIGKILL)
        while self._keys:
            self._reap(block=True)

    def _read_wishes(self) -> bool:
        """Carry out what has come. Returns whether more can come."""
        chunk = os.read(_STDIN, _CHUNK)
        *lines, self._asked = (self._asked + chunk).split(b"\n")
        for line in lines:
            wish = json.loads(line)
            if wish["do"] == "start":
                self._start(wish["key"], wish["environment"], wish["console"])
            elif (pid := self._pids.get(wish["key"])) is not None:
                self._kill_group(pid, wish["signal"])
        return bool(chunk)

    def _start(self, key: str, environment: dict[str, str], console: str) -> None:
        parent = os.getpid()
        try:
            output = os.open(console, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            pid = os.fork()
        except OSError as error:
            sys.stderr.write(f"cannot start {key}: {error}\n")
            _say({"event": "ended", "key": key, "status": _CRASHED})
            return
        if pid == 0:
            self._become_agent(environment, output, parent)
        os.close(output)
        # Both sides do it: whoever is first, the group exists before anybody kills it.
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        self._keys[pid], self._pids[key] = key, pid
        _say({"event": "started", "key": key, "pid": pid})

    def _become_agent(self, environment: dict[str, str], output: int, parent: int) -> None:
        """Turn the forked child into the agent. Never returns."""
        status = _CRASHED
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            os.setpgid(0, 0)
            _die_with_parent(parent)
            self._selector.close()
            for inherited in self._waking:
                os.close(inherited)
            nothing = os.open(os.devnull, os.O_RDONLY)
            os.dup2(nothing, _STDIN)
            os.close(nothing)
            os.dup2(output, _STDOUT)
            os.dup2(output, _STDERR)
            os.close(output)
            os.environ.clear()
            os.environ.update(environment)
            sys.argv = ["agent"]
            status = self._program()
        except SystemExit as ended:
            status = 0 if ended.code is None else ended.code if isinstance(ended.code, int) else _CRASHED
        except BaseException:  # noqa: BLE001 - the child must never go on as a second fork server
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    def _reap(self, *, block: bool = False) -> None:
        """Take leave of agents that have ended, and end what they have left running."""
        flags = os.WEXITED | os.WNOWAIT | (0 if block else os.WNOHANG)
        while self._keys:
            found = os.waitid(os.P_ALL, 0, flags)
            if found is None:
                return
            # Not reaped yet, so the group's number is still its own.
            self._kill_group(found.si_pid, signal.SIGKILL)
            _, status = os.waitpid(found.si_pid, 0)
            key = self._keys.pop(found.si_pid)
            del self._pids[key]
            _say({"event": "ended", "key": key, "status": os.waitstatus_to_exitcode(status)})

    @staticmethod
    def _kill_group(pid: int, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, number)


def _die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the fork server is gone."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        os._exit(_CRASHED)


def _say(event: dict[str, Any]) -> None:
    """Tell the cloud. Once it does not listen any more, the end of stdin is near as well."""
    with contextlib.suppress(BrokenPipeError):
        os.write(_STDOUT, json.dumps(event).encode() + b"\n")


def _warm_up() -> None:
    """Import what agents import, and read what they read, once and before the first fork."""
    import agent.jobs
    from agent import runner
    from agent.channel import AwsChannel
    from agent.protocol import Boot
    from agent.session import worker_session

    del runner
    for job in pkgutil.iter_modules(agent.jobs.__path__):
        importlib.import_module(f"agent.jobs.{job.name}")
    # A channel that is never used: making its clients reads botocore's service descriptions.
    nowhere = Boot(
        install="none",
        session="none",
        region="us-east-1",
        control_bucket="none",
        control_region="us-east-1",
        report_queue="https://none.invalid/none/none",
    )
    AwsChannel(worker_session(dict), nowhere)
    # What is there now stays for ever: the collector need not touch, and so copy, it in every child.
    gc.collect()
    gc.freeze()


def main(arguments: list[str]) -> int:
    """Serve until the end of stdin."""
    module, _, function = arguments[0].partition(":")
    program: Program = getattr(importlib.import_module(module), function)
    _warm_up()
    ForkServer(program).serve()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
