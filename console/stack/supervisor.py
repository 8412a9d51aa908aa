"""The supervisor: starts everything in order, starts again what dies, ends everything in order and leaves nothing.

    broker, cloud and preparation  ->  Celery workers, listener, beat, Flower  ->  ready
    a process dies                 ->  started again after a pause that grows
    the cloud dies                 ->  it begins empty: prepared again, and whoever holds its old credentials restarted
    SIGTERM, SIGINT, SIGHUP        ->  who gives work, who does it, the cloud, the broker; killed when it takes too long

One thread. Children die with the supervisor (Linux ties them to it), and orphans of theirs come to it, so that also
`kill -9` leaves no process behind. The lock in the state directory is held as long as the supervisor lives.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import IO, Any, Final

import structlog

from console.stack import programs
from console.stack.child import Child, told
from console.stack.layout import Layout
from console.stack.plan import LedgerKind, Plan
from console.stack.processes import Process, adopt_orphans, descendants, tied_to_me
from console.stack.ready import ReadySocket
from console.stack.record import SUPERVISOR, Entry, Record

log = structlog.get_logger(__name__)

#: How long one of the two starting phases may take on a busy machine.
_PATIENCE: Final = 90.0
_PAUSE: Final = 0.05
#: A log that has grown above this many bytes is put aside at the next start.
_LOG_LIMIT: Final = 10 * 1024 * 1024
_ENDING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class NotStarted(RuntimeError):
    """The stack could not be started; everything that ran already has been ended again. One reason, or several."""

    def __init__(self, *reasons: str) -> None:
        """Take every reason found."""
        super().__init__("; ".join(reasons))
        self.reasons = reasons


class _Ended(BaseException):
    """A signal has asked for the end."""


class Supervisor:
    """Runs one stack in the calling process's main thread."""

    def __init__(self, layout: Layout, plan: Plan, *, log_path: Path) -> None:
        """Take where state lives, what was chosen, and where the supervisor's own messages go."""
        self._layout = layout
        self._plan = plan
        self._log_path = log_path
        self._children: dict[str, Child] = {}
        self._asked_to_end = 0
        self._ending = False
        self._wake_in, self._wake_out = socket.socketpair()
        #: How many sessions of an earlier run have not ended; known once the stack is ready.
        self.unfinished = 0

    def run(self, on_ready: Callable[[Record], None]) -> None:
        """Start everything, call `on_ready`, stay until a signal, end everything.

        Raises `NotStarted` when another supervisor has this directory, or when a process does not come up.
        """
        with _locked(self._layout), ReadySocket() as ready:
            self._ready = ready
            adopt_orphans()
            self._tie = tied_to_me()
            before = self._listen_to_signals()
            try:
                self._start()
                on_ready(self._record())
                self._watch()
            except _Ended:
                log.info("ending")
            finally:
                self._end()
                for number, handler in before.items():
                    signal.signal(number, handler)
                signal.set_wakeup_fd(-1)

    # --- start -----------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        layout, plan = self._layout, self._plan
        self._write_record()
        layout.logs.mkdir(mode=0o700, exist_ok=True)
        _put_big_logs_aside(layout.logs)
        # what the embedded cloud kept on disk means nothing without its memory
        shutil.rmtree(layout.cloud, ignore_errors=True)
        layout.cloud.mkdir(mode=0o700)
        plan.write_valkey(layout)
        first = [self._add(programs.broker(layout, plan)), self._add(programs.cloud(layout, plan))]
        if plan.ledger is LedgerKind.POSTGRES:
            plan.write_postgres(layout)
            first.append(self._add(programs.ledger(layout, plan)))
        for child in first:
            self._spawn(child)
        preparation = self._prepare()
        self._await(first)
        self._await_end(preparation)
        second = [self._add(one) for one in programs.control_plane(layout, plan)]
        for child in second:
            self._spawn(child)
        self._await(second)
        log.info("ready", **plan.addresses)

    def _add(self, program: programs.Program) -> Child:
        child = Child(program, self._layout.logs / f"{program.name}.log", self._layout.root)
        self._children[program.name] = child
        return child

    def _spawn(self, child: Child) -> None:
        child.start(self._tie, self._ready.address)
        self._write_record()

    def _prepare(self) -> Child:
        child = self._add(programs.preparation(self._layout))
        child.start(self._tie, self._ready.address, stdin=self._plan.to_json())
        return child

    def _await(self, children: Iterable[Child]) -> None:
        """Wait until all are ready. Raises `NotStarted` when one dies or takes too long."""
        waiting = list(children)
        end = time.monotonic() + _PATIENCE
        while waiting := [one for one in waiting if not one.look()]:
            for child in waiting:
                if child.process is None:
                    raise NotStarted(f"{child.program.name} ended at its start:\n{child.last_lines()}")
            if time.monotonic() > end:
                raise NotStarted(f"{waiting[0].program.name} was not ready in time; see {waiting[0].log}")
            self._pump(_PAUSE)

    def _await_end(self, preparation: Child) -> None:
        end = time.monotonic() + _PATIENCE
        while preparation.process is not None:
            if time.monotonic() > end:
                raise NotStarted(f"the preparation did not end in time; see {preparation.log}")
            self._pump(_PAUSE)
        del self._children[preparation.program.name]
        answer = preparation.answer()
        if not answer:
            raise NotStarted(f"the preparation failed:\n{preparation.last_lines()}")
        self.unfinished = int(json.loads(answer)["unfinished"])

    # --- watch -----------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        while True:
            due = [one.due for one in self._children.values() if one.due is not None]
            self._pump(max(0.0, min(due) - time.monotonic()) if due else None)
            for child in list(self._children.values()):
                if child.due is None or child.due > time.monotonic():
                    continue
                if child.program.name == programs.CLOUD:
                    self._revive_cloud(child)
                else:
                    self._spawn(child)
                    log.info("started again", process=child.program.name, pid=child.pid)

    def _revive_cloud(self, cloud: Child) -> None:
        """Start the cloud again. It begins empty: accounts, machines and the control plane's key are new ones."""
        log.warning("the embedded cloud has lost its state: accounts and machines are gone; seed it again")
        self._end_strays()
        self._spawn(cloud)
        try:
            preparation = self._prepare()
            self._await([cloud])
            self._await_end(preparation)
        except NotStarted as error:
            log.error("the embedded cloud does not come up", reason=str(error))  # noqa: TRY400 - the reason says it all
            self._end_all(
                [one for name, one in self._children.items() if name in (programs.CLOUD, programs.PREPARATION)]
            )
            self._children.pop(programs.PREPARATION, None)
            return
        users = [one for one in self._children.values() if one.program.wave < cloud.program.wave]
        self._end_all(users)
        for child in users:
            self._spawn(child)
        log.info("started again with a new key for the cloud", processes=[one.program.name for one in users])

    # --- end -------------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        self._ending = True
        self._asked_to_end = 0
        waves = sorted({one.program.wave for one in self._children.values()})
        for wave in waves:
            self._end_all([one for one in self._children.values() if one.program.wave == wave])
        for stray in descendants():
            stray.signal(signal.SIGKILL)
        while descendants():
            self._pump(_PAUSE)
        self._layout.record.unlink(missing_ok=True)
        log.info("ended")

    def _end_all(self, children: list[Child]) -> None:
        """End processes softly, and by force when they take too long or a second signal shows impatience."""
        ending, self._ending = self._ending, True
        for child in children:
            if child.process is not None:
                child.process.signal(child.program.ending)
        end = {child.program.name: time.monotonic() + child.program.grace for child in children}
        while alive := [one for one in children if one.process is not None]:
            for child in alive:
                late = time.monotonic() > end[child.program.name]
                if child.process is not None and (late or self._asked_to_end > 0):
                    log.warning("killed", process=child.program.name, reason="took too long" if late else "asked to")
                    child.process.signal(signal.SIGKILL)
            self._pump(_PAUSE)
        self._ending = ending

    def _end_strays(self) -> None:
        """Kill what a dead child has left: its own children, which are ours now."""
        known = {one.pid for one in self._children.values() if one.process is not None}
        for one in descendants():
            with suppress(ProcessLookupError):
                if one.pid not in known and os.getpgid(one.pid) not in known:
                    one.signal(signal.SIGKILL)

    # --- signals, deaths and news ----------------------------------------------------------------------------------

    def _pump(self, timeout: float | None) -> None:
        """Wait for something to happen, and take note of it. Raises `_Ended` when the end was asked for."""
        select.select([self._wake_in.fileno(), self._ready.fileno()], [], [], timeout)
        with suppress(BlockingIOError):
            while self._wake_in.recv(4096):
                pass
        heard = self._ready.heard()
        for child in self._children.values():
            child.ready = child.ready or child.pid in heard
        self._reap()
        if self._asked_to_end and not self._ending:
            raise _Ended

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = next((one for one in self._children.values() if one.pid == pid), None)
            if child is None or child.process is None:
                continue
            code = os.waitstatus_to_exitcode(status)
            pause = child.ended(code)
            name = child.program.name
            if name != programs.PREPARATION and not self._ending:
                log.warning("process died", process=name, pid=pid, how=told(code), again_in=pause, log=str(child.log))

    def _listen_to_signals(self) -> dict[int, Any]:
        def on_signal(_number: int, _frame: FrameType | None) -> None:
            self._asked_to_end += 1

        self._wake_in.setblocking(False)  # noqa: FBT003 - socket's own signature
        self._wake_out.setblocking(False)  # noqa: FBT003 - socket's own signature
        before: dict[int, Any] = {number: signal.signal(number, on_signal) for number in _ENDING}
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_out.fileno(), warn_on_full_buffer=False)
        return before

    # --- record ----------------------------------------------------------------------------------------------------

    def _record(self) -> Record:
        me = Process.find(os.getpid())
        entries = [] if me is None else [Entry(name=SUPERVISOR, process=me, log=self._log_path)]
        entries += [
            Entry(name=one.program.name, process=one.process, log=one.log)
            for one in self._children.values()
            if one.process is not None and one.program.name != programs.PREPARATION
        ]
        return Record(entries=entries, addresses=self._plan.addresses)

    def _write_record(self) -> None:
        self._record().write(self._layout)


def _locked(layout: Layout) -> IO[str]:
    """Hold the state directory until the returned file is closed. Raises `NotStarted` that names who holds it."""
    file = layout.lock.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        holder = Record.read(layout).supervisor
        raise NotStarted(
            f"a stack already runs in {layout.root}"
            + (f" (process {holder.pid})" if holder is not None else "")
            + f". End it with `daywork down --state-dir {layout.root}`, or name another directory"
        ) from None
    return file


def _put_big_logs_aside(directory: Path) -> None:
    for path in directory.glob("*.log"):
        if path.stat().st_size > _LOG_LIMIT:
            path.replace(path.with_suffix(".log.1"))
